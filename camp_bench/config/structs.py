"""What can be asked for, field by field: settings and stages of a training, a run, an experiment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from camp_bench.config.checks import parse_bytes

__all__ = ["DEFAULT_MODELS", "FEWEST_SEEDS", "Experiment", "RunConfig", "Settings", "Stage", "Until"]

DEFAULT_MODELS = ("vsepp", "scan", "camp")
FEWEST_SEEDS = 3
"""Of a model, for anything to be said about training it anew."""


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One of the parts that a training goes through in order.

    model: the variant that it trains, "" for the run's own; each stage starts from what the one before has learnt, as
    far as both models have a tensor of that name and shape. options: of that model, where they differ from the name's.
    freeze: parts of the model whose weights stay as they are. settings: what differs from the run's while it lasts.
    """

    name: str
    model: str = ""
    options: dict[str, Any] = {}
    freeze: tuple[str, ...] = ()
    settings: dict[str, Any] = {}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The complete hyper-parameters of one training run.

    dim: size D of the joint space. word_dim: size of a word vector. word_spread: fresh ones are uniform between minus
    and plus this. epochs: passes over all training captions.
    warmup_epochs: how many of them use all negatives before the hardest only. decay_epochs: after how many epochs the
    learning rate is divided by 10. clip_norm: largest gradient norm (0: no clipping). margin: of the triplet losses.
    min_count: how often a word must occur to be in the vocabulary. max_words: captions are cut to this many tokens.
    validate_every: epochs between two validations on dev (the last epoch is always validated).
    tile_images, tile_captions: the largest tile in which scores are computed; float scores depend on it in their last
    bits. memory_budget: of scoring, such as 1GB, beside features and weights; where a tile takes too much of it, it is
    made smaller. It is a setting and no measurement, so tiles never depend on what happens to be free. adapt: where
    memory runs out nevertheless, score again with half the budget instead of giving up.
    stages: what the training goes through in order; none for one training of the model itself.
    """

    dim: int
    word_dim: int
    word_spread: float
    epochs: int
    warmup_epochs: int
    batch_size: int
    optimizer: Literal["adam", "sgd"]
    learning_rate: float
    momentum: float
    weight_decay: float
    decay_epochs: tuple[int, ...]
    clip_norm: float
    margin: float
    min_count: int
    max_words: int
    validate_every: int
    tile_images: int
    tile_captions: int
    memory_budget: str = "1GB"
    adapt: bool = False
    stages: tuple[Stage, ...] = ()

    @property
    def memory_budget_bytes(self) -> int:
        return parse_bytes(self.memory_budget)


class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run, completely: this model, this seed, these settings on this data.

    protocol: of the evaluation on test; dev is always ranked in full. model: the variant's full name. device: as
    resolved, never "auto". options: all of the model's family. word_vectors: a file that the words start from, or "".
    init_from: a run whose weights the model starts from, or "". tokenizer: what splits captions into words.
    settings: None where another system's aren't known.
    """

    model: str
    seed: int
    data: str
    protocol: str
    vocab_from: Literal["train+dev", "train"]
    word_vectors: str
    preset: str
    device: str
    precision: Literal["fp32", "bf16"]
    settings: Settings | None
    options: dict[str, Any]
    init_from: str = ""
    tokenizer: Literal["treebank", "unicode", "characters"] = "treebank"


class Until(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seeds are added until each model is better, worse or equal, and max_seeds at most.

    rope: percentage points of rsum; differences within plus or minus as much count as equal. reference: the model that
    the others are held against, "" for all pairs. Looks are after so many seeds as `looks` says, which is fixed before
    the first, so that each can spend its share of the level.
    """

    rope: Annotated[float, msgspec.Meta(gt=0, le=600)]
    max_seeds: Annotated[int, msgspec.Meta(ge=FEWEST_SEEDS, le=1000)] = 20
    reference: str = ""

    @property
    def looks(self) -> tuple[int, ...]:
        """How many seeds there are at each look: 3, 5, 8, 13, ... of Fibonacci's numbers, the last max_seeds."""
        found, following = [FEWEST_SEEDS], 5
        while following < self.max_seeds:
            found, following = [*found, following], following + found[-1]
        return tuple(dict.fromkeys((*found, self.max_seeds)))


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Models x seeds under one set of splits, as people write it (TOML keys are the field names).

    tokenizer: what splits captions into words. word_vectors: a file that the words start from, or "" for none.
    init_from: a run whose weights every model starts from, or "" for none. threads: of the CPU, 0 for as many as
    torch chooses. examples: how many test captions to keep
    with what the model looks at. save_scores: whether the score matrix of test is kept beside each record.
    watch_train: whether some training images are evaluated whenever dev is, so that over- and underfitting are seen.
    trust_cache: believe kept fingerprints of features whose inode has changed, as on a network's disk.
    until: add seeds, from the first one on, until
    something is decided. settings: overrides for every model. model: overrides for one, by the name given in `models`.
    """

    models: tuple[str, ...] = DEFAULT_MODELS
    seeds: tuple[int, ...] = (0,)
    data: str = "toy"
    protocol: str = "full"
    vocab_from: Literal["train+dev", "train"] = "train+dev"
    tokenizer: Literal["treebank", "unicode", "characters"] = "treebank"
    word_vectors: str = ""
    init_from: str = ""
    preset: str = "quick"
    device: str = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int = 0
    results: str = "results"
    examples: int = 0
    save_scores: bool = False
    watch_train: bool = False
    trust_cache: bool = False
    until: Until | msgspec.UnsetType = msgspec.UNSET
    settings: dict[str, Any] = {}
    model: dict[str, dict[str, Any]] = {}
