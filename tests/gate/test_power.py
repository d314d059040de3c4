"""Power: the same error as the gate's, and numbers that a plain simulation of normal drops confirms."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from gate_examples import World, window
from scipy import stats

from camp_bench.errors import ConfigError, RecordError
from camp_bench.gate.limits import METRICS, parse_limits
from camp_bench.gate.noise import difference_error, expected_image_variance, seed_noise
from camp_bench.gate.power import gate_power

WORLD = World(images=100, seed_sd=0.05)
RNG = np.random.default_rng(4)
BASE = window([WORLD.run(RNG) for _ in range(6)])


def test_chance_is_that_of_drawing_drops_and_errors() -> None:
    (row,) = gate_power(BASE, 25.0, parse_limits(tolerance=10.0), runs=2).rows
    share = 1 / 6 + 1 / 2
    variance = float(expected_image_variance(BASE)[METRICS.index("rsum")]) * share
    error = difference_error(variance, seed_noise(BASE), "rsum", share, 99)
    assert row.se_image**2 + row.se_seed**2 == pytest.approx(error.se**2)
    drawn = np.random.default_rng(0)
    noise = seed_noise(BASE)
    seeds = noise.component[METRICS.index("rsum")] * share / (drawn.chisquare(5, 200_000) / 5)
    drops = 25.0 + np.sqrt(variance + seeds) * drawn.standard_normal(200_000)
    caught = (drops > 10.0) & (drops > stats.t.ppf(0.95, error.df) * error.se)
    assert row.chance == pytest.approx(caught.mean(), abs=0.005)
    assert row.chance_doubled is None


def test_the_drop_that_is_caught_is_caught_with_the_probability_promised() -> None:
    limits = parse_limits(["rsum", "t2i.R@5"])
    for row in gate_power(BASE, 5.0, limits).rows:
        again = {found.metric: found for found in gate_power(BASE, row.catches, limits).rows}
        assert again[row.metric].chance == pytest.approx(0.8, abs=0.01)


def test_more_runs_catch_more_and_one_baseline_run_gives_bounds() -> None:
    limits = parse_limits()
    few, many = (gate_power(BASE, 25.0, limits, runs=runs).rows[0].chance for runs in (1, 10))
    assert few < many
    assert not gate_power(BASE, 25.0, limits).at_least
    alone = gate_power(msgspec.structs.replace(BASE, runs=BASE.runs[:1]), 25.0, limits)
    assert alone.at_least
    assert alone.rows[0].chance_doubled is not None
    assert alone.rows[0].se_image > gate_power(BASE, 25.0, limits).rows[0].se_image


@pytest.mark.parametrize(("drop", "runs"), [(0.0, 1), (-1.0, 1), (float("nan"), 1), (601.0, 1), (2.0, 0)])
def test_nonsense_is_refused(drop: float, runs: int) -> None:
    with pytest.raises(ConfigError, match=r"--drop|--runs"):
        gate_power(BASE, drop, parse_limits(), runs=runs)


def test_one_image_tells_nothing_of_others() -> None:
    alone = window([World(images=1).run(np.random.default_rng(0))])
    with pytest.raises(RecordError, match=r"power: 1 images in 1 fold\(s\)"):
        gate_power(alone, 2.0, parse_limits())
