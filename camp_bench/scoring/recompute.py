"""Scores whose backward pass computes again what it needs, for the pairs that have a gradient only.

A tile of I x C pairs makes temporaries of I x C x R x D numbers; kept for the backward pass, they would cost more time in
memory traffic than the arithmetic does. Nothing of the kind is kept here. And a loss over hardest negatives depends on
at most three scores a pair of the batch, so its backward pass visits 3 B of the B x B pairs. Both are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from camp_bench.shapes import Float

__all__ = ["TileScore", "score_tile"]

TileScore: TypeAlias = Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], Tensor]
"""From the tensors of I images, of C captions (first dimension: the item) and of shared weights to the scores (I, C)."""


def score_tile(
    score: TileScore, images: Sequence[Tensor], captions: Sequence[Tensor], shared: Sequence[Tensor] = ()
) -> Float[Tensor, "I C"]:
    """Return `score(images, captions, shared)`, differentiable once, for a `score` in which pairs don't meet."""
    if not torch.is_grad_enabled():
        return score(images, captions, shared)
    scores: Tensor = _Recomputed.apply(score, len(images), len(captions), *images, *captions, *shared)
    return scores


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, score: TileScore, n_images: int, n_captions: int, *tensors: Tensor) -> Tensor:
        ctx.score, ctx.ends = score, (n_images, n_images + n_captions)
        ctx.save_for_backward(*tensors)
        device = tensors[0].device.type
        ctx.autocast = device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        return score(*_split(tensors, ctx.ends))

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tensors, (first, second), (device, dtype, enabled) = ctx.saved_tensors, ctx.ends, ctx.autocast
        wanted = [number for number, needed in enumerate(ctx.needs_input_grad[3:]) if needed]
        sums = {number: torch.zeros_like(tensors[number]) for number in wanted}
        for column, count in enumerate((gradient != 0).sum(0).tolist()):
            if count == 0:
                continue
            here = gradient[:, column]
            rows = here.nonzero()[:, 0] if count < len(gradient) else None
            images = [tensor if rows is None else tensor[rows] for tensor in tensors[:first]]
            captions = [tensor[column : column + 1] for tensor in tensors[first:second]]
            leaves = [tensor.detach() for tensor in (*images, *captions, *tensors[second:])]
            variables = [leaves[number].requires_grad_() for number in wanted]
            with torch.enable_grad(), torch.autocast(device, dtype, enabled):
                scores = ctx.score(*_split(leaves, ctx.ends))
            outer = (here if rows is None else here[rows])[:, None]
            for number, value in zip(wanted, torch.autograd.grad(scores, variables, outer), strict=True):
                if number < first and rows is not None:
                    sums[number].index_add_(0, rows, value)
                else:
                    (sums[number][column : column + 1] if first <= number < second else sums[number]).add_(value)
        return (None, None, None, *(sums.get(number) for number in range(len(tensors))))


def _split(
    tensors: Sequence[Tensor], ends: tuple[int, int]
) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
    return tensors[: ends[0]], tensors[ends[0] : ends[1]], tensors[ends[1] :]
