"""A run at a glance, and lists of runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from examples import example_record

from camp_bench.report.runs import list_document, run_document, sparkline


@pytest.mark.parametrize(
    ("values", "shown"),
    [((0.0, 1.0), "▁█"), ((3.0, 3.0, 3.0), "▁▁▁"), ((0.0, 2.0, 4.0, 6.0, 7.9), "▁▃▅▇█"), ((5.0,), "▁")],
)
def test_a_course_as_small_bars(values: tuple[float, ...], shown: str) -> None:
    assert sparkline(values) == shown


def test_a_long_course_keeps_its_last_value() -> None:
    values = [0.0] * 500 + [1.0]
    assert len(sparkline(values)) <= 60
    assert sparkline(values).endswith("▁█")


def test_a_run_names_what_a_reader_has_to_know() -> None:
    record = example_record(model="camp", deterministic=False, nondeterministic_reason="an operation of this device")
    (section,) = run_document(Path("results/x"), record).sections
    assert section.title == "camp seed 0 on toy: results/x"
    assert [remark.text for remark in section.remarks] == [
        "not deterministic: an operation of this device",
        "camp-bench run",
    ]
    facts = {row[0].text: row[1].text for row in section.sheets[-1].rows}
    assert facts["training"] == "8 pairs in 1 steps, best epoch 1"
    assert "evaluates again" not in facts


def test_a_list_keeps_figures_to_sort_by() -> None:
    (sheet,) = list_document([(Path("a"), example_record(rsum=60.25)), (Path("b"), example_record(seed=3))]).sheets
    assert [row[6].value for row in sheet.rows] == [60.25, 60.0]
    assert [row[5].text for row in sheet.rows] == ["0", "3"]
