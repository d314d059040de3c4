"""From what a run computed to what its record keeps, and who hears of it on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from camp_bench.data.corpus import Corpus
from camp_bench.data.dataset import Split
from camp_bench.data.duplicates import similar_images
from camp_bench.data.fingerprints import Fingerprints
from camp_bench.data.judgements import Judgements
from camp_bench.data.tokenizers import TOKENIZERS
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.data.word_vectors import WordVectors
from camp_bench.evaluation.evaluate import Evaluation
from camp_bench.evaluation.tiles import Numbers, OnScores
from camp_bench.machine.devices import describe_device
from camp_bench.machine.environment import collect_environment
from camp_bench.ranking.metrics import hubness
from camp_bench.ranking.positives import Found, grade_correlations, positive_metrics
from camp_bench.ranking.tiles import TOP
from camp_bench.records import (
    CascadeFacts,
    DatasetFacts,
    Environment,
    EvaluationRecord,
    Measurement,
    RelevanceFacts,
    RunRecord,
    ScoreCheck,
    StartedFrom,
    TrainingRecord,
    VocabularyFacts,
    create_scores,
    file_sha256,
    storable,
)
from camp_bench.runs.plan import RunPlan
from camp_bench.runs.train import Observer, Trained

__all__ = [
    "OUT_OF_MEMORY",
    "PairScores",
    "Reporter",
    "ScoreFile",
    "dataset_facts",
    "environment_of",
    "evaluation_record",
    "evaluation_timings",
    "query_arrays",
    "relevance_facts",
    "timings",
    "told_of",
    "training_record",
    "true_scores",
    "vocabulary_facts",
]


OUT_OF_MEMORY = "lower --batch-size or --memory-budget"
"""The remedy for a run that takes too much of it."""


@runtime_checkable
class Reporter(Observer, Protocol):
    """An observer of the training that hears of what is around it too."""

    def on_stage(self, text: str) -> None: ...

    def on_run(self, plan: RunPlan, number: int, total: int) -> None: ...

    def on_record(self, folder: Path, record: RunRecord) -> None: ...


def environment_of(device: torch.device) -> Environment:
    """Return where this process computes."""
    return collect_environment(device=str(device), device_name=describe_device(device), threads=torch.get_num_threads())


def query_arrays(
    evaluation: Evaluation, split: Split, judged: Judgements | None = None
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the per-query results of both directions by name; the image of each caption, and groups of like images.

    `i2t_b`, `i2t_n`, `i2t_p`: (images,) int32; `i2t_top_ids`, `i2t_top_scores`: (images, 100 or fewer), best first;
    `t2i_...` the same for (captions,). judged: what is true beyond the split's own pairs, kept as `i2t_true` and
    `t2i_true`, (pairs, 2) of query and candidate, and the marked pairs of image and caption with their `grades`.
    """
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "image_of": split.image_of.astype(np.int32),
        "similar_images": similar_images(split),
    }
    for direction, ranks in (("i2t", evaluation.ranks.i2t), ("t2i", evaluation.ranks.t2i)):
        arrays |= {
            f"{direction}_b": ranks.b.astype(np.int32),
            f"{direction}_n": ranks.n.astype(np.int32),
            f"{direction}_p": ranks.p.astype(np.int32),
            f"{direction}_top_ids": ranks.top_ids[:, :TOP],
            f"{direction}_top_scores": ranks.top_scores[:, :TOP],
        }
    if judged is not None:
        for direction, positives in (("i2t", judged.i2t), ("t2i", judged.t2i)):
            pairs = np.divmod(positives.keys, positives.candidates)
            arrays[f"{direction}_true"] = np.stack(pairs, axis=1).astype(np.int32)
        arrays["judged_pairs"] = np.stack((judged.images, judged.captions), axis=1).astype(np.int32)
        arrays["grades"] = judged.grades
    return arrays


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


def evaluation_record(
    evaluation: Evaluation,
    split: Split,
    prints: Fingerprints,
    protocol: str,
    *,
    queries: str | None = None,
    examples: str | None = None,
    transductive: bool = False,
    scores: str | None = None,
    cascade: CascadeFacts | None = None,
    relevance: RelevanceFacts | None = None,
    precision: str = "fp32",
    fp32_metrics: dict[str, float] | None = None,
    score_check: ScoreCheck | None = None,
) -> EvaluationRecord:
    """Return the metrics of a split with all that says what was ranked.

    queries, examples, scores: the files of the per-query results, of what the model looks at and of the score matrix.
    """
    return EvaluationRecord(
        split=split.name,
        protocol=protocol,
        images=split.n_images,
        captions=split.n_captions,
        task_fingerprint=prints.task,
        features_fingerprint=prints.features,
        tile_images=evaluation.tile_images,
        tile_captions=evaluation.tile_captions,
        memory_budget_bytes=evaluation.memory_budget_bytes,
        metrics=evaluation.metrics,
        chance_rsum=evaluation.chance_rsum,
        hubness={
            "i2t": hubness(evaluation.ranks.i2t.top_ids, split.n_captions),
            "t2i": hubness(evaluation.ranks.t2i.top_ids, split.n_images),
        },
        queries=queries,
        examples=examples,
        transductive=transductive or (score_check is not None and score_check.differing > 0),
        scores=scores,
        cascade=cascade,
        relevance=relevance,
        precision=precision,
        fp32_metrics=fp32_metrics,
        score_check=score_check,
    )


class PairScores:
    """The scores of chosen pairs, gathered as tiles are scored. images, captions: (P,) of the pairs."""

    def __init__(self, images: Numbers, captions: Numbers) -> None:
        self._images, self._captions = images, captions
        self.scores = np.full(len(images), np.nan, dtype=np.float32)

    def take(self, images: Numbers, captions: Numbers, scores: npt.NDArray[np.float32]) -> None:
        """Take what is wanted of the scores (I, C) of images (I,), which follow each other, with captions (C,)."""
        here = np.flatnonzero((self._images >= images[0]) & (self._images <= images[-1]))
        order = np.argsort(captions)
        place = np.searchsorted(captions[order], self._captions[here])
        found = np.minimum(place, len(captions) - 1)
        there = captions[order][found] == self._captions[here]
        here, columns = here[there], order[found[there]]
        self.scores[here] = scores[self._images[here] - images[0], columns]


def told_of(*takers: ScoreFile | PairScores | None) -> OnScores | None:
    """Return who passes scores on to all that want them, None where nobody does."""
    wanting = [taker for taker in takers if taker is not None]
    if not wanting:
        return None

    def tell(images: Numbers, captions: Numbers, scores: npt.NDArray[np.float32]) -> None:
        for taker in wanting:
            taker.take(images, captions, scores)

    return tell


def true_scores(judged: Judgements) -> tuple[PairScores, PairScores]:
    """Return what gathers the scores of all positives, of i2t and of t2i, in the order of their keys."""
    images, captions = divmod(judged.i2t.keys, judged.i2t.candidates)
    of_captions, of_images = divmod(judged.t2i.keys, judged.t2i.candidates)
    return PairScores(images, captions), PairScores(of_images, of_captions)


def relevance_facts(
    judged: Judgements,
    evaluation: Evaluation,
    min_grade: float,
    graded: npt.NDArray[np.float32],
    true: Sequence[npt.NDArray[np.float32]] | None,
) -> RelevanceFacts:
    """Return the metrics with several positives. graded, true: the scores of the graded pairs and, by direction, of all
    positives; None where no more is known than the top lists.
    """
    metrics: dict[str, float] = {}
    sides = {"i2t": (evaluation.ranks.i2t, judged.i2t), "t2i": (evaluation.ranks.t2i, judged.t2i)}
    for place, (direction, (ranks, positives)) in enumerate(sides.items()):
        beyond = np.zeros(len(ranks.top_ids), dtype=np.int64) if ranks.beyond is None else ranks.beyond
        scores = np.full(len(positives.keys), np.nan) if true is None else true[place]
        found = Found.of(ranks.top_ids, ranks.top_scores, beyond, positives, scores)
        values = positive_metrics(found, positives)
        metrics |= {f"{direction}.{name}": value for name, value in values.items()}
    return RelevanceFacts(
        source=storable(judged.source),
        sha256=judged.sha256,
        min_grade=min_grade,
        queries={direction: len(positives.queries) for direction, (_, positives) in sides.items()},
        positives={direction: len(positives.keys) for direction, (_, positives) in sides.items()},
        metrics=metrics,
        graded_pairs=len(judged.grades),
        correlations=grade_correlations(graded, judged.grades),
    )


def dataset_facts(corpus: Corpus, train_fingerprint: str, leaks: tuple[str, ...] = ()) -> DatasetFacts:
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


def vocabulary_facts(
    corpus: Corpus, vocabulary: Vocabulary, source: str, min_count: int, vectors: WordVectors | None = None
) -> VocabularyFacts:
    """Return where the words came from, how many of each split's are not among them, and what they started from."""
    return VocabularyFacts(
        source=source,
        tokenizer=TOKENIZERS[vocabulary.tokenizer],
        min_count=min_count,
        size=len(vocabulary),
        unknown_share=corpus.unknown_shares(vocabulary),
        pretrained=0 if vectors is None else len(vectors.rows),
        word_vectors_sha256=None if vectors is None else vectors.sha256,
    )


def training_record(trained: Trained, *, parameters: int, started_from: StartedFrom | None = None) -> TrainingRecord:
    """Return the story of the training; `parameters` counts the model's numbers."""
    each = len(trained.epochs) // len(trained.best_epochs)  # epochs of a member
    return TrainingRecord(
        steps=trained.steps,
        pairs_seen=trained.pairs_seen,
        best_epochs=trained.best_epochs,
        parameters=parameters,
        collapsed=any(log.collapsed for log in trained.epochs[each - 1 :: each]),
        epochs=trained.epochs,
        started_from=started_from,
    )


def timings(
    trained: Trained, test: Evaluation, *, run_seconds: float, process_bytes: int | None, device_bytes: int | None
) -> tuple[Measurement, ...]:
    """Return raw samples: seconds of every epoch and evaluation and of the whole run, and the most memory held.

    process_bytes: peak of the process so far, earlier runs in it included. Both are None where the system doesn't tell.
    """
    return (
        *_measured("train_epoch", "s", *(epoch.train_seconds for epoch in trained.epochs)),
        *_measured("dev_evaluation", "s", *(epoch.dev_seconds for epoch in trained.epochs)),
        *evaluation_timings(test, run_seconds=run_seconds),
        *_measured("process_peak_memory", "B", process_bytes),
        *_measured("device_peak_memory", "B", device_bytes),
    )


def evaluation_timings(evaluation: Evaluation, *, run_seconds: float) -> tuple[Measurement, ...]:
    """Return the seconds of encoding, of scoring with ranking, and of all that was done."""
    return (
        *_measured("encode", "s", evaluation.encode_seconds),
        *_measured("score_and_rank", "s", evaluation.score_seconds),
        *_measured("run", "s", run_seconds),
    )


def _measured(name: str, unit: str, *samples: float | int | None) -> tuple[Measurement, ...]:
    """Return one measurement of the samples that are known, or none."""
    known = tuple(float(sample) for sample in samples if sample is not None)
    return (Measurement(name=name, unit=unit, samples=known),) if known else ()
