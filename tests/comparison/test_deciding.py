"""Seeds added until something is decided: what a look says, and how often all looks together err."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from comparison_examples import write_run

from camp_bench.comparison import CompareOptions, compare
from camp_bench.comparison.deciding import look, obstacle, told, undecided
from camp_bench.comparison.stats import combined_error, rope_verdict, t_interval
from camp_bench.config import Until
from camp_bench.errors import RecordError

UNTIL = Until(rope=5.0, max_seeds=13, reference="vsepp")


def write_runs(results: Path, seeds: int, until: Until | None, **levels: float) -> list[Path]:
    return [
        write_run(results, model=model, seed=seed, level=level, images=400, until=until)
        for model, level in levels.items()
        for seed in range(seeds)
    ]


def test_looks_are_fibonaccis_and_end_with_the_most() -> None:
    assert Until(rope=1.0, max_seeds=3).looks == (3,)
    assert Until(rope=1.0, max_seeds=4).looks == (3, 4)
    assert Until(rope=1.0, max_seeds=13).looks == (3, 5, 8, 13)
    assert Until(rope=1.0).looks == (3, 5, 8, 13, 20)


def test_a_look_tells_what_is_decided_and_what_is_not(tmp_path: Path) -> None:
    folders = write_runs(tmp_path, 3, UNTIL, vsepp=1.5, camp=1.0, scan=1.52)
    table = look(folders, UNTIL)
    assert len(table.pairs) == 2
    (left,) = undecided(table)
    assert {table.row(left.first).label, table.row(left.second).label} == {"scan", "vsepp"}
    line = told(table)
    assert "camp better than vsepp" in line
    assert "scan undecided against vsepp" in line
    assert obstacle(table, left).startswith("scan and vsepp: the standard error is ")


def test_without_a_reference_all_pairs_count(tmp_path: Path) -> None:
    folders = write_runs(tmp_path, 3, None, vsepp=1.5, camp=1.0, scan=0.4)
    table = look(folders, Until(rope=5.0))
    assert len(table.pairs) == 3
    assert undecided(table) == ()


def test_seeds_that_change_nothing_decide_nothing(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path, model=model, seed=seed, ranks_seed=number)
        for number, model in enumerate(("vsepp", "scan"))
        for seed in range(3)
    ]
    with pytest.raises(RecordError, match="seeds give the same digits"):
        look(folders, UNTIL)


def test_rows_that_were_looked_at_pay_for_every_look(tmp_path: Path) -> None:
    levels = {"vsepp": 1.5, "camp": 1.45}
    write_runs(tmp_path / "fixed", 5, None, **levels)
    write_runs(tmp_path / "until", 5, UNTIL, **levels)
    options = CompareOptions(resamples=500)
    fixed, until = (compare(tmp_path / name, options) for name in ("fixed", "until"))
    for one, other in zip(fixed.pairs[0].tests, until.pairs[0].tests, strict=True):
        assert other.p == pytest.approx(min(1.0, 4 * one.p))
        assert other.low < one.low < one.high < other.high
    quarter = compare(tmp_path / "fixed", CompareOptions(resamples=500, alpha=0.05 / 4))
    assert [test.low for test in until.pairs[0].tests] == [test.low for test in quarter.pairs[0].tests]
    assert until.rows[0].estimates["rsum"].low == quarter.rows[0].estimates["rsum"].low
    assert not any("looks at most" in note for note in fixed.notes)
    assert sum("4 looks at most" in note for note in until.notes) == 2


def test_a_row_of_which_one_run_was_looked_at_was_looked_at(tmp_path: Path) -> None:
    write_runs(tmp_path, 3, None, vsepp=1.5)
    write_run(tmp_path, model="vsepp", seed=3, level=1.5, images=400, until=UNTIL)
    assert any("4 looks at most" in note for note in compare(tmp_path, CompareOptions(resamples=500)).notes)


@pytest.mark.parametrize("sd_seeds", [1.0, 4.0])
@pytest.mark.parametrize(("truth", "wrong"), [(0.99, {"better", "worse"}), (1.01, {"equal", "worse"})])
def test_all_looks_together_err_no_more_often_than_the_level(sd_seeds: float, truth: float, wrong: set[str]) -> None:
    """2,000 simulated stops, the truth just inside or just outside the margin; images are the same at all looks."""
    found = [stop(np.random.default_rng([7, number]), truth, sd_seeds) for number in range(2000)]
    errors = sum(verdict in wrong for verdict, _ in found)
    print(f"sd {sd_seeds}, truth {truth}: {errors / 20:.1f} % wrong, {np.mean([n for _, n in found]):.1f} seeds")
    assert errors <= 2000 * 0.05 + 2 * (2000 * 0.05 * 0.95) ** 0.5


def stop(rng: np.random.Generator, truth: float, sd_seeds: float, *, images_df: int = 499) -> tuple[str, int]:
    """Return the verdict at which adding seeds stops, and how many there are then. Margin 1, images of error 0.1."""
    until, image_se = Until(rope=1.0, max_seeds=20), 0.1
    estimated = image_se * (rng.chisquare(images_df) / images_df) ** 0.5
    shift = image_se * rng.normal()
    a, b = sd_seeds * rng.normal(size=(2, until.max_seeds))
    for seeds in until.looks:
        one, other = (truth + shift + a[:seeds]).tolist(), b[:seeds].tolist()
        error = combined_error(estimated, images_df, [0.0, 0.0], one, other)
        difference = float(np.mean(one) - np.mean(other))
        alpha = 0.05 / len(until.looks)
        verdict = rope_verdict(
            t_interval(difference, error, 2 * alpha), t_interval(difference, error, alpha), until.rope
        )
        if verdict != "undecided":
            break
    return verdict, seeds
