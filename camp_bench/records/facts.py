"""What a record says of the things that a run rests on and of parts of what it did; every struct here is strict."""

from __future__ import annotations

import msgspec

__all__ = [
    "CascadeFacts",
    "CheckpointFacts",
    "DatasetFacts",
    "Environment",
    "ExternalFacts",
    "Measurement",
    "RelevanceFacts",
    "ScoreCheck",
    "StartedFrom",
    "Strict",
    "VocabularyFacts",
]


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of everything in a record."""


class Measurement(Strict, frozen=True, kw_only=True):
    """Raw samples of one quantity; statistics are derived, never stored."""

    name: str
    unit: str
    samples: tuple[float, ...]


class Environment(Strict, frozen=True, kw_only=True):
    """Where a run took place."""

    camp_bench: str
    commit: str | None
    python: str
    packages: dict[str, str]
    system: str
    processor: str
    cores: int
    memory_bytes: int
    device: str
    device_name: str
    threads: int
    variables: dict[str, str]


class DatasetFacts(Strict, frozen=True, kw_only=True):
    """What was read: sizes by split and the fingerprints that say whether two runs saw the same.

    regions, feature_size: None where another system read its own. train_fingerprint: None where training isn't known.
    leaks: a sentence for two splits that share images by content.
    """

    name: str
    source: str
    images: dict[str, int]
    captions: dict[str, int]
    stored: dict[str, str]
    regions: int | None
    feature_size: int | None
    train_fingerprint: str | None
    leaks: tuple[str, ...] = ()


class VocabularyFacts(Strict, frozen=True, kw_only=True):
    """Where the words came from, and the share of tokens a split that are not among them.

    pretrained: how many words started from vectors of a file, whose checksum is `word_vectors_sha256`.
    """

    source: str
    tokenizer: str
    min_count: int
    size: int
    unknown_share: dict[str, float]
    pretrained: int = 0
    word_vectors_sha256: str | None = None


class CheckpointFacts(Strict, frozen=True, kw_only=True):
    """The file of another program that weights were taken from, and what it says of their training.

    epoch, steps: when it was saved. best_rsum: on dev, as that program computed it. Each is None where the file doesn't
    say it. options: those of its `opt` that are plain values, by dotted name.
    """

    file: str
    sha256: str
    vocabulary_file: str
    vocabulary_sha256: str
    epoch: int | None
    steps: int | None
    best_rsum: float | None
    options: dict[str, bool | int | float | str | None]


class StartedFrom(Strict, frozen=True, kw_only=True):
    """The run whose weights a model started from, and how many of its own tensors they filled."""

    run_id: str
    model: str
    weights_sha256: str
    tensors: int


class CascadeFacts(Strict, frozen=True, kw_only=True):
    """How an evaluation came about in which one model proposed candidates and the run's own scored only those.

    rerank: candidates a query, in each direction. proposer: the run that proposed, of `proposer_model`.
    pairs_scored: by the run's model, of all `pairs`. seconds: of proposing and scoring. full_metrics, full_seconds: of
    the run's model on every pair, measured beside it.
    """

    rerank: int
    proposer: str
    proposer_model: str
    proposer_weights_sha256: str
    pairs_scored: int
    pairs: int
    seconds: float
    full_metrics: dict[str, float]
    full_seconds: float


class RelevanceFacts(Strict, frozen=True, kw_only=True):
    """Metrics with several positives, by judgements beyond the dataset's own pairs.

    source, sha256: where those are from, and the checksum of a file. min_grade: the mean mark from which a pair is a
    positive. queries: how many count, positives: how many pairs there are, by direction. metrics: `i2t.mAP@R`,
    `i2t.R-P`, `i2t.recall@K`, `i2t.hit@K` and the same for t2i, in percent. correlations: of scores with marks, over
    the `graded_pairs`.
    """

    source: str
    sha256: str
    min_grade: float
    queries: dict[str, int]
    positives: dict[str, int]
    metrics: dict[str, float]
    graded_pairs: int
    correlations: dict[str, float]


class ScoreCheck(Strict, frozen=True, kw_only=True):
    """Pairs of the ranking that were scored again, one by one, by a model built anew.

    differing: how many came out otherwise than they were ranked by. largest: difference, in parts of what is let pass.
    """

    pairs: int
    differing: int
    largest: float


class ExternalFacts(Strict, frozen=True, kw_only=True):
    """The files of another system that were ranked, by what they hold: `scores`, `images` and `captions`, ...

    measure: between vectors, `cosine` or `dot`; None for scores, `lower is better` for distances. censored: by
    direction, of top lists, how many queries have their own candidate beyond the end of theirs; such a rank is only
    known to be greater than the list is long, so MeanR isn't known.
    """

    files: dict[str, str]
    sha256: dict[str, str]
    measure: str | None
    censored: dict[str, int] = {}
