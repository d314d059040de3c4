"""What every command that makes records prints at its end: the table, and where the records lie."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from camp_bench.cli.output import NARROWEST
from camp_bench.comparison import group_results, run_seconds
from camp_bench.records import CascadeFacts, RunRecord
from camp_bench.tables import format_duration, results_table, results_title

__all__ = ["command_line", "describe_cascade", "print_results"]


def command_line() -> list[str]:
    """Return the words that started this process, as a record can hold them."""
    return ["camp-bench", *(os.fsencode(word).decode("utf-8", "backslashreplace") for word in sys.argv[1:])]


def print_results(finished: Sequence[tuple[Path, RunRecord]], split: str) -> None:
    """Print the results of the split, and a line for each record's folder."""
    console = Console(highlight=False)
    console.width = max(console.width, NARROWEST)
    for group in group_results([record for _, record in finished], split):
        console.print(results_title(group), markup=False, soft_wrap=True)
        console.print(results_table(group))
        for note in group.notes:
            console.print(f"note: {note}", markup=False, soft_wrap=True)
    for folder, record in finished:
        rsum, seconds = record.evaluation(split).metrics["rsum"], format_duration(run_seconds(record))
        console.print(f"{folder}/record.json  rsum {rsum:.1f}, {seconds}", markup=False, soft_wrap=True)


def describe_cascade(cascade: CascadeFacts, rsum: float) -> str:
    """Return what a cascade saved and what it lost, both as measured."""
    saved, full = 1 - cascade.pairs_scored / cascade.pairs, cascade.full_metrics["rsum"]
    return (
        f"cascade: {cascade.proposer_model} proposed {cascade.rerank} candidates a query, run {cascade.proposer}\n"
        f"  saved {saved:.1%} of the pairs: {cascade.pairs_scored:,} scored of {cascade.pairs:,}, "
        f"{cascade.seconds:.1f} s instead of {cascade.full_seconds:.1f} s\n"
        f"  lost {full - rsum:.1f} of rsum: {rsum:.1f} instead of {full:.1f}"
    )
