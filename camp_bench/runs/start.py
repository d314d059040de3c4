"""Another run's weights as a start: whether they fit, and which stages of a training they make unnecessary."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import safetensors
import safetensors.torch
from torch import Tensor

from camp_bench.config import Settings, user_path
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.errors import ConfigError, DataError, RecordError
from camp_bench.models.base import PairModel
from camp_bench.models.registry import ALIASES
from camp_bench.records import RunFolder, RunRecord

__all__ = ["InitialWeights", "read_initial", "read_initial_weights", "remaining_stages", "require_fit"]


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """What a run left that another can start from."""

    record: RunRecord
    weights: Mapping[str, Tensor]
    words: Sequence[str]


def read_initial(init_from: str) -> RunRecord:
    """Return the record of a run to start from; RecordError where it can't be read or has no weights."""
    try:
        run = RunFolder.open(user_path(init_from))
        run.require_weights()
    except RecordError as error:
        raise RecordError(f"init_from: {error}") from None
    return run.record


def read_initial_weights(init_from: str) -> InitialWeights:
    """Load what a run left; RecordError where a file is missing or not the one that it recorded."""
    try:
        run = RunFolder.open(user_path(init_from))
        weights = safetensors.torch.load(run.weights())
        words = Vocabulary.from_json(run.vocabulary()).words
    except (safetensors.SafetensorError, DataError) as error:
        raise RecordError(f"init_from: {init_from} is not a run that can be used: {error}") from None
    return InitialWeights(run.record, weights, words)


def remaining_stages(settings: Settings, model: str, record: RunRecord) -> Settings:
    """Return the settings without the stages that a start from this run makes unnecessary.

    A run of what a first stage trains stands for that stage and those before it; a run of the model itself for all
    stages that train another model first. Raises ConfigError for a run of another family.
    """
    found, own = _kind(record.config.model), _kind(model)
    if found[0] != own[0]:
        raise ConfigError(
            f"init_from: {record.run_id} is a run of {record.config.model}; expected one of {model} or its family"
        )
    before = list(itertools.takewhile(bool, (stage.model for stage in settings.stages)))
    done = max((number for number, other in enumerate(before, start=1) if _kind(other) == found), default=0)
    return msgspec.structs.replace(settings, stages=settings.stages[len(before) if found == own else done :])


def _kind(model: str) -> list[str]:
    """Return family and variant: `camp:cross_attention_new:masked` is a form of `camp:cross_attention_new`."""
    return ALIASES.get(model, model).split(":")[:2]


def require_fit(model: PairModel, name: str, words: Sequence[str], initial: InitialWeights) -> None:
    """Raise ConfigError unless a model of these words can start from the run.

    Tensors of the same name must have the same shape. A model without stages must find all of its own; one with stages
    takes those that both have.
    """
    who = f"init_from: {initial.record.run_id} ({initial.record.config.model})"
    if list(words) != list(initial.words):
        raise ConfigError(
            f"{who}: its vocabulary of {len(initial.words)} words is not that of this run, {len(words)}; "
            "use the same data, vocab_from and min_count"
        )
    own = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    given = {key: tuple(value.shape) for key, value in initial.weights.items()}
    for key in sorted(own.keys() & given.keys()):
        if own[key] != given[key]:
            raise ConfigError(
                f"{who}: {key} has the shape {given[key]}, {name} needs {own[key]}; "
                "expected a run with the same dim and features"
            )
    if not model.settings.stages:
        for key in sorted(own.keys() ^ given.keys()):
            lacks, of = ("has no", "needs") if key in own else ("has", "has no place for")
            raise ConfigError(f"{who}: it {lacks} {key}, which {name} {of}; expected a run of {name}")
