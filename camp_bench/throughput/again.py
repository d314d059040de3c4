"""Measures once more what an earlier report was about: the same models, workloads, device and threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from camp_bench.records.throughput import RANDOM, ThroughputReport, Workload
from camp_bench.throughput.measure import measure_throughput
from camp_bench.throughput.workload import random_lengths

__all__ = ["measure_again"]


def measure_again(
    report: ThroughputReport, *, command: Sequence[str] = (), on_stage: Callable[[str], None] = lambda _: None
) -> ThroughputReport:
    """Measure the models of a report on their workloads, with as many turns; raises as `measure_throughput` does."""
    found = [
        measure_throughput(
            [held.model],
            _asked_for(held.workload),
            device=report.environment.device.partition(":")[0],
            threads=report.environment.threads,
            turns=max(2, len(held.score.samples)),
            command=command,
            on_stage=on_stage,
        )
        for held in report.models
    ]
    return msgspec.structs.replace(found[0], models=tuple(part.models[0] for part in found))


def _asked_for(workload: Workload) -> Workload:
    """Return the workload to ask for so that this one is measured.

    A report has the mean length that random captions came out with, near the one that was asked for. Lengths don't fall
    where that rises, so equal means are equal lengths.
    """
    if workload.data != RANDOM:
        return workload
    assert workload.captions is not None  # a report has numbers
    low, high = workload.words - 1, workload.words + 1  # rounding moves no length by more than half a word
    while (words := (low + high) / 2) not in (low, high):
        mean = float(random_lengths(workload.captions, words).mean())
        if mean == workload.words:
            break
        low, high = (words, high) if mean < workload.words else (low, words)
    return msgspec.structs.replace(workload, words=words)
