"""From records to rows that may stand side by side: grouped by what was asked, with every difference named."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from camp_bench.comparison.differences import differences
from camp_bench.comparison.grouping import RowRuns, group_runs, rows_of
from camp_bench.records import EvaluationRecord, RunRecord

__all__ = ["ModelRow", "ResultGroup", "group_results", "run_seconds"]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model under one or more seeds, all else being equal.

    label: the model's name, with what tells it from its namesakes. metrics: mean over the seeds, by name, recalls in
    percent; those that every seed keeps. rsum_sd: sample standard deviation between seeds, None for one seed.
    """

    label: str
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
    return tuple(_group(members) for members in group_runs([_Scored(item, item.evaluation(split)) for item in records]))


@dataclass(frozen=True, slots=True)
class _Scored:
    record: RunRecord
    evaluation: EvaluationRecord


def _group(members: Sequence[_Scored]) -> ResultGroup:
    record, first = members[0].record, members[0].evaluation
    rows, notes = rows_of(members)
    return ResultGroup(
        dataset=record.dataset.name,
        split=first.split,
        protocol=first.protocol,
        images=first.images,
        captions=first.captions,
        chance_rsum=first.chance_rsum,
        rows=tuple(map(_row, rows)),
        notes=(*notes, *differences([item.record for item in members], first.split)),
    )


def _row(row: RowRuns[_Scored]) -> ModelRow:
    metrics = [run.evaluation.metrics for run in row.runs]
    sums = [values["rsum"] for values in metrics]
    return ModelRow(
        label=row.label,
        seeds=tuple(run.record.config.seed for run in row.runs),
        metrics={
            name: statistics.fmean(values[name] for values in metrics)
            for name in metrics[0]
            if all(name in values for values in metrics)  # as records of different versions keep different ones
        },
        rsum_sd=statistics.stdev(sums) if len(sums) > 1 else None,
    )


def run_seconds(record: RunRecord) -> float:
    """Return how long a run took, training and evaluation together."""
    return sum(sum(item.samples) for item in record.timings if item.name == "run")
