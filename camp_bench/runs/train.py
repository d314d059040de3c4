"""A training: the lessons of every stage of every member, one after the other.

A training may go through stages, each with a model, settings and frozen parts of its own (`Settings.stages`). Each
starts from the best weights of the one before, by dev rsum, or from its last where it was never validated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from camp_bench.config import Settings, Stage, stage_settings
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.errors import ConfigError, DataError
from camp_bench.evaluation.evaluate import Evaluated
from camp_bench.models.base import PairModel
from camp_bench.models.registry import build_model, find_variant, resolve_options
from camp_bench.records import EpochLog
from camp_bench.runs.lesson import Learnt, Lesson, Observer, Teaching, teach, validate
from camp_bench.runs.memory import Memory
from camp_bench.runs.steps import copy_weights

__all__ = ["Trained", "train"]

WATCHED = 200
"""Training images that are evaluated where asked for: few, so that it takes little time."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What training gave: the weights of the best epoch by dev rsum, on the CPU, and how they came about.

    best_epochs: one, or one for each member of an ensemble; of a training in stages it is the best of the last stage.
    Epochs are counted on from stage to stage and from member to member.
    """

    weights: dict[str, Tensor]
    dev: Evaluated
    best_epochs: tuple[int, ...]
    steps: int
    pairs_seen: int
    epochs: tuple[EpochLog, ...]


def train(
    model: PairModel,
    train_split: TokenizedSplit,
    dev_split: TokenizedSplit,
    *,
    seed: int,
    device: torch.device,
    precision: str,
    observer: Observer,
    watch_train: bool = False,
    memory: Memory | None = None,
) -> Trained:
    """Train `model` in place, which then holds the weights of its best epoch; an ensemble's members one by one.

    The order of the batches depends on `seed` and the epoch alone, so models of one batch size see the same.
    watch_train: whenever dev is evaluated, evaluate WATCHED images of train as well.
    memory: what an earlier process has kept, and what is told of this one.
    Raises NumericError where the loss stops being a number, naming the epoch, the step and the item if one is to blame,
    and ConfigError for a stage that leaves nothing to learn.
    """
    split = train_split.split
    if split.n_images < 2:
        raise DataError(
            f"train: {split.n_images} image(s) with {split.n_captions} caption(s); training needs 2 images or more"
        )

    each = sum(settings.epochs for settings in stage_settings(model.settings))
    watched = _some_images(train_split) if watch_train else None
    job = Teaching(
        train_split,
        dev_split,
        watched,
        seed,
        device,
        precision,
        observer,
        each * max(len(model.members), 1),
        memory or Memory(),
    )
    job.memory.epochs = job.epochs
    if not model.members:
        return _teach(model, job, 0)
    parts = [_teach(member, job, place * each) for place, member in enumerate(model.members)]
    return Trained(
        weights=copy_weights(model),
        dev=validate(model, job),
        best_epochs=tuple(best for part in parts for best in part.best_epochs),
        steps=sum(part.steps for part in parts),
        pairs_seen=sum(part.pairs_seen for part in parts),
        epochs=tuple(log for part in parts for log in part.epochs),
    )


def _some_images(whole: TokenizedSplit) -> TokenizedSplit:
    """Return WATCHED images, evenly from all of the split, with their captions."""
    wanted = min(WATCHED, whole.split.n_images)
    return whole.subset(np.arange(wanted) * whole.split.n_images // wanted)[0]


def _teach(model: PairModel, job: Teaching, before: int) -> Trained:
    """Train one model through all its stages. before: epochs of the members that were trained before it."""
    whole = model.settings
    stages = whole.stages or (Stage(name=""),)
    learners = [_learner(model, stage, job) for stage in stages]
    parts: list[Learnt] = []
    earlier = 0
    for stage, settings, learner in zip(stages, stage_settings(whole), learners, strict=True):
        learner.take_weights(model.state_dict())
        lesson = Lesson(settings, stage.name, before + earlier, earlier, final=len(parts) + 1 == len(stages))
        with _taught(learner, stage, settings):
            parts.append(teach(learner, job, lesson))
        model.take_weights(parts[-1].weights)
        earlier += settings.epochs
    best = parts[-1].best
    assert best is not None  # the last epoch of the last stage is always validated
    return Trained(
        weights=parts[-1].weights,
        dev=best[1],
        best_epochs=(best[0],),
        steps=sum(part.steps for part in parts),
        pairs_seen=sum(part.pairs_seen for part in parts),
        epochs=tuple(log for part in parts for log in part.logs),
    )


def _learner(model: PairModel, stage: Stage, job: Teaching) -> PairModel:
    """Return the model that a stage trains: the run's own, or another of the same settings."""
    learner = model
    if stage.model:
        variant = find_variant(stage.model)
        learner = build_model(
            variant, model.settings, resolve_options(variant, stage.options), model.shape, job.seed
        ).to(job.device)
    if all(_is_frozen(name, learner, stage) for name, _ in learner.named_parameters()):
        raise ConfigError(f"stage '{stage.name}': freezes {' and '.join(stage.freeze)}, which is all there is to learn")
    return learner


def _is_frozen(name: str, model: PairModel, stage: Stage) -> bool:
    modules = [module for part in stage.freeze for module in model.freezable[part]]
    return any(name.startswith(f"{module}.") for module in modules)


@contextmanager
def _taught(model: PairModel, stage: Stage, settings: Settings) -> Iterator[None]:
    """Give a model the settings of a stage, and freeze its parts, within the block."""
    whole = model.settings
    frozen = [weight for name, weight in model.named_parameters() if _is_frozen(name, model, stage)]
    model.settings = settings
    for weight in frozen:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        model.settings = whole
        for weight in frozen:
            weight.requires_grad_(True)
