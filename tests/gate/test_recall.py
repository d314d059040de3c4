"""Verdicts: what regressed, what may be chance, what can't be judged."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from gate_examples import World, window
from scipy import stats

from camp_bench.comparison.stats import holm
from camp_bench.errors import RecordError
from camp_bench.gate.baseline import Window
from camp_bench.gate.limits import parse_limits
from camp_bench.gate.noise import difference_error, image_parts, seed_noise
from camp_bench.gate.recall import judge_floors, judge_recall, recall_notes
from camp_bench.records import Environment

WORLD = World(images=100)


def runs_of(count: int, *, worse: float = 0.0, seed: int = 0, first_seed: int = 0) -> Window:
    rng = np.random.default_rng(seed)
    return window([WORLD.run(rng, worse=worse) for _ in range(count)], first_seed=first_seed)


BASE = runs_of(5)
SAME = runs_of(1, seed=9, first_seed=20)
WORSE = runs_of(2, worse=0.8, seed=9, first_seed=20)


def test_unchanged_method_passes_and_a_worse_one_regresses() -> None:
    (row,), spread = judge_recall(BASE, SAME, parse_limits())
    assert row.verdict == "pass"
    assert spread == "measured between the baseline's 5 seeds"
    (row,), _ = judge_recall(BASE, WORSE, parse_limits())
    assert row.verdict == "regressed"
    assert row.drop == pytest.approx(BASE.mean("rsum") - WORSE.mean("rsum"))
    assert row.bound is not None
    assert 0 < row.bound < (row.drop or 0)
    assert f"with 95% confidence by at least {row.bound:.2f}; 1 is tolerated" in row.reason


def test_bound_is_students_with_the_error_of_images_and_seeds() -> None:
    (row,), _ = judge_recall(BASE, WORSE, parse_limits(["i2t.R@5"], alpha=0.1))
    difference = np.mean([image_parts(BASE, run)[0][:, 1] for run in BASE.runs], axis=0)
    difference = difference - np.mean([image_parts(WORSE, run)[0][:, 1] for run in WORSE.runs], axis=0)
    se_image = difference.std(ddof=1) / 10
    error = difference_error(se_image**2, seed_noise(BASE), "i2t.R@5", 1 / 5 + 1 / 2, 99)
    assert row.se_image == pytest.approx(se_image)
    assert row.degrees_of_freedom == pytest.approx(error.df)
    assert row.drop == pytest.approx(difference.mean())
    assert row.bound == pytest.approx(difference.mean() - stats.t.ppf(0.9, error.df) * error.se)
    assert row.p_value == pytest.approx(stats.t.sf(difference.mean() / error.se, error.df))


def test_both_the_tolerance_and_the_noise_have_to_be_exceeded() -> None:
    (row,), _ = judge_recall(BASE, WORSE, parse_limits(tolerance=500.0))
    assert row.verdict == "below tolerance"
    slightly = runs_of(1, worse=0.08, seed=9, first_seed=20)
    (row,), _ = judge_recall(BASE, slightly, parse_limits(tolerance=0.0))
    assert row.drop is not None
    assert row.drop > 0
    assert row.verdict == "unproven drop"


def test_several_metrics_are_corrected_and_bounds_agree_with_the_verdicts() -> None:
    limits = parse_limits(["rsum", "i2t.R@1", "i2t.R@10", "t2i.R@1"], tolerance=0.0)
    seen = set()
    for worse in (0.0, 0.1, 0.15, 0.2, 0.3, 0.6):
        rows, _ = judge_recall(BASE, runs_of(1, worse=worse, seed=5, first_seed=20), limits)
        assert [row.p_adjusted for row in rows] == pytest.approx(holm([row.p_value or 0.0 for row in rows]))
        for row in rows:
            assert row.bound is not None
            assert (row.verdict == "regressed") == (row.bound > 0) == ((row.p_adjusted or 0.0) <= 0.05)
            seen.add(row.verdict)
    assert {"regressed", "unproven drop"} <= seen


def test_with_one_run_a_drop_that_is_sure_only_at_the_published_spread_is_not_judged() -> None:
    one = msgspec.structs.replace(BASE, runs=BASE.runs[:1])
    seen = {}
    for worse in np.linspace(0.0, 1.2, 40):
        now = window([WORLD.run(np.random.default_rng(1000), worse=float(worse))], first_seed=20)
        (row,), spread = judge_recall(one, now, parse_limits())
        seen[row.verdict] = row
        assert row.bound is not None
        assert (row.verdict == "regressed") == (row.bound > 0)
        assert "were it 2 times the published, chance would pass for a sure drop in" in spread
    assert set(seen) == {"pass", "unproven drop", "spread unknown", "regressed"}
    assert "sure if seeds spread as published, and not if they spread 2 times as far" in seen["spread unknown"].reason


def test_a_pass_that_has_to_be_proven_needs_an_upper_bound_within_the_tolerance() -> None:
    for tolerance in (0.0, 20.0, 600.0):
        (row,), _ = judge_recall(BASE, SAME, parse_limits(tolerance=tolerance, prove=True))
        assert row.upper is not None
        assert row.upper > (row.drop or 0.0)
        assert row.verdict == ("pass" if row.upper <= tolerance else "not proven")
        assert f"with 95% confidence by at most {row.upper:.2f}" in row.reason
    (row,), _ = judge_recall(BASE, WORSE, parse_limits(prove=True))
    assert row.verdict == "regressed"


def test_the_same_checkpoint_has_no_noise_of_seeds() -> None:
    again = msgspec.structs.replace(BASE, runs=BASE.runs[1:2])
    (row,), spread = judge_recall(BASE, again, parse_limits(tolerance=0.0), same_checkpoint=True)
    assert (row.drop, row.bound, row.se_image, row.se_seed, row.verdict) == (0.0, 0.0, 0.0, 0.0, "pass")
    assert spread == "none, the weights are the same"
    assert "--same-checkpoint judges them more sharply" in recall_notes(BASE, again, same_checkpoint=False)[-1]
    assert recall_notes(BASE, again, same_checkpoint=True) == ()


def test_a_scorer_that_loses_every_image_alike_is_caught_without_any_variance() -> None:
    perfect = World(images=30, level=-9.0, image_sd=0.0, query_sd=0.0, seed_sd=0.0)
    base = window([perfect.run(np.random.default_rng(0))])
    bad = window([perfect.run(np.random.default_rng(0), worse=14.0)])
    (row,), _ = judge_recall(base, bad, parse_limits(), same_checkpoint=True)
    assert (row.drop, row.p_value, row.verdict) == (600.0, 0.0, "regressed")


def test_floor_is_fixed() -> None:
    limits = parse_limits(floors=["rsum=600", "i2t.R@1=0.5"])
    low, high = judge_floors(SAME, limits)
    assert (low.verdict, high.verdict) == ("below floor", "pass")
    assert low.reason == f"rsum is {SAME.mean('rsum'):.2f}, the floor 600"


@pytest.mark.parametrize(
    "change",
    [
        {"model": "scan:t2i-lse"},
        {"split": "dev"},
        {"protocol": "f30k-1k"},
        {"task_fingerprint": "other"},
        {"features_fingerprint": "other"},
        {"train_fingerprint": "other"},
        {"cascade": "20 a query by vsepp"},
        {"transductive": True},
        {"image_of": BASE.image_of[::-1].copy()},
    ],
)
def test_what_is_not_comparable_is_never_judged(change: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="can't be judged"):
        judge_recall(BASE, msgspec.structs.replace(SAME, **change), parse_limits())


def test_other_weights_are_no_same_checkpoint() -> None:
    with pytest.raises(RecordError, match="its weights are not among the baseline's"):
        judge_recall(BASE, SAME, parse_limits(), same_checkpoint=True)


def test_another_system_whose_weights_nobody_knows_is_no_same_checkpoint() -> None:
    unknown = [
        msgspec.structs.replace(side, runs=tuple(msgspec.structs.replace(run, weights_sha256="") for run in side.runs))
        for side in (BASE, SAME)
    ]
    with pytest.raises(RecordError, match="nobody knows its weights"):
        judge_recall(*unknown, parse_limits(), same_checkpoint=True)


def test_one_image_says_nothing_of_chance() -> None:
    one = window([World(images=1).run(np.random.default_rng(0))])
    with pytest.raises(RecordError, match="say nothing about chance"):
        judge_recall(one, one, parse_limits(), same_checkpoint=True)


def test_differences_that_are_no_reason_to_refuse_are_noted() -> None:
    run = SAME.runs[0]
    settings = msgspec.structs.replace(run.config.settings, epochs=9)
    environment: Environment = msgspec.structs.replace(run.environment, packages={"torch": "3"}, threads=2)
    changed = msgspec.structs.replace(
        run, config=msgspec.structs.replace(run.config, settings=settings), environment=environment, collapsed=True
    )
    notes = recall_notes(BASE, msgspec.structs.replace(SAME, runs=(changed,)), same_checkpoint=False)
    assert notes == (
        "the settings differ from the baseline's: settings.epochs 9 (was 2)",
        "torch: 3, the baseline's None",
        "threads: 2, the baseline's 1",
        "run-20 collapsed: its training ended on the plateau",
    )
