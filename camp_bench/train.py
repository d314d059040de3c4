"""The training loop: warm-up on all negatives, step decay, clipping, validation on dev, best weights kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from camp_bench.config import Settings
from camp_bench.data.batches import Batch, steps_per_epoch, training_batches
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.devices import autocast
from camp_bench.errors import DataError, NumericError
from camp_bench.evaluate import Evaluation, evaluate_split
from camp_bench.losses import same_image
from camp_bench.models.base import PairModel
from camp_bench.records import EpochLog
from camp_bench.timing import timed

__all__ = ["Observer", "Trained", "train"]

PLATEAU_BAND = 0.01
"""How near to that of a constant scorer, in parts of it, a step's loss counts as equal."""


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

    best_epochs: one, or one for each member of an ensemble, whose epochs are counted on from member to member.
    """

    weights: dict[str, Tensor]
    dev: Evaluation
    best_epochs: tuple[int, ...]
    steps: int
    pairs_seen: int
    epochs: tuple[EpochLog, ...]


@dataclass(frozen=True, slots=True)
class _Job:
    """What all members are trained with. epochs: of all of them together."""

    train: TokenizedSplit
    dev: TokenizedSplit
    seed: int
    device: torch.device
    precision: str
    observer: Observer
    epochs: int


def train(
    model: PairModel,
    train_split: TokenizedSplit,
    dev_split: TokenizedSplit,
    *,
    seed: int,
    device: torch.device,
    precision: str,
    observer: Observer,
) -> Trained:
    """Train `model` in place, which then holds the weights of its best epoch; an ensemble's members one by one.

    The order of the batches depends on `seed` and the epoch alone, so models of one batch size see the same.
    Raises NumericError where the loss stops being a number, naming the epoch, the step and the item if one is to blame.
    """
    split = train_split.split
    if split.n_images < 2:
        raise DataError(
            f"train: {split.n_images} image(s) with {split.n_captions} caption(s); training needs 2 images or more"
        )

    epochs = model.settings.epochs * max(len(model.members), 1)
    job = _Job(train_split, dev_split, seed, device, precision, observer, epochs)
    if not model.members:
        return _fit(model, job, 0)
    parts = [_fit(member, job, place * model.settings.epochs) for place, member in enumerate(model.members)]
    return Trained(
        weights=_copy_weights(model),
        dev=_validate(model, job),
        best_epochs=tuple(best for part in parts for best in part.best_epochs),
        steps=sum(part.steps for part in parts),
        pairs_seen=sum(part.pairs_seen for part in parts),
        epochs=tuple(log for part in parts for log in part.epochs),
    )


def _fit(model: PairModel, job: _Job, before: int) -> Trained:
    """Train one model. before: epochs of the members that were trained before it."""
    settings, split, device = model.settings, job.train.split, job.device
    per_epoch = steps_per_epoch(split.n_captions, settings.batch_size)
    optimizer = _optimizer(model, settings)
    logs: list[EpochLog] = []
    best: tuple[int, Evaluation, dict[str, Tensor]] | None = None
    pairs_seen = 0
    for epoch in range(1, settings.epochs + 1):
        rate = settings.learning_rate * 0.1 ** sum(epoch > after for after in settings.decay_epochs)
        for group in optimizer.param_groups:
            group["lr"] = rate
        hardest = epoch > settings.warmup_epochs and model.hardest_negatives
        rng = np.random.default_rng(np.random.SeedSequence([job.seed, epoch]))
        total = plateau = 0.0
        stuck = 0
        model.train()
        with timed(device) as training:
            batches = training_batches(split, job.train.token_ids, settings.batch_size, rng, device)
            for step, batch in enumerate(batches, start=1):
                where = f"epoch {before + epoch}, step {step}"
                loss, of_constant = _step(model, batch, optimizer, job.precision, hardest=hardest, where=where)
                total += loss
                plateau += of_constant
                stuck += abs(loss - of_constant) <= PLATEAU_BAND * of_constant
                pairs_seen += len(batch)
                job.observer.on_step(before + epoch, job.epochs, step, per_epoch, loss, len(batch))
        dev: Evaluation | None = None
        if epoch % settings.validate_every == 0 or epoch == settings.epochs:
            dev = _validate(model, job)
            if best is None or dev.metrics["rsum"] > best[1].metrics["rsum"]:
                best = before + epoch, dev, _copy_weights(model)
        logs.append(
            EpochLog(
                epoch=before + epoch,
                steps=per_epoch,
                loss=total / per_epoch,
                plateau=plateau / per_epoch,
                on_plateau=stuck / per_epoch,
                negatives="hardest" if hardest else "all",
                learning_rate=rate,
                train_seconds=training.seconds,
                dev_seconds=None if dev is None else dev.encode_seconds + dev.score_seconds,
                dev_rsum=None if dev is None else dev.metrics["rsum"],
            )
        )
        job.observer.on_epoch(logs[-1], job.epochs)
    assert best is not None  # the last epoch is always validated
    best_epoch, dev, weights = best
    model.load_state_dict(weights)
    return Trained(weights, dev, (best_epoch,), per_epoch * settings.epochs, pairs_seen, tuple(logs))


def _validate(model: PairModel, job: _Job) -> Evaluation:
    def on_tile(done: int, total: int) -> None:
        job.observer.on_tile("dev", done, total)

    return evaluate_split(model, job.dev.split, job.dev.token_ids, job.device, on_tile=on_tile)


def _copy_weights(model: PairModel) -> dict[str, Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}


def _optimizer(model: PairModel, settings: Settings) -> torch.optim.Optimizer:
    if settings.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return torch.optim.SGD(
        model.parameters(),
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )


def _step(
    model: PairModel, batch: Batch, optimizer: torch.optim.Optimizer, precision: str, *, hardest: bool, where: str
) -> tuple[float, float]:
    """Take one step; return its loss, and the loss of a model that gives every pair the same score."""
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
    if model.settings.clip_norm > 0:
        clip_grad_norm_(model.parameters(), model.settings.clip_norm)
    optimizer.step()
    with torch.no_grad():
        constant = torch.full(scores.shape, model.neutral_score, device=scores.device)
        return value, float(model.loss(constant, same, hardest=hardest))


def _culprit(scores: Tensor, batch: Batch) -> str:
    """Name the one image whose scores are all NaN, where others are not: its features give a zero vector."""
    broken = scores.isnan().all(1)
    if bool(broken.any()) and not bool(broken.all()):
        return f" because of train image {int(batch.images[broken][0])} (counted from 0)"
    return ""
