"""From what a run computed to what its record keeps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from camp_bench.config import Settings
from camp_bench.data.corpus import Corpus
from camp_bench.data.dataset import Split
from camp_bench.data.fingerprints import Fingerprints
from camp_bench.data.vocabulary import TOKENIZER, Vocabulary, VocabularySource
from camp_bench.evaluate import Evaluation
from camp_bench.metrics import chance_metrics, hubness
from camp_bench.records import DatasetFacts, EvaluationRecord, Measurement, TrainingRecord, VocabularyFacts
from camp_bench.train import Trained

__all__ = ["dataset_facts", "evaluation_record", "query_arrays", "timings", "training_record", "vocabulary_facts"]


def query_arrays(evaluation: Evaluation, split: Split) -> dict[str, npt.NDArray[np.generic]]:
    """Return the per-query results of both directions by name, and `image_of`, the image of each caption.

    `i2t_b`, `i2t_n`, `i2t_p`: (images,) int32; `i2t_top_ids`, `i2t_top_scores`: (images, 100 or fewer), best first;
    `t2i_...` the same for (captions,).
    """
    arrays: dict[str, npt.NDArray[np.generic]] = {"image_of": split.image_of.astype(np.int32)}
    for direction, ranks in (("i2t", evaluation.ranks.i2t), ("t2i", evaluation.ranks.t2i)):
        arrays |= {
            f"{direction}_b": ranks.b.astype(np.int32),
            f"{direction}_n": ranks.n.astype(np.int32),
            f"{direction}_p": ranks.p.astype(np.int32),
            f"{direction}_top_ids": ranks.top_ids,
            f"{direction}_top_scores": ranks.top_scores,
        }
    return arrays


def evaluation_record(
    evaluation: Evaluation,
    split: Split,
    prints: Fingerprints,
    protocol: str,
    settings: Settings,
    *,
    queries: str | None = None,
) -> EvaluationRecord:
    """Return the metrics of a split with all that says what was ranked. queries: the file of the per-query results."""
    return EvaluationRecord(
        split=split.name,
        protocol=protocol,
        images=split.n_images,
        captions=split.n_captions,
        task_fingerprint=prints.task,
        features_fingerprint=prints.features,
        tile_images=settings.tile_images,
        tile_captions=settings.tile_captions,
        metrics=evaluation.metrics,
        chance_rsum=chance_metrics(split.image_of, split.n_images)["rsum"],
        hubness={
            "i2t": hubness(evaluation.ranks.i2t.top_ids, split.n_captions),
            "t2i": hubness(evaluation.ranks.t2i.top_ids, split.n_images),
        },
        queries=queries,
    )


def dataset_facts(corpus: Corpus, train_fingerprint: str) -> DatasetFacts:
    """Return sizes by split, and the fingerprint of what a model could learn from."""
    splits = corpus.splits
    any_split = next(iter(splits.values()))
    return DatasetFacts(
        name=corpus.dataset.name,
        source=corpus.dataset.source,
        images={name: split.n_images for name, split in splits.items()},
        captions={name: split.n_captions for name, split in splits.items()},
        stored={name: split.stored for name, split in splits.items()},
        regions=any_split.n_regions,
        feature_size=any_split.feature_size,
        train_fingerprint=train_fingerprint,
    )


def vocabulary_facts(
    corpus: Corpus, vocabulary: Vocabulary, source: VocabularySource, min_count: int
) -> VocabularyFacts:
    """Return where the words came from, and how many of each split's are not among them."""
    return VocabularyFacts(
        source=source,
        tokenizer=TOKENIZER,
        min_count=min_count,
        size=len(vocabulary),
        unknown_share=corpus.unknown_shares(vocabulary),
    )


def training_record(trained: Trained, *, parameters: int) -> TrainingRecord:
    """Return the story of the training; `parameters` counts the model's numbers."""
    return TrainingRecord(
        steps=trained.steps,
        pairs_seen=trained.pairs_seen,
        best_epoch=trained.best_epoch,
        parameters=parameters,
        collapsed=trained.epochs[-1].collapsed,
        epochs=trained.epochs,
    )


def timings(
    trained: Trained, test: Evaluation, *, run_seconds: float, process_bytes: int | None, device_bytes: int | None
) -> tuple[Measurement, ...]:
    """Return raw samples: seconds of every epoch and evaluation and of the whole run, and the most memory held.

    process_bytes: peak of the process so far, earlier runs in it included. Both are None where the system doesn't tell.
    """
    samples: list[tuple[str, str, Sequence[float | None]]] = [
        ("train_epoch", "s", [epoch.train_seconds for epoch in trained.epochs]),
        ("dev_evaluation", "s", [epoch.dev_seconds for epoch in trained.epochs]),
        ("test_encode", "s", [test.encode_seconds]),
        ("test_score_and_rank", "s", [test.score_seconds]),
        ("run", "s", [run_seconds]),
        ("process_peak_memory", "B", [process_bytes]),
        ("device_peak_memory", "B", [device_bytes]),
    ]
    known = [(name, unit, [float(value) for value in values if value is not None]) for name, unit, values in samples]
    return tuple(Measurement(name=name, unit=unit, samples=tuple(values)) for name, unit, values in known if values)
