"""Recall against a baseline: how far each metric fell, how sure that is, and a verdict.

`regressed` needs both: a drop above the tolerance, and a lower bound of the drop above 0 at the level alpha, Holm's
where several metrics are held. The bound rests on the spread between the baseline's seeds, or, under five of them, on
one that allows for seeds which spread twice as far as published; what is sure only if they don't is `spread unknown`.
Where a pass has to be proven, the upper bound of each drop must be within its tolerance; as all must be, each is tested
at alpha.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from camp_bench.comparison.stats import Error, clustered_error, holm
from camp_bench.errors import RecordError
from camp_bench.gate.baseline import SCORED, Window, same_settings
from camp_bench.gate.limits import METRICS, Limits
from camp_bench.gate.noise import DOUBT, ENOUGH_SEEDS, SeedNoise, difference_error, image_parts, seed_noise
from camp_bench.gate.verdicts import Row, Verdict

__all__ = ["judge_floors", "judge_recall", "recall_notes"]

SAME = 1e-9
"""Two means in points that are nearer than this are the same."""


def judge_recall(
    baseline: Window, now: Window, limits: Limits, *, same_checkpoint: bool = False
) -> tuple[tuple[Row, ...], str]:
    """Return one row for each metric that is held, and what was taken for the spread between seeds.

    same_checkpoint: both sides are the same weights, so no seed was drawn anew. Raises RecordError where the two
    can't be compared: other models, data, split or protocol, or weights that are not the same after all.
    """
    _require_comparable(baseline, now)
    if same_checkpoint:
        baseline = _same_weights(baseline, now)
    noise = None if same_checkpoint else seed_noise(baseline)
    deciding = None if noise is None else noise.deciding
    before = [image_parts(baseline, run) for run in baseline.runs]
    after = [image_parts(now, run) for run in now.runs]
    fold_of = before[0][1].fold_of
    difference = np.mean([part for part, _ in before], axis=0) - np.mean([part for part, _ in after], axis=0)
    image_variances = clustered_error(difference, fold_of) ** 2
    images_df = now.images - int(fold_of.max()) - 1
    if images_df < 1:
        raise RecordError(
            f"{now.split}: {now.images} images in {int(fold_of.max()) + 1} folds say nothing about chance"
        )
    runs = 1 / len(baseline.runs) + 1 / len(now.runs)
    names = list(limits.tolerances)
    drops = [_zero(baseline.mean(name) - now.mean(name)) for name in names]
    variances = [_zero(float(image_variances[METRICS.index(name)])) for name in names]
    errors = [difference_error(variances[i], deciding, name, runs, images_df) for i, name in enumerate(names)]
    p_values = [_p_value(drop, error) for drop, error in zip(drops, errors, strict=True)]
    trusting = [difference_error(variances[i], noise, name, runs, images_df) for i, name in enumerate(names)]
    trusted = holm([_p_value(drop, error) for drop, error in zip(drops, trusting, strict=True)])
    levels = _levels(p_values, limits.alpha)
    rows = []
    for i, (name, p_adjusted) in enumerate(zip(names, holm(p_values), strict=True)):
        tolerance = limits.tolerances[name].points(baseline.mean(name))
        bound, upper = _bound(drops[i], errors[i], levels[i]), -_bound(-drops[i], errors[i], limits.alpha)
        verdict = _verdict(
            drops[i],
            tolerance,
            significant=p_adjusted <= limits.alpha,
            trusted=trusted[i] <= limits.alpha,
            proven=upper <= tolerance or not limits.prove,
        )
        rows.append(
            Row(
                name=name,
                kind="recall",
                unit="points",
                baseline=baseline.mean(name),
                value=now.mean(name),
                drop=drops[i],
                bound=bound,
                upper=upper,
                limit=tolerance,
                p_value=p_values[i],
                p_adjusted=p_adjusted,
                se_image=variances[i] ** 0.5,
                se_seed=max(errors[i].se ** 2 - variances[i], 0.0) ** 0.5,
                degrees_of_freedom=errors[i].df,
                verdict=verdict,
                reason=_reason(name, (baseline.mean(name), now.mean(name)), (bound, upper), tolerance, verdict, limits),
            )
        )
    if noise is None:
        return tuple(rows), "none, the weights are the same"
    first = limits.tolerances[names[0]].points(baseline.mean(names[0]))
    return tuple(rows), noise.source + _if_doubled(noise, trusting[0], errors[0], first, limits.alpha)


def judge_floors(now: Window, limits: Limits) -> tuple[Row, ...]:
    """Return one row for each floor: the mean over the runs against a fixed value, whatever chance may have done."""
    return tuple(
        Row(
            name=name,
            kind="floor",
            unit="points",
            value=now.mean(name),
            limit=floor,
            verdict="pass" if now.mean(name) >= floor else "below floor",
            reason=f"{name} is {now.mean(name):.2f}, the floor {floor:g}",
        )
        for name, floor in limits.floors.items()
    )


def recall_notes(baseline: Window, now: Window, *, same_checkpoint: bool) -> tuple[str, ...]:
    """Return what differs between the two sides though it is no reason to refuse."""
    notes = []
    old, new = baseline.runs[0], now.runs[0]
    if not same_settings(old.config, new.config):
        changed = _changed(msgspec.to_builtins(old.config), msgspec.to_builtins(new.config))
        notes.append(f"the settings differ from the baseline's: {', '.join(changed)}")
    for what, one, other in (
        ("device", old.environment.device, new.environment.device),
        ("torch", old.environment.packages.get("torch"), new.environment.packages.get("torch")),
        ("processor", old.environment.processor, new.environment.processor),
        ("threads", old.environment.threads, new.environment.threads),
    ):
        if one != other:
            notes.append(f"{what}: {other}, the baseline's {one}")
    notes.extend(f"{run.run_id} collapsed: its training ended on the plateau" for run in now.runs if run.collapsed)
    known = {run.weights_sha256 for run in baseline.runs}
    if not same_checkpoint and all(run.weights_sha256 and run.weights_sha256 in known for run in now.runs):
        notes.append("these are the baseline's own weights; --same-checkpoint judges them more sharply")
    return tuple(notes)


def _require_comparable(baseline: Window, now: Window) -> None:
    for field in (
        "model",
        "split",
        "protocol",
        "task_fingerprint",
        "features_fingerprint",
        "train_fingerprint",
        *SCORED,
        "images",
        "captions",
    ):
        one, other = getattr(baseline, field), getattr(now, field)
        if one != other:
            raise RecordError(
                f"can't be judged: {field.replace('_', ' ')} {other}, the baseline's is {one}; "
                "judge runs on the baseline's data, or save a new baseline"
            )
    if not np.array_equal(baseline.image_of, now.image_of):
        raise RecordError("can't be judged: the captions belong to other images than the baseline's")


def _same_weights(baseline: Window, now: Window) -> Window:
    """Return the baseline's runs whose weights are judged."""
    wanted = {run.weights_sha256 for run in now.runs}
    for run in now.runs:
        if not run.weights_sha256:
            raise RecordError(
                f"{run.run_id}: nobody knows its weights, so it can't be said to be the --same-checkpoint"
            )
        if run.weights_sha256 not in {old.weights_sha256 for old in baseline.runs}:
            raise RecordError(
                f"{run.run_id}: its weights are not among the baseline's, so this is no --same-checkpoint"
            )
    return msgspec.structs.replace(baseline, runs=tuple(run for run in baseline.runs if run.weights_sha256 in wanted))


def _if_doubled(noise: SeedNoise, trusting: Error, doubled: Error, tolerance: float, alpha: float) -> str:
    """Return what follows if seeds spread DOUBT times as far as published, empty where the spread is measured."""
    if noise.doubted is None or doubled.se == 0.0:
        return ""
    from scipy.stats import norm, t

    needed = max(tolerance, float(t.ppf(1 - alpha, trusting.df)) * trusting.se)
    return (
        f"; were it {DOUBT:g} times the published, chance would pass for a sure drop in "
        f"{norm.sf(needed / doubled.se):.0%} of checks, so a drop counts as sure only where it is sure then too"
    )


def _zero(value: float) -> float:
    """Return 0 for what differs from it by rounding alone."""
    return 0.0 if abs(value) < SAME else value


def _p_value(drop: float, error: Error) -> float:
    """Return the one-sided p-value of "it did not fall"."""
    from scipy.stats import t  # half a second that --help has no use for

    if error.se == 0.0:
        return 0.0 if drop > 0 else 1.0
    return float(t.sf(drop / error.se, error.df))


def _bound(drop: float, error: Error, level: float) -> float:
    from scipy.stats import t

    return drop - float(t.ppf(1 - level, error.df)) * error.se if error.se else drop


def _levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """Return the level at which Holm's procedure tests each; from the first that stands, the level doesn't rise."""
    levels = [alpha] * len(p_values)
    stands: float | None = None
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        level = alpha / (len(p_values) - rank) if stands is None else stands
        if p_values[at] > level:
            stands = level
        levels[at] = level
    return levels


def _verdict(drop: float, tolerance: float, *, significant: bool, trusted: bool, proven: bool) -> Verdict:
    """Return the verdict. significant: with the deciding spread between seeds; trusted: with the assumed one."""
    if drop > tolerance and significant:
        return "regressed"
    if not proven:
        return "not proven"
    if drop > tolerance:
        return "spread unknown" if trusted else "unproven drop"
    return "below tolerance" if significant else "pass"


def _reason(
    name: str,
    means: tuple[float, float],
    bounds: tuple[float, float],
    tolerance: float,
    verdict: Verdict,
    limits: Limits,
) -> str:
    moved = f"{name} went from {means[0]:.2f} to {means[1]:.2f}"
    sure = f"with {1 - limits.alpha:.0%} confidence by at least {max(bounds[0], 0.0):.2f}"
    most = f"with {1 - limits.alpha:.0%} confidence by at most {max(bounds[1], 0.0):.2f}"
    told: dict[Verdict, str] = {
        "regressed": f"{moved}, {sure}; {tolerance:g} is tolerated",
        "unproven drop": f"{moved}, more than the {tolerance:g} tolerated, but chance alone may do that",
        "spread unknown": f"{moved}, more than the {tolerance:g} tolerated; that is sure if seeds spread as published, "
        f"and not if they spread {DOUBT:g} times as far; save {ENOUGH_SEEDS} baseline runs, or judge more",
        "below tolerance": f"{moved}, {sure}, no more than the {tolerance:g} tolerated",
        "not proven": f"{moved}, {most}, so not proven to be within the {tolerance:g} tolerated",
        "pass": f"{moved}, {most}; {tolerance:g} is tolerated" if limits.prove else moved,
    }
    return told[verdict]


def _changed(one: dict[str, object], other: dict[str, object], prefix: str = "") -> list[str]:
    """Return the settings that differ, each with both values."""
    found = []
    for name in sorted({*one, *other} - {"seed", "device", "data"}):
        old, new = one.get(name), other.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _changed(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name} {new} (was {old})")
    return found
