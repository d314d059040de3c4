"""What every command that makes records prints at its end: the table, and where the records lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from camp_bench.comparison import group_results, run_seconds
from camp_bench.records import RunRecord
from camp_bench.tables import format_duration, results_table, results_title

__all__ = ["print_results"]


def print_results(finished: Sequence[tuple[Path, RunRecord]], split: str) -> None:
    """Print the results of the split, and a line for each record's folder."""
    console = Console(highlight=False)
    for group in group_results([record for _, record in finished], split):
        console.print(results_title(group), markup=False)
        console.print(results_table(group))
        for note in group.notes:
            console.print(f"note: {note}", markup=False)
    for folder, record in finished:
        rsum, seconds = record.evaluation(split).metrics["rsum"], format_duration(run_seconds(record))
        console.print(f"{folder}/record.json  rsum {rsum:.1f}, {seconds}", markup=False, soft_wrap=True)
