"""Speed against a baseline: the speed-up over the plain form, and counted work.

Seconds don't carry from machine to machine; the speed-up of the fast form over the plain form does, as both are timed
in turn in one process. Its samples say how sure their median is. Where that is too little to tell a drop of the
tolerance from none, the verdict is `unstable`, whatever the median says, unless the drop is beyond doubt. Counted FLOPs
and bytes have no noise: one more than the baseline's is a regression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from camp_bench.errors import RecordError
from camp_bench.gate.limits import Limits
from camp_bench.gate.verdicts import Row, Verdict
from camp_bench.records.throughput import Baseline, ModelThroughput, ThroughputReport, quartiles

__all__ = ["judge_speed"]

FEWEST_SAMPLES: Final = 5
"""With fewer the quartiles say nothing of the spread."""
NORMAL_QUARTILES: Final = 1.349
"""Distance of a normal distribution's quartiles, in standard deviations."""
MEDIAN_FACTOR: Final = math.sqrt(math.pi / 2)
"""Standard error of a median over that of a mean, for normal samples."""


def judge_speed(baseline: ThroughputReport, now: ThroughputReport, limits: Limits) -> tuple[Row, ...]:
    """Return rows for each model of the baseline: speed-ups and counts.

    Raises RecordError where the two can't be compared: another workload, precision, kind of device or number of
    threads, or a model that was not measured.
    """
    for name, one, other in (
        ("precision", baseline.precision, now.precision),
        ("device", _kind(baseline), _kind(now)),
        ("threads", baseline.environment.threads, now.environment.threads),
    ):
        if one != other:
            raise RecordError(f"speed can't be judged: {name} {other}, the baseline's is {one}; measure under the same")
    if not baseline.models:
        raise RecordError("speed can't be judged: the baseline has no model")
    return tuple(row for held in baseline.models for row in _judge_model(held, now.model(held.model), limits))


def _kind(report: ThroughputReport) -> str:
    return report.environment.device.partition(":")[0]


def _judge_model(held: ModelThroughput, now: ModelThroughput, limits: Limits) -> list[Row]:
    if held.workload != now.workload:
        raise RecordError(
            f"{held.model}: speed can't be judged: workload {now.workload}, the baseline's {held.workload}"
        )
    rows = []
    for plain in held.baselines:
        same = [part for part in now.baselines if part.padded_words == plain.padded_words]
        if len(same) != 1:
            raise RecordError(f"{held.model}: speed can't be judged: no speed-up over {_what(plain)} was measured")
        rows.append(_judge_ratio(f"{held.model} over {_what(plain)}", plain.speed_ups, same[0].speed_ups, limits))
    rows.append(_judge_count(f"{held.model} FLOPs", "FLOPs", held.flops, now.flops))
    rows.append(_judge_count(f"{held.model} bytes", "B", held.traffic_bytes, now.traffic_bytes))
    return rows


def _what(plain: Baseline) -> str:
    return "plain" if plain.padded_words is None else f"plain padded to {plain.padded_words}"


def _judge_ratio(name: str, before: Sequence[float], after: Sequence[float], limits: Limits) -> Row:
    """Judge the ratio of two medians on the scale of logarithms, where it is a difference."""
    from scipy.stats import norm

    (_, old, _), (_, new, _) = quartiles(before), quartiles(after)
    error = math.hypot(_relative_error(before), _relative_error(after))
    half = float(norm.ppf(1 - limits.alpha)) * error
    drop, bound = 100 * (1 - new / old), 100 * (1 - new / old * math.exp(half))
    verdict, reason = _judge_drop(drop, bound, 100 * (math.exp(half) - 1), limits.speed_percent)
    few = min(len(before), len(after)) < FEWEST_SAMPLES
    if few:
        verdict, reason = "unstable", f"fewer than {FEWEST_SAMPLES} samples say nothing of their spread"
    return Row(
        name=name,
        kind="speed",
        unit="x",
        baseline=old,
        value=new,
        drop=drop,
        bound=None if few else bound,
        limit=limits.speed_percent,
        verdict=verdict,
        reason=f"{name}: {new:.2f} times as fast, the baseline {old:.2f} times; {reason}",
    )


def _judge_drop(drop: float, bound: float, doubt: float, tolerance: float) -> tuple[Verdict, str]:
    if drop > tolerance and bound > tolerance:
        return "regressed", f"the drop is at least {bound:.1f}%, {tolerance:g}% is tolerated"
    if doubt > tolerance:
        return "unstable", f"the samples spread so far that {doubt:.1f}% is within chance; measure on a quieter machine"
    if drop > tolerance:
        return ("regressed", f"{tolerance:g}% is tolerated") if bound > 0 else ("unproven drop", "it may be chance")
    return ("below tolerance", f"{tolerance:g}% is tolerated") if bound > 0 else ("pass", "no slower")


def _relative_error(samples: Sequence[float]) -> float:
    """Return the standard error of the samples' median in parts of it, from their quartiles."""
    low, middle, high = quartiles(samples)
    return MEDIAN_FACTOR * (high - low) / NORMAL_QUARTILES / middle / math.sqrt(len(samples))


def _judge_count(name: str, unit: str, before: int, after: int) -> Row:
    verdict: Verdict = "pass" if after == before else "regressed" if after > before else "changed"
    said = {
        "pass": "the same",
        "regressed": "more work for the same scores",
        "changed": "less work: if the scores are right, save a new baseline",
    }[verdict]
    return Row(
        name=name,
        kind="count",
        unit=unit,
        baseline=float(before),
        value=float(after),
        drop=100 * (after / before - 1) if before else 0.0,
        limit=0.0,
        verdict=verdict,
        reason=f"{name}: {after:,}, the baseline {before:,}; {said}",
    )
