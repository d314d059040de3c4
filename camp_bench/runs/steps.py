"""One step of a training, and the weights and optimizer that it works on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from camp_bench.config import Settings
from camp_bench.data.batches import Batch
from camp_bench.errors import NumericError
from camp_bench.machine.devices import autocast
from camp_bench.models.base import PairModel
from camp_bench.models.losses import same_image

__all__ = ["Step", "copy_weights", "make_optimizer", "take_step"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a step was like. of_constant: the loss of a model that gives every pair the same score.

    gradient_norm: before clipping. clamped: the share of pairs whose score the loss doesn't tell from further ones.
    """

    loss: float
    of_constant: float
    gradient_norm: float
    clamped: float


def copy_weights(model: PairModel) -> dict[str, Tensor]:
    """Return the weights as they are now, on the CPU."""
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in model.state_dict().items()}


def make_optimizer(model: PairModel, settings: Settings) -> torch.optim.Optimizer:
    """Return the optimizer of the settings, of all weights that aren't frozen."""
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


def take_step(
    model: PairModel, batch: Batch, optimizer: torch.optim.Optimizer, precision: str, *, hardest: bool, where: str
) -> Step:
    """Learn from one batch. where: named in a NumericError, which is raised where the loss is no number."""
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
        return Step(value, *torch.stack((of_constant, norm, clamped)).tolist())


def _culprit(scores: Tensor, batch: Batch) -> str:
    """Name the one image whose scores are all NaN, where others are not: its features give a zero vector."""
    broken = scores.isnan().all(1)
    if bool(broken.any()) and not bool(broken.all()):
        return f" because of train image {int(batch.images[broken][0])} (counted from 0)"
    return ""
