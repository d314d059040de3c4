"""The training loop: warm-up on all negatives, step decay, clipping, validation on dev, best weights kept.

A training may go through stages, each with a model, settings and frozen parts of its own (`Settings.stages`). Each
starts from the best weights of the one before, by dev rsum, or from its last where it was never validated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from camp_bench.config import Settings, Stage, stage_settings
from camp_bench.data.batches import Batch, steps_per_epoch, training_batches
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.errors import ConfigError, DataError, NumericError
from camp_bench.evaluation.evaluate import Evaluation, evaluate_split
from camp_bench.evaluation.vitals import vital_signs
from camp_bench.machine.devices import autocast
from camp_bench.machine.timing import timed
from camp_bench.models.base import PairModel
from camp_bench.models.losses import same_image
from camp_bench.models.registry import build_model, find_variant, resolve_options
from camp_bench.records import EpochLog

__all__ = ["Observer", "Trained", "train"]

PLATEAU_BAND = 0.01
"""How near to that of a constant scorer, in parts of it, a step's loss counts as equal."""
WATCHED = 200
"""Training images that are evaluated where asked for: few, so that it takes little time."""


@runtime_checkable
class Observer(Protocol):
    """Who wants to know how far a run is; every method is called from the training thread.

    epochs: how many there will be. loss: of one step, summed over its `pairs`. on_tile: a split is scored, `done` tiles
    of `total`.
    """

    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None: ...

    def on_tile(self, split: str, done: int, total: int) -> None: ...

    def on_epoch(self, log: EpochLog, epochs: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Trained:
    """What training gave: the weights of the best epoch by dev rsum, on the CPU, and how they came about.

    best_epochs: one, or one for each member of an ensemble; of a training in stages it is the best of the last stage.
    Epochs are counted on from stage to stage and from member to member.
    """

    weights: dict[str, Tensor]
    dev: Evaluation
    best_epochs: tuple[int, ...]
    steps: int
    pairs_seen: int
    epochs: tuple[EpochLog, ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """What all members are trained with. epochs: of all of them together. watched: training images to evaluate, too."""

    train: TokenizedSplit
    dev: TokenizedSplit
    watched: TokenizedSplit | None
    seed: int
    device: torch.device
    precision: str
    observer: Observer
    epochs: int


@dataclass(frozen=True, slots=True)
class _Lesson:
    """What a model is taught in one go. before: epochs of the run until then; `earlier`, those of the same member.

    final: its last epoch is validated whatever the settings say, so that it has a best one.
    """

    settings: Settings
    stage: str
    before: int
    earlier: int
    final: bool


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What a lesson gave. best: number and evaluation of the best epoch, None where none was validated."""

    weights: dict[str, Tensor]
    best: tuple[int, Evaluation] | None
    steps: int
    pairs_seen: int
    logs: tuple[EpochLog, ...]


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
) -> Trained:
    """Train `model` in place, which then holds the weights of its best epoch; an ensemble's members one by one.

    The order of the batches depends on `seed` and the epoch alone, so models of one batch size see the same.
    watch_train: whenever dev is evaluated, evaluate WATCHED images of train as well.
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
    job = _Job(train_split, dev_split, watched, seed, device, precision, observer, each * max(len(model.members), 1))
    if not model.members:
        return _teach(model, job, 0)
    parts = [_teach(member, job, place * each) for place, member in enumerate(model.members)]
    return Trained(
        weights=_copy_weights(model),
        dev=_validate(model, job),
        best_epochs=tuple(best for part in parts for best in part.best_epochs),
        steps=sum(part.steps for part in parts),
        pairs_seen=sum(part.pairs_seen for part in parts),
        epochs=tuple(log for part in parts for log in part.epochs),
    )


def _some_images(whole: TokenizedSplit) -> TokenizedSplit:
    """Return WATCHED images, evenly from all of the split, with their captions."""
    wanted = min(WATCHED, whole.split.n_images)
    return whole.subset(np.arange(wanted) * whole.split.n_images // wanted)[0]


def _teach(model: PairModel, job: _Job, before: int) -> Trained:
    """Train one model through all its stages. before: epochs of the members that were trained before it."""
    whole = model.settings
    stages = whole.stages or (Stage(name=""),)
    learners = [_learner(model, stage, job) for stage in stages]
    parts: list[_Learnt] = []
    earlier = 0
    for stage, settings, learner in zip(stages, stage_settings(whole), learners, strict=True):
        learner.take_weights(model.state_dict())
        lesson = _Lesson(settings, stage.name, before + earlier, earlier, final=len(parts) + 1 == len(stages))
        with _taught(learner, stage, settings):
            parts.append(_fit(learner, job, lesson))
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


def _learner(model: PairModel, stage: Stage, job: _Job) -> PairModel:
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


def _fit(model: PairModel, job: _Job, lesson: _Lesson) -> _Learnt:
    settings, split, device = lesson.settings, job.train.split, job.device
    per_epoch = steps_per_epoch(split.n_captions, settings.batch_size)
    optimizer = _optimizer(model, settings)
    logs: list[EpochLog] = []
    best: tuple[int, Evaluation] | None = None
    weights: dict[str, Tensor] = {}
    pairs_seen = 0
    for epoch in range(1, settings.epochs + 1):
        rate = settings.learning_rate * 0.1 ** sum(epoch > after for after in settings.decay_epochs)
        for group in optimizer.param_groups:
            group["lr"] = rate
        hardest = epoch > settings.warmup_epochs and model.hardest_negatives
        rng = np.random.default_rng(np.random.SeedSequence([job.seed, lesson.earlier + epoch]))
        number = lesson.before + epoch
        total = plateau = 0.0
        stuck = 0
        clamped, norms = 0.0, []
        model.train()
        with timed(device) as training:
            batches = training_batches(split, job.train.token_ids, settings.batch_size, rng, device)
            for step, batch in enumerate(batches, start=1):
                where = f"epoch {number}, step {step}"
                done = _step(model, batch, optimizer, job.precision, hardest=hardest, where=where)
                loss, of_constant = done.loss, done.of_constant
                norms.append(done.gradient_norm)
                clamped += done.clamped
                total += loss
                plateau += of_constant
                stuck += abs(loss - of_constant) <= PLATEAU_BAND * of_constant
                pairs_seen += len(batch)
                job.observer.on_step(number, job.epochs, step, per_epoch, loss, len(batch))
        dev: Evaluation | None = None
        train_rsum: float | None = None
        if epoch % settings.validate_every == 0 or (epoch == settings.epochs and lesson.final):
            dev = _validate(model, job)
            if job.watched is not None:
                train_rsum = evaluate_split(model, job.watched.split, job.watched.token_ids, device).metrics["rsum"]
            if best is None or dev.metrics["rsum"] > best[1].metrics["rsum"]:
                best, weights = (number, dev), _copy_weights(model)
        logs.append(
            EpochLog(
                epoch=number,
                steps=per_epoch,
                loss=total / per_epoch,
                plateau=plateau / per_epoch,
                on_plateau=stuck / per_epoch,
                negatives="hardest" if hardest else "all",
                learning_rate=rate,
                train_seconds=training.seconds,
                dev_seconds=None if dev is None else dev.encode_seconds + dev.score_seconds,
                dev_rsum=None if dev is None else dev.metrics["rsum"],
                stage=lesson.stage,
                gradient_norm=float(np.median(norms)),
                train_rsum=train_rsum,
                vitals=vital_signs(model, job.train, device) | _clamped(model, clamped / per_epoch),
            )
        )
        job.observer.on_epoch(logs[-1], job.epochs)
    if best is None:
        weights = _copy_weights(model)
    model.load_state_dict(weights)
    return _Learnt(weights, best, per_epoch * settings.epochs, pairs_seen, tuple(logs))


def _clamped(model: PairModel, share: float) -> dict[str, float]:
    return {} if model.clamped is None else {"clamped": share}


def _validate(model: PairModel, job: _Job) -> Evaluation:
    def on_tile(done: int, total: int) -> None:
        job.observer.on_tile("dev", done, total)

    return evaluate_split(model, job.dev.split, job.dev.token_ids, job.device, on_tile=on_tile)


def _copy_weights(model: PairModel) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in model.state_dict().items()}


def _optimizer(model: PairModel, settings: Settings) -> torch.optim.Optimizer:
    learnt = [weight for weight in model.parameters() if weight.requires_grad]
    if settings.optimizer == "adam":
        return torch.optim.Adam(learnt, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.SGD(
        learnt,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """What a step was like. of_constant: the loss of a model that gives every pair the same score.

    gradient_norm: before clipping. clamped: the share of pairs whose score the loss doesn't tell from further ones.
    """

    loss: float
    of_constant: float
    gradient_norm: float
    clamped: float


def _step(
    model: PairModel, batch: Batch, optimizer: torch.optim.Optimizer, precision: str, *, hardest: bool, where: str
) -> _Step:
    with autocast(batch.features.device, precision):
        scores = model(batch.features, batch.tokens, batch.lengths)
    same = same_image(batch.images)
    loss = model.loss(scores.float(), same, hardest=hardest)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise NumericError(
            f"{where}: the loss is {value}{_culprit(scores, batch)}; lower the learning rate or check the features"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = clip_grad_norm_(model.parameters(), model.settings.clip_norm or math.inf)
    optimizer.step()
    with torch.no_grad():
        constant = torch.full(scores.shape, model.neutral_score, device=scores.device)
        of_constant = model.loss(constant, same, hardest=hardest)
        low, high = model.clamped or (-math.inf, math.inf)
        clamped = ((scores < low) | (scores > high)).float().mean()
        return _Step(value, *torch.stack((of_constant, norm, clamped)).tolist())


def _culprit(scores: Tensor, batch: Batch) -> str:
    """Name the one image whose scores are all NaN, where others are not: its features give a zero vector."""
    broken = scores.isnan().all(1)
    if bool(broken.any()) and not bool(broken.all()):
        return f" because of train image {int(batch.images[broken][0])} (counted from 0)"
    return ""
