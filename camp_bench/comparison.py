"""From records to rows that may stand side by side: grouped by what was asked, with every difference named."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

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
    by_config: dict[bytes, list[RunRecord]] = {}
    for record in records:
        by_config.setdefault(_all_but_seed(record), []).append(record)
    return ResultGroup(
        dataset=records[0].dataset.name,
        split=split,
        protocol=first.protocol,
        images=first.images,
        captions=first.captions,
        chance_rsum=first.chance_rsum,
        rows=tuple(_row(members, split) for members in by_config.values()),
        notes=_differences(records, split),
    )


def _all_but_seed(record: RunRecord) -> bytes:
    """Return what must be equal in runs that one row stands for."""
    config = msgspec.structs.replace(record.config, seed=0)
    return msgspec.json.encode((config, record.dataset.train_fingerprint), order="sorted")


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


def _differences(records: Sequence[RunRecord], split: str) -> tuple[str, ...]:
    notes = []
    if len({record.evaluation(split).features_fingerprint for record in records}) > 1:
        notes.append("the image features differ between these runs")
    if len({record.dataset.train_fingerprint for record in records} - {""}) > 1:
        notes.append("the training data differ between these runs")
    if len({_dev_fingerprint(record) for record in records} - {None}) > 1:
        notes.append("the dev data, on which epochs were chosen, differ between these runs")
    if len({record.config.vocab_from for record in records}) > 1:
        notes.append("some vocabularies come from train+dev and others from train alone")
    models = Counter(key for _, key in {(_all_but_seed(record), record.config.model) for record in records})
    notes.extend(f"{model} stands in {rows} rows, as its settings differ" for model, rows in models.items() if rows > 1)
    notes.extend(
        f"{record.run_id} was trained by another program ({record.training.checkpoint.file}): its seed and its "
        "training data are not known"
        for record in records
        if record.training.checkpoint is not None
    )
    notes.extend(
        f"{record.run_id} collapsed: its training ended on the plateau of a constant scorer"
        for record in records
        if record.training.collapsed
    )
    notes.extend(
        f"{record.run_id} is not deterministic: {record.nondeterministic_reason}"
        for record in records
        if not record.deterministic
    )
    return tuple(notes)


def _dev_fingerprint(record: RunRecord) -> str | None:
    found = [item.task_fingerprint + item.features_fingerprint for item in record.evaluations if item.split == "dev"]
    return found[0] if found else None
