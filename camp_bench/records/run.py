"""A run as its record keeps it: how it was trained, how it ranked, and all that it rests on."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from camp_bench.config import RunConfig, Until
from camp_bench.errors import RecordError
from camp_bench.records.facts import (
    CascadeFacts,
    CheckpointFacts,
    DatasetFacts,
    Environment,
    ExternalFacts,
    Measurement,
    RelevanceFacts,
    ScoreCheck,
    StartedFrom,
    Strict,
    VocabularyFacts,
)

__all__ = [
    "RECORD_NAME",
    "SCHEMA_VERSION",
    "VOCABULARY_NAME",
    "WEIGHTS_NAME",
    "EpochLog",
    "EvaluationRecord",
    "RunRecord",
    "TrainingRecord",
]

SCHEMA_VERSION: Final = 2
RECORD_NAME = "record.json"
WEIGHTS_NAME, VOCABULARY_NAME = "weights.safetensors", "vocabulary.json"
COLLAPSED_SHARE = 0.9
"""Steps on the plateau, of an epoch's, that make a collapse: training that only crosses it has fewer."""


class EpochLog(Strict, frozen=True, kw_only=True):
    """One epoch: mean loss a step (summed over the batch), learning rate at its end, dev rsum where validated.

    plateau: what the loss would be if the model gave every pair the same score, 2 B margin for the summed triplet loss
    with hardest negatives and 4 B ln 2 for CAMP's cross-entropy. Hardest negatives can drive a model there, for good.
    on_plateau: the share of the steps whose loss is that, within 1 %. stage: of the training, "" where it has none.
    gradient_norm: the median over steps, before clipping. train_rsum: of a few training images, where asked for.
    vitals: what the model tells of its parts at the end of the epoch (`PairModel.vitals`).
    """

    epoch: int
    steps: int
    loss: float
    plateau: float
    on_plateau: float
    negatives: Literal["all", "hardest"]
    learning_rate: float
    train_seconds: float
    dev_seconds: float | None
    dev_rsum: float | None
    stage: str = ""
    gradient_norm: float | None = None
    train_rsum: float | None = None
    vitals: dict[str, float] = msgspec.field(default_factory=dict)

    @property
    def collapsed(self) -> bool:
        """Whether hardest negatives have driven the model onto the plateau, and not only past it."""
        return self.negatives == "hardest" and self.on_plateau >= COLLAPSED_SHARE


class TrainingRecord(Strict, frozen=True, kw_only=True):
    """How the weights came about. pairs_seen counts the (image, caption) positives that were shown.

    best_epochs: one, or one for each member of an ensemble, whose epochs are counted on from member to member; of a
    training in stages the last stage's best. started_from: None for fresh weights.
    collapsed: training ended on the plateau of a constant scorer (see `EpochLog`), whatever the best epoch was.
    checkpoint: where they were trained by another program. Then what the file doesn't tell is absent, and the run's
    seed, 0, isn't known.
    """

    steps: int | None
    pairs_seen: int | None
    best_epochs: tuple[int, ...]
    parameters: int
    collapsed: bool
    epochs: tuple[EpochLog, ...]
    checkpoint: CheckpointFacts | None = None
    started_from: StartedFrom | None = None


class EvaluationRecord(Strict, frozen=True, kw_only=True):
    """Metrics of one split under one protocol, with the fingerprints of what was ranked.

    metrics: by name (`i2t.R@1`, `t2i.MedR`, `rsum`), recalls in percent, not rounded.
    chance_rsum: the rsum of a scorer that can't tell anything apart.
    hubness: by direction, the skewness of N_10, how often each candidate is among a query's top 10; 0 is no hubs.
    tile_images, tile_captions: the largest tile that was used, None where the scores were there already.
    memory_budget_bytes: what it was fitted to, where known.
    queries: name of the file beside the record that holds the per-query results, or None where not kept.
    examples: name of the file that holds what the model looks at in a few pairs, or None where not asked for.
    transductive: a pair's score depended on what else was in the gallery, so other test queries were used.
    score_check: of the ranking itself; None where it wasn't made: half precision, other systems, older records.
    cascade: where candidates were proposed by another run; None where every pair was scored.
    precision: in which it was encoded and scored. fp32_metrics: where that isn't fp32, the metrics in fp32 beside it.
    scores: name of the .npy beside it with the score of every image (row) and caption (column), None where not kept.
    """

    split: str
    protocol: str
    images: int
    captions: int
    task_fingerprint: str
    features_fingerprint: str | None
    tile_images: int | None
    tile_captions: int | None
    metrics: dict[str, float]
    chance_rsum: float
    hubness: dict[str, float]
    queries: str | None
    examples: str | None = None
    transductive: bool = False
    memory_budget_bytes: int | None = None
    scores: str | None = None
    cascade: CascadeFacts | None = None
    relevance: RelevanceFacts | None = None
    precision: str = "fp32"
    fp32_metrics: dict[str, float] | None = None
    score_check: ScoreCheck | None = None

    @property
    def scored_as(self) -> str:
        """How scores came about that are not simply the model's own for every pair; empty where they are."""
        how = [] if self.cascade is None else [f"{self.cascade.rerank} a query by {self.cascade.proposer_model}"]
        return ", ".join([*how, *([] if self.precision == "fp32" else [self.precision])])


class RunRecord(Strict, frozen=True, kw_only=True):
    """One finished run, or (`parent` names the run) a finished run's weights evaluated once more on other data.

    external: set where another system was ranked by the files that it wrote. Then its settings, vocabulary, training,
    weights and features are not known, and None here. job: of a training, what it was asked to do, see `runs.jobs`.
    until: where seeds were added until something was decided, so that how many there are is chance too.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    run_id: str
    parent: str | None = None
    created: str
    command: tuple[str, ...]
    config: RunConfig
    deterministic: bool
    nondeterministic_reason: str | None = None
    environment: Environment
    dataset: DatasetFacts
    vocabulary: VocabularyFacts | None
    training: TrainingRecord | None
    evaluations: tuple[EvaluationRecord, ...]
    timings: tuple[Measurement, ...]
    weights_sha256: str | None
    files: dict[str, str]
    external: ExternalFacts | None = None
    job: str | None = None
    until: Until | None = None

    @property
    def checkpoint(self) -> CheckpointFacts | None:
        """The other program's file that the weights are from, if they are."""
        return None if self.training is None else self.training.checkpoint

    @property
    def epochs(self) -> tuple[EpochLog, ...]:
        """What was followed in training, none where that isn't known."""
        return () if self.training is None else self.training.epochs

    @property
    def collapsed(self) -> bool:
        """Whether training ended on the plateau of a constant scorer, as far as that is known."""
        return self.training is not None and self.training.collapsed

    @property
    def pairs_seen(self) -> int | None:
        """How many pairs the training showed, None where that isn't known."""
        return None if self.training is None else self.training.pairs_seen

    @property
    def members(self) -> int:
        """How many models were trained for it: more than one for an ensemble."""
        return 1 if self.training is None else max(1, len(self.training.best_epochs))

    def evaluation(self, split: str) -> EvaluationRecord:
        """Return the evaluation of the split; RecordError where this run has none."""
        for item in self.evaluations:
            if item.split == split:
                return item
        raise RecordError(f"{self.run_id}: no evaluation of split '{split}'")
