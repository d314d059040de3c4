"""What the terminal shows: all figures, the best one bold, and nothing wider than 80 columns."""

from __future__ import annotations

import io

import pytest
from examples import example_record
from rich.console import Console

from camp_bench.comparison import ResultGroup, group_results
from camp_bench.report import format_duration
from camp_bench.report.comparison import title_of
from camp_bench.report.document import Document
from camp_bench.report.results import results_section
from camp_bench.report.writers import terminal


def render(group: ResultGroup, *, width: int = 80, color: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=color, color_system="standard" if color else None)
    console.print(terminal.write(Document("", (results_section(group),), None)))
    return stream.getvalue()


def make_group(*, seeds: int = 1) -> ResultGroup:
    records = []
    for seed in range(seeds):
        for model, rsum in (("vsepp", 99.96), ("scan:t2i-lse", 512.34), ("camp", 512.31)):
            records.append(example_record(model=model, seed=seed, rsum=rsum + seed))
    return group_results(records)[0]


@pytest.mark.parametrize("seeds", [1, 3])
def test_table_fits_80_columns_without_folding_a_name(seeds: int) -> None:
    text = render(make_group(seeds=seeds))
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "scan:t2i-lse" in text
    assert "…" not in text


def test_figures_are_rounded_to_a_tenth_for_display_only() -> None:
    text = render(make_group())
    assert "100.0" in text
    assert "512.3" in text


def test_best_values_are_bold_and_equal_ones_both() -> None:
    text = render(make_group(), color=True)
    bold = [line for line in text.splitlines() if "\x1b[1m512.3" in line]
    assert len(bold) == 2
    assert "\x1b[1m100.0" not in text


def test_single_row_has_nothing_to_be_best_of() -> None:
    group = group_results([example_record()])[0]
    assert "\x1b[1m" not in render(group, color=True).split("───")[-1]


def test_deviation_between_seeds_is_shown() -> None:
    assert "1.0" in render(make_group(seeds=3))
    assert "sd" not in render(make_group())


def test_title_says_what_the_figures_are() -> None:
    assert title_of(make_group()) == ("toy, test split, protocol full: 500 images, 2,500 captions; chance rsum 6.4")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3599.7, "1:00:00"), (7322.0, "2:02:02")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
