"""From what a run computed to its record on disk, and who hears of it on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from camp_bench.data.corpus import Corpus
from camp_bench.data.dataset import Split
from camp_bench.data.duplicates import similar_images
from camp_bench.data.judgements import Judgements
from camp_bench.evaluation.evaluate import Evaluated
from camp_bench.evaluation.relevance import Relevance
from camp_bench.evaluation.tiles import Numbers, OnScores
from camp_bench.machine.devices import describe_device
from camp_bench.machine.environment import collect_environment
from camp_bench.ranking.metrics import hubness
from camp_bench.ranking.tiles import TOP
from camp_bench.records import (
    WEIGHTS_NAME,
    CascadeFacts,
    DatasetFacts,
    Environment,
    EvaluationRecord,
    Measurement,
    RunRecord,
    ScoreCheck,
    array_name,
    create_scores,
    file_sha256,
    storable,
    write_arrays,
    write_file,
    write_record,
)
from camp_bench.runs.lesson import Observer
from camp_bench.runs.plan import RunPlan

__all__ = [
    "OUT_OF_MEMORY",
    "Outcome",
    "Reporter",
    "ScoreFile",
    "dataset_facts",
    "environment_of",
    "evaluation_timings",
    "keep",
    "measured",
    "told_of",
]


OUT_OF_MEMORY = "lower --batch-size or --memory-budget"
"""The remedy for a run that takes too much of it."""


@runtime_checkable
class Reporter(Observer, Protocol):
    """An observer of the training that hears of what is around it too."""

    def on_stage(self, text: str) -> None: ...

    def on_run(self, plan: RunPlan, number: int, total: int) -> None: ...

    def on_record(self, folder: Path, record: RunRecord) -> None: ...


@runtime_checkable
class ScoreTaker(Protocol):
    """Who wants scores (I, C) of images (I,) with captions (C,) as tiles are scored."""

    def take(self, images: Numbers, captions: Numbers, scores: npt.NDArray[np.float32]) -> None: ...


class ScoreFile:
    """A split's score matrix on disk, (images, captions) float32 in the split's order; NaN for what isn't ranked."""

    def __init__(self, folder: Path, split: Split) -> None:
        self.name = f"scores_{split.name}.npy"
        self._path = folder / self.name
        self._matrix = create_scores(self._path, split.n_images, split.n_captions)

    def take(self, images: Numbers, captions: Numbers, scores: npt.NDArray[np.float32]) -> None:
        """Keep scores (I, C) of images (I,) with captions (C,)."""
        self._matrix[np.ix_(images, captions)] = scores

    def finish(self) -> str:
        """Close the file and return its sha256."""
        del self._matrix
        return file_sha256(self._path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An evaluation with what its record says beside the figures.

    task, features: fingerprints; features None where another system read its own. per_query: keep every query's
    results. examples: what the model looks at in a few pairs. scores: the file that took all scores. judged: what is
    true beyond the split's own pairs, kept with the results. score_check: one that failed makes the evaluation
    transductive. budget_bytes: of ranking scores that were there already.
    """

    evaluated: Evaluated
    task: str
    features: str | None
    per_query: bool = True
    transductive: bool = False
    examples: Mapping[str, npt.NDArray[Any]] | None = None
    scores: ScoreFile | None = None
    cascade: CascadeFacts | None = None
    relevance: Relevance | None = None
    judged: Judgements | None = None
    fp32_metrics: dict[str, float] | None = None
    score_check: ScoreCheck | None = None
    budget_bytes: int | None = None

    def file(self, kind: str) -> str:
        """Return the name of a file of the split."""
        return f"{kind}_{self.evaluated.split.name}.npz"


def keep(folder: Path, about: RunRecord, outcomes: Sequence[Outcome], files: Mapping[str, bytes]) -> RunRecord:
    """Write a run's files and its record into its folder and return the record.

    about: the record but for `evaluations`, `files` and the checksum of weights, which follow from the
    outcomes and the other files, by name.
    """
    checksums = {name: write_file(folder / name, data) for name, data in files.items()}
    for one in outcomes:
        if one.per_query:
            arrays = _query_arrays(one.evaluated, one.judged) | _judged_arrays(one.relevance)
            checksums[one.file("queries")] = write_arrays(folder / one.file("queries"), arrays)
        if one.examples is not None:
            checksums[one.file("examples")] = write_arrays(folder / one.file("examples"), one.examples)
        if one.scores is not None:
            checksums[one.scores.name] = one.scores.finish()
    evaluations = tuple(_evaluation_record(one) for one in outcomes)
    weights = checksums.get(WEIGHTS_NAME, about.weights_sha256)
    record = msgspec.structs.replace(about, evaluations=evaluations, files=checksums, weights_sha256=weights)
    write_record(folder, record)
    return record


def _query_arrays(evaluated: Evaluated, judged: Judgements | None) -> dict[str, npt.NDArray[np.generic]]:
    """Return the per-query results of both directions by name; the image of each caption, and groups of like images.

    `i2t_b`, `i2t_n`, `i2t_p`: (images,) int32; `i2t_top_ids`, `i2t_top_scores`: (images, 100 or fewer), best first;
    `t2i_...` the same for (captions,). judged: what is true beyond the split's own pairs, kept as `i2t_true` and
    `t2i_true`, (pairs, 2) of query and candidate, and the marked pairs of image and caption with their `grades`.
    """
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "image_of": evaluated.split.image_of.astype(np.int32),
        "similar_images": similar_images(evaluated.split),
    }
    for direction, ranks in (("i2t", evaluated.ranks.i2t), ("t2i", evaluated.ranks.t2i)):
        arrays |= {
            f"{direction}_b": ranks.b.astype(np.int32),
            f"{direction}_n": ranks.n.astype(np.int32),
            f"{direction}_p": ranks.p.astype(np.int32),
            f"{direction}_top_ids": ranks.top_ids[:, :TOP],
            f"{direction}_top_scores": ranks.top_scores[:, :TOP],
        }
    if judged is not None:
        for direction, positives in (("i2t", judged.i2t), ("t2i", judged.t2i)):
            arrays[f"{direction}_true"] = np.stack(positives.pairs, axis=1).astype(np.int32)
        arrays["judged_pairs"] = np.stack((judged.images, judged.captions), axis=1).astype(np.int32)
        arrays["grades"] = judged.grades
    return arrays


def _judged_arrays(relevance: Relevance | None) -> dict[str, npt.NDArray[np.generic]]:
    """Return the metrics with several positives query by query, (queries,) each, by the names of their arrays."""
    return {} if relevance is None else {array_name(name): values for name, values in relevance.values.items()}


def _evaluation_record(outcome: Outcome) -> EvaluationRecord:
    """Return the metrics of a split with all that says what was ranked."""
    evaluated, split = outcome.evaluated, outcome.evaluated.split
    tiling, check = evaluated.tiling, outcome.score_check
    return EvaluationRecord(
        split=split.name,
        protocol=evaluated.protocol,
        images=split.n_images,
        captions=split.n_captions,
        task_fingerprint=outcome.task,
        features_fingerprint=outcome.features,
        tile_images=None if tiling is None else tiling.images,
        tile_captions=None if tiling is None else tiling.captions,
        memory_budget_bytes=outcome.budget_bytes if tiling is None else tiling.budget_bytes,
        metrics=evaluated.metrics,
        chance_rsum=evaluated.chance_rsum,
        hubness={
            "i2t": hubness(evaluated.ranks.i2t.top_ids, split.n_captions),
            "t2i": hubness(evaluated.ranks.t2i.top_ids, split.n_images),
        },
        queries=outcome.file("queries") if outcome.per_query else None,
        examples=None if outcome.examples is None else outcome.file("examples"),
        transductive=outcome.transductive or (check is not None and check.differing > 0),
        scores=None if outcome.scores is None else outcome.scores.name,
        cascade=outcome.cascade,
        relevance=None if outcome.relevance is None else outcome.relevance.facts,
        precision=evaluated.precision,
        fp32_metrics=outcome.fp32_metrics,
        score_check=check,
    )


def told_of(*takers: ScoreTaker | None) -> OnScores | None:
    """Return who passes scores on to all that want them, None where nobody does."""
    wanting = [taker for taker in takers if taker is not None]
    if not wanting:
        return None

    def tell(images: Numbers, captions: Numbers, scores: npt.NDArray[np.float32]) -> None:
        for taker in wanting:
            taker.take(images, captions, scores)

    return tell


def environment_of(device: torch.device) -> Environment:
    """Return where this process computes."""
    return collect_environment(device=str(device), device_name=describe_device(device), threads=torch.get_num_threads())


def dataset_facts(corpus: Corpus, train_fingerprint: str | None, leaks: tuple[str, ...] = ()) -> DatasetFacts:
    """Return sizes by split, the fingerprint of what a model could learn from, and what the splits share."""
    splits = corpus.splits
    any_split = next(iter(splits.values()))
    return DatasetFacts(
        name=storable(corpus.dataset.name),
        source=corpus.dataset.source,
        images={name: split.n_images for name, split in splits.items()},
        captions={name: split.n_captions for name, split in splits.items()},
        stored={name: split.stored for name, split in splits.items()},
        regions=any_split.n_regions,
        feature_size=any_split.feature_size,
        train_fingerprint=train_fingerprint,
        leaks=tuple(map(storable, leaks)),
    )


def evaluation_timings(evaluated: Evaluated, *, run_seconds: float) -> tuple[Measurement, ...]:
    """Return the seconds of encoding, of scoring with ranking, and of all that was done."""
    return (
        *measured("encode", "s", evaluated.encode_seconds),
        *measured("score_and_rank", "s", evaluated.score_seconds),
        *measured("run", "s", run_seconds),
    )


def measured(name: str, unit: str, *samples: float | int | None) -> tuple[Measurement, ...]:
    """Return one measurement of the samples that are known, or none."""
    known = tuple(float(sample) for sample in samples if sample is not None)
    return (Measurement(name=name, unit=unit, samples=known),) if known else ()
