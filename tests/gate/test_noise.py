"""The standard error of a difference: hand-computed, and against a world whose variances are known."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from gate_examples import World, window

from camp_bench.gate.baseline import Window
from camp_bench.gate.limits import METRICS
from camp_bench.gate.noise import SeedNoise, difference_error, expected_image_variance, image_parts, seed_noise

RSUM = METRICS.index("rsum")


def runs_of(count: int, **options: float) -> Window:
    world, rng = World(images=60, **options), np.random.default_rng(3)  # type: ignore[arg-type]
    return window([world.run(rng) for _ in range(count)])


def test_five_seeds_give_the_variance_component_of_a_two_way_table() -> None:
    runs = runs_of(5, seed_sd=0.3)
    noise = seed_noise(runs)
    parts = np.array([image_parts(runs, run)[0][:, RSUM] for run in runs.runs])  # (seeds, images)
    left = parts - parts.mean(axis=0) - parts.mean(axis=1, keepdims=True) + parts.mean()
    mean_square = (left**2).sum() / (4 * 59)
    between = np.var([run.metrics["rsum"] for run in runs.runs], ddof=1)
    assert noise.total[RSUM] == pytest.approx(between)
    assert noise.component[RSUM] == pytest.approx(between - mean_square / 60)
    assert noise.component[RSUM] > 0
    assert (noise.degrees_of_freedom == 4).all()
    assert noise.source == "measured between the baseline's 5 seeds"


def test_component_is_never_negative() -> None:
    noise = seed_noise(runs_of(6, seed_sd=0.0))
    assert (noise.component >= 0).all()
    assert (noise.component <= noise.total).all()


@pytest.mark.parametrize(
    ("model", "deviation", "named"),
    [("vsepp:vse0", 2.7, "VSE++"), ("scan:i2t-avg", 2.1, "SCAN i2t AVG"), ("camp", 5.4, "VSRN"), ("mine", 5.4, "VSRN")],
)
def test_one_seed_takes_the_published_spread_and_says_so(model: str, deviation: float, named: str) -> None:
    noise = seed_noise(msgspec.structs.replace(runs_of(1), model=model))
    assert noise.component[RSUM] == pytest.approx(deviation**2)
    assert (noise.degrees_of_freedom == 9).all()
    assert noise.deciding.component[RSUM] == pytest.approx(4 * deviation**2)
    assert f"published, {deviation} rsum ({named}" in noise.source
    assert "5 seeds would measure it" in noise.source
    assert ("the widest, as none is published of" in noise.source) == (deviation == 5.4)


def test_few_seeds_pool_measured_and_published_variance_by_degrees_of_freedom() -> None:
    runs = runs_of(4, seed_sd=0.02)
    values = [run.metrics["rsum"] for run in runs.runs]
    noise, total = seed_noise(runs), np.var(values, ddof=1)
    assert noise.total[RSUM] == pytest.approx((3 * total + 9 * 2.7**2) / 12)
    assert (noise.degrees_of_freedom == 12).all()
    assert f"{math.sqrt(total):.1f} between the baseline's 4 seeds, pooled with the published 2.7" in noise.source
    parts = [image_parts(runs, run)[0] for run in runs.runs]
    left = sum(((part - np.mean(parts, axis=0) - (part - np.mean(parts, axis=0)).mean(axis=0)) ** 2) for part in parts)
    component = max(total - float(np.sum(left[:, RSUM])) / (3 * 59) / 60, 0.0)
    assert noise.component[RSUM] == pytest.approx((3 * component + 9 * 2.7**2) / 12)


def test_spread_that_decides_is_never_less_than_was_measured() -> None:
    wide = seed_noise(runs_of(3, seed_sd=0.8))
    measured = np.var([run.metrics["rsum"] for run in runs_of(3, seed_sd=0.8).runs], ddof=1)
    assert measured > (2 * measured + 9 * 4 * 2.7**2) / 11
    assert wide.deciding.total[RSUM] == pytest.approx(measured)
    assert wide.deciding.degrees_of_freedom[RSUM] == 2
    assert seed_noise(runs_of(5)).deciding.doubted is None


def test_single_metrics_share_the_published_variance_by_their_variance_over_images() -> None:
    runs = runs_of(1)
    part = image_parts(runs, runs.runs[0])[0]
    over_images = part.var(axis=0, ddof=1)
    expected = 2.7**2 * over_images[:-1] / over_images[:-1].sum()
    assert seed_noise(runs).component[:-1] == pytest.approx(expected)
    assert seed_noise(runs).component[:-1].sum() == pytest.approx(2.7**2)


def test_a_world_without_any_variance_has_none() -> None:
    perfect = World(images=4, level=-9.0, image_sd=0.0, query_sd=0.0, seed_sd=0.0)
    runs = window([perfect.run(np.random.default_rng(0))])
    assert runs.mean("rsum") == 600.0
    assert np.isfinite(seed_noise(runs).component).all()


def test_image_variance_of_a_further_run_is_the_interaction_or_all_of_it() -> None:
    runs = runs_of(8, seed_sd=0.0)
    parts = np.array([image_parts(runs, run)[0][:, RSUM] for run in runs.runs])
    pairs = [np.var(parts[i] - parts[j], ddof=1) / 60 / 2 for i in range(8) for j in range(i)]
    assert expected_image_variance(runs)[RSUM] == pytest.approx(np.mean(pairs))
    one = msgspec.structs.replace(runs, runs=runs.runs[:1])
    assert expected_image_variance(one)[RSUM] == pytest.approx(parts[0].var(ddof=1) / 60)


def test_error_adds_images_and_seeds_and_their_degrees_of_freedom() -> None:
    one = np.ones(len(METRICS))
    noise = SeedNoise(3.0 * one, 4.0 * one, 4.0 * one, "")
    error = difference_error(2.0, noise, "rsum", 1.5, 99)
    assert error.se == pytest.approx(math.sqrt(2.0 + 3.0 * 1.5))
    assert error.df == pytest.approx(6.5**2 / (2.0**2 / 99 + (4.0 * 1.5) ** 2 / 4.0))
    assert difference_error(2.0, None, "rsum", 1.5, 99) == (math.sqrt(2.0), 99.0)
    assert difference_error(0.0, SeedNoise(0 * one, 0 * one, 4.0 * one, ""), "rsum", 2.0, 99) == (0.0, 99.0)
