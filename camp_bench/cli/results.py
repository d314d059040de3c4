"""What every command that makes records prints at its end: the table, and where the records lie."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from camp_bench.cli.output import NARROWEST
from camp_bench.comparison import group_results, run_seconds
from camp_bench.records import CascadeFacts, EvaluationRecord, RelevanceFacts, RunRecord
from camp_bench.report import format_duration, results_table, results_title
from camp_bench.report.foreign_text import PlainConsole

__all__ = ["command_line", "describe_cascade", "describe_precision", "describe_relevance", "print_results"]


def command_line() -> list[str]:
    """Return the words that started this process, as a record can hold them."""
    return ["camp-bench", *(os.fsencode(word).decode("utf-8", "backslashreplace") for word in sys.argv[1:])]


def print_results(finished: Sequence[tuple[Path, RunRecord]], split: str) -> None:
    """Print the results of the split, and a line for each record's folder."""
    console = PlainConsole()
    console.width = max(console.width, NARROWEST)
    for group in group_results([record for _, record in finished], split):
        console.print(results_title(group), soft_wrap=True)
        console.print(results_table(group))
        for note in group.notes:
            console.print(f"note: {note}", soft_wrap=True)
    for folder, record in finished:
        rsum, seconds = record.evaluation(split).metrics["rsum"], format_duration(run_seconds(record))
        console.print(f"{_from_here(folder)}/record.json  rsum {rsum:.1f}, {seconds}", soft_wrap=True)


def _from_here(folder: Path) -> Path:
    """Return the folder relative to the working folder where it lies under that."""
    with suppress(OSError, ValueError):  # the working folder is gone, or is elsewhere
        return folder.relative_to(Path.cwd())
    return folder


def describe_cascade(cascade: CascadeFacts, rsum: float) -> str:
    """Return what a cascade saved and what it lost, both as measured."""
    saved, full = 1 - cascade.pairs_scored / cascade.pairs, cascade.full_metrics["rsum"]
    changed = f"lost {full - rsum:.1f}" if rsum <= full else f"gained {rsum - full:.1f}"
    return (
        f"cascade: {cascade.proposer_model} proposed {cascade.rerank} candidates a query, run {cascade.proposer}\n"
        f"  saved {saved:.1%} of the pairs: {cascade.pairs_scored:,} scored of {cascade.pairs:,}, "
        f"{cascade.seconds:.1f} s instead of {cascade.full_seconds:.1f} s\n"
        f"  {changed} of rsum: {rsum:.1f} instead of {full:.1f}"
    )


def describe_relevance(facts: RelevanceFacts) -> str:
    """Return the metrics with several positives, one line a direction, and how scores follow the marks."""
    grade = "" if facts.source in ("data", "eccv", "cxc") else f", mean mark {facts.min_grade:g} or more"
    lines = [f"relevance: {facts.source}{grade}"]
    for way in ("i2t", "t2i"):
        shown = {name.partition(".")[2]: value for name, value in facts.metrics.items() if name.startswith(way)}
        told = "  ".join(f"{name} {value:.1f}" for name, value in shown.items())
        lines.append(f"  {way}: {facts.queries[way]:,} queries, {facts.positives[way]:,} positives")
        lines.append(f"       {told}")
    if facts.correlations:
        tau, rho = facts.correlations["kendall_tau"], facts.correlations["spearman_rho"]
        lines.append(f"  scores of {facts.graded_pairs:,} judged pairs and their marks: tau-b {tau:.3f}, rho {rho:.3f}")
    return "\n".join(lines)


def describe_precision(evaluation: EvaluationRecord, exact: Mapping[str, float]) -> str:
    """Return what half precision changed, metric by metric. exact: the metrics in fp32."""
    recalls = [name for name in exact if ".R@" in name]
    told = "  ".join(f"{name} {evaluation.metrics[name] - exact[name]:+.2f}" for name in [*recalls, "rsum"])
    return f"{evaluation.precision} against fp32 (rsum {exact['rsum']:.1f}):\n  {told}"
