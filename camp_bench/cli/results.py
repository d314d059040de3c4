"""What commands that make records keep and say: how they were called, and what an evaluation was that was asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from camp_bench.records import CascadeFacts, EvaluationRecord, RelevanceFacts

__all__ = ["command_line", "describe_cascade", "describe_precision", "describe_relevance"]


def command_line() -> list[str]:
    """Return the words that started this process, as a record can hold them."""
    return ["camp-bench", *(os.fsencode(word).decode("utf-8", "backslashreplace") for word in sys.argv[1:])]


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
