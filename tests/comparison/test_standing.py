"""The verdict that opens a comparison: each row where its test or its interval puts it, and nothing claimed beyond."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from comparison_examples import write_run

from camp_bench.comparison import CompareOptions, Comparison, compare
from camp_bench.report import verdict

QUICK = CompareOptions(resamples=500)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return runs of which camp is best, scan close to it, vsepp far behind and add transductive."""
    place = tmp_path_factory.mktemp("standing")
    for seed in range(3):
        write_run(place, model="camp", seed=seed, level=1.0)
        write_run(place, model="scan", seed=seed, level=(0.8, 1.2, 1.0)[seed])
        write_run(place, model="vsepp", seed=seed, level=2.2)
    write_run(place, model="add", level=0.1, evaluation={"transductive": True})
    return place


def labels(table: Comparison, name: str) -> list[str]:
    return [table.row(letter).label for letter in getattr(table.standing, name)]


def test_each_row_stands_where_its_test_puts_it(results: Path) -> None:
    table = compare(results, QUICK)
    best = max(("camp", "scan"), key=lambda name: _value(table, name))
    assert table.row(table.standing.against).label == best
    assert labels(table, "open") == [name for name in ("camp", "scan") if name != best]
    assert labels(table, "behind") == ["vsepp"]
    assert labels(table, "apart") == ["add"]
    assert labels(table, "ahead") == labels(table, "equal") == []
    said = verdict(table)
    assert said.startswith(f"{best} has the highest rsum {_value(table, best):.1f}: ")
    assert "is not told apart from it, which is not to be equal" in said
    assert "vsepp is behind" in said
    assert "add is not compared with it" in said
    assert said.endswith("(0.05 level; scope method).")


def test_a_wide_margin_makes_equals_and_only_what_is_sure_leads(results: Path) -> None:
    equal = compare(results, dataclasses.replace(QUICK, rope=250.0, models=("camp", "scan")))
    assert len(equal.standing.equal) == 1
    assert "is equal to it within ±250 points" in verdict(equal)
    leads = compare(results, dataclasses.replace(QUICK, models=("camp", "vsepp")))
    assert verdict(leads).startswith(f"camp leads (rsum {_value(leads, 'camp'):.1f}): vsepp is behind")


def test_a_reference_is_what_rows_stand_to(results: Path) -> None:
    table = compare(results, dataclasses.replace(QUICK, reference="vsepp", models=("camp", "scan", "vsepp")))
    assert sorted(labels(table, "ahead")) == ["camp", "scan"]
    assert verdict(table).startswith(f"Against vsepp (rsum {_value(table, 'vsepp'):.1f}): ")
    assert "are better" in verdict(table)


def test_one_row_stands_alone(results: Path) -> None:
    table = compare(results, dataclasses.replace(QUICK, models=("camp",)))
    assert verdict(table) == f"camp stands alone, with rsum {_value(table, 'camp'):.1f}."


def _value(table: Comparison, label: str) -> float:
    return next(row.estimates["rsum"].value for row in table.rows if row.label == label)
