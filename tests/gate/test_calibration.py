"""Over many simulated re-runs: false alarms stay at alpha, and drops are caught as often as `power` says."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from gate_examples import World, metrics_of, window

from camp_bench.gate import noise, recall
from camp_bench.gate.baseline import Window, WindowRun
from camp_bench.gate.limits import parse_limits
from camp_bench.gate.power import gate_power
from camp_bench.gate.recall import judge_recall

POOL, CASES = 400, 1000
ALPHA, ERROR = 0.05, 3 * (0.05 * 0.95 / CASES) ** 0.5
"""What 1,000 cases may show above alpha by chance: three standard errors."""


class Simulated:
    """Many runs of a method, and as many of one that lost `drop` points of rsum."""

    def __init__(self, world: World, drop_in_deviations: float) -> None:
        self.same = window([world.run(np.random.default_rng(i)) for i in range(POOL)])
        sums = np.array([run.metrics["rsum"] for run in self.same.runs])
        probe = 0.05  # the same noise on both sides, so the slope is exact to a few percent
        shifted = [metrics_of(world.run(np.random.default_rng(i), worse=probe))["rsum"] for i in range(80)]
        slope = float(np.mean(sums[:80] - shifted)) / probe
        asked = drop_in_deviations * float(sums.std())
        bad = [world.run(np.random.default_rng(10_000 + i), worse=asked / slope) for i in range(POOL)]
        self.worse = window(bad, first_seed=POOL)
        self.drop = self.same.mean("rsum") - self.worse.mean("rsum")


@pytest.fixture(autouse=True)
def computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what each run's images contribute: the same few hundred runs come up in thousands of windows."""
    kept: dict[str, Any] = {}
    real = noise.image_parts

    def image_parts(window: Window, run: WindowRun) -> Any:
        if run.run_id not in kept:
            kept[run.run_id] = real(window, run)
        return kept[run.run_id]

    monkeypatch.setattr(noise, "image_parts", image_parts)
    monkeypatch.setattr(recall, "image_parts", image_parts)


def pick(pool: Window, which: np.ndarray) -> Window:
    return msgspec.structs.replace(pool, runs=tuple(pool.runs[int(i)] for i in which))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("query_sd", "seed_sd", "baseline_runs", "new_runs", "tolerance"),
    [
        (0.7, 0.0, 5, 1, 0.0),
        (0.7, 0.03, 5, 1, 0.0),
        (0.4, 0.05, 5, 1, 0.0),
        (0.7, 0.03, 5, 3, 0.0),
        (0.7, 0.03, 10, 1, 0.0),
        (0.4, 0.05, 5, 3, 10.0),
    ],
)
def test_alarms_and_power(
    query_sd: float,
    seed_sd: float,
    baseline_runs: int,
    new_runs: int,
    tolerance: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    simulated = Simulated(World(images=500, query_sd=query_sd, seed_sd=seed_sd), 3.0)
    limits = parse_limits(tolerance=tolerance, alpha=ALPHA)
    rng = np.random.default_rng(1)
    alarms, caught, promised = 0, 0, []
    for _ in range(CASES):
        drawn = rng.choice(POOL, baseline_runs + new_runs, replace=False)
        baseline, again = pick(simulated.same, drawn[:baseline_runs]), pick(simulated.same, drawn[baseline_runs:])
        worse = pick(simulated.worse, rng.choice(POOL, new_runs, replace=False))
        alarms += judge_recall(baseline, again, limits)[0][0].verdict == "regressed"
        caught += judge_recall(baseline, worse, limits)[0][0].verdict == "regressed"
        promised.append(gate_power(baseline, simulated.drop, limits, runs=new_runs).rows[0].chance)
    with capsys.disabled():
        print(
            f"\nimages sd {query_sd}, seeds sd {seed_sd}, {baseline_runs} against {new_runs}, tolerance {tolerance}, "
            f"drop {simulated.drop:.1f}: false alarms {alarms / CASES:.3f}, caught {caught / CASES:.3f}, "
            f"power {np.mean(promised):.3f}"
        )
    assert alarms / CASES <= ALPHA + ERROR
    assert abs(caught / CASES - float(np.mean(promised))) <= 0.05
