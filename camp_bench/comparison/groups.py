"""From records to rows that may stand side by side: grouped by what was asked, with every difference named."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from camp_bench.comparison.differences import all_but_seed, differences, how_scored, what_scored
from camp_bench.records import RunRecord

__all__ = ["ModelRow", "ResultGroup", "group_results", "run_seconds"]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model under one or more seeds, all else being equal.

    metrics: mean over the seeds, by name, recalls in percent. rsum_sd: sample standard deviation between seeds, None
    for one seed.
    """

    model: str
    seeds: tuple[int, ...]
    metrics: dict[str, float]
    rsum_sd: float | None


@dataclass(frozen=True, slots=True)
class ResultGroup:
    """Models that answered the same task under the same protocol: same captions, images and split.

    notes: what differs all the same between the rows, one sentence each.
    """

    dataset: str
    split: str
    protocol: str
    images: int
    captions: int
    chance_rsum: float
    rows: tuple[ModelRow, ...]
    notes: tuple[str, ...]


def group_results(records: Sequence[RunRecord], split: str = "test") -> tuple[ResultGroup, ...]:
    """Return one group for each task and protocol, its rows in the order of the records.

    Raises RecordError where a record has no evaluation of the split.
    """
    groups: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        evaluation = record.evaluation(split)
        groups.setdefault((evaluation.task_fingerprint, evaluation.protocol), []).append(record)
    return tuple(_group(members, split) for members in groups.values())


def _group(records: Sequence[RunRecord], split: str) -> ResultGroup:
    first = records[0].evaluation(split)
    by_row: dict[tuple[bytes, str], dict[tuple[int, tuple[str, ...]], RunRecord]] = {}
    for record in records:  # weights that were evaluated twice count once
        members = by_row.setdefault((all_but_seed(record), how_scored(record, record.evaluation(split))), {})
        members.setdefault((record.config.seed, what_scored(record)), record)
    return ResultGroup(
        dataset=records[0].dataset.name,
        split=split,
        protocol=first.protocol,
        images=first.images,
        captions=first.captions,
        chance_rsum=first.chance_rsum,
        rows=tuple(_row(list(members.values()), split) for members in by_row.values()),
        notes=differences(records, split),
    )


def _row(records: Sequence[RunRecord], split: str) -> ModelRow:
    metrics = [record.evaluation(split).metrics for record in records]
    sums = [values["rsum"] for values in metrics]
    return ModelRow(
        model=records[0].config.model,
        seeds=tuple(record.config.seed for record in records),
        metrics={name: statistics.fmean(values[name] for values in metrics) for name in metrics[0]},
        rsum_sd=statistics.stdev(sums) if len(sums) > 1 else None,
    )


def run_seconds(record: RunRecord) -> float:
    """Return how long a run took, training and evaluation together."""
    return sum(sum(item.samples) for item in record.timings if item.name == "run")
