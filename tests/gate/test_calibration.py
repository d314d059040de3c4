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


PUBLISHED = 2.7
"""Points of rsum by which `vsepp` seeds spread on 1,000 images, as published."""


def world_of(deviation: float) -> World:
    """Return 1,000 images on which runs differ by so many points of rsum, of which single images explain a part."""

    def made(seed_sd: float) -> World:
        return World(images=1000, level=1.0, query_sd=0.15, seed_sd=seed_sd)

    def sums(worse: float, count: int) -> list[float]:
        return [metrics_of(made(0.0).run(np.random.default_rng(i), worse=worse))["rsum"] for i in range(count)]

    slope = float(np.mean(sums(-0.05, 10)) - np.mean(sums(0.05, 10))) / 0.1
    inner = float(np.var(sums(0.0, 60)))
    return made(max(deviation**2 - inner, 0.0) ** 0.5 / slope)


@pytest.fixture(scope="module", params=[0.5, 1.0, 2.0])
def worlds(request: pytest.FixtureRequest) -> tuple[float, Simulated, Simulated]:
    """Return a spread in parts of the published one, and runs that lost about 1 and about 2 points."""
    world = world_of(request.param * PUBLISHED)
    return (
        request.param,
        Simulated(world, 1.0 / (request.param * PUBLISHED)),
        Simulated(world, 2.0 / (request.param * PUBLISHED)),
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("baseline_runs", [1, 3, 4, 5, 10])
def test_alarms_and_power(
    worlds: tuple[float, Simulated, Simulated], baseline_runs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """One new run, tolerance 1: without a change, with a drop of one tolerance, and of two."""
    ratio, *drops = worlds
    simulated = drops[0]
    deviation = float(np.std([run.metrics["rsum"] for run in simulated.same.runs]))
    limits = parse_limits(tolerance=1.0, alpha=ALPHA)
    rng = np.random.default_rng(1)
    alarms, unknown, caught, promised = 0, 0, np.zeros(2), np.zeros((2, 2))
    for _ in range(CASES):
        drawn = rng.choice(POOL, baseline_runs + 1, replace=False)
        baseline, again = pick(simulated.same, drawn[:-1]), pick(simulated.same, drawn[-1:])
        verdict = judge_recall(baseline, again, limits)[0][0].verdict
        alarms += verdict == "regressed"
        unknown += verdict == "spread unknown"
        new = rng.choice(POOL, 1)
        for i, dropped in enumerate(drops):
            caught[i] += judge_recall(baseline, pick(dropped.worse, new), limits)[0][0].verdict == "regressed"
            row = gate_power(baseline, dropped.drop, limits).rows[0]
            promised[i] += row.chance, row.chance if row.chance_doubled is None else row.chance_doubled
    caught, promised = caught / CASES, promised / CASES
    with capsys.disabled():
        print(
            f"\nseeds' sd {deviation:.1f} ({ratio:g} x published), {baseline_runs} against 1: false alarms "
            f"{alarms / CASES:.3f}, can't judge {unknown / CASES:.3f}; "
            + "; ".join(
                f"drop of {dropped.drop:.1f} caught {caught[i]:.3f}, power {promised[i][0]:.3f} ({promised[i][1]:.3f})"
                for i, dropped in enumerate(drops)
            )
        )
    assert alarms / CASES <= ALPHA + ERROR
    said = promised[:, 1 if ratio == noise.DOUBT else 0]  # the same from five runs on; else what is said of that spread
    assert (np.abs(caught - said) <= 0.04 + ERROR).all()
