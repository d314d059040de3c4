"""Scores whose backward pass computes again what it needs, for the pairs that have a gradient only.

A tile of I x C pairs makes temporaries of I x C x R x D numbers; kept for the backward pass, they would cost more time
in memory traffic than the arithmetic does. Nothing of the kind is kept here. And a loss over hardest negatives depends
on at most 3 B of the B x B scores of a batch, so its backward pass visits 3 B pairs. Both are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from camp_bench.machine.threads import spread
from camp_bench.shapes import Float

__all__ = ["Score", "score_tile"]

Score: TypeAlias = Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], Tensor]
"""From tensors of images, of captions (dimension 0: the item) and of shared weights to scores."""

PAIRS = 32
"""How many pairs the backward pass takes at a time where few of a tile have a gradient."""

_Rows: TypeAlias = Tensor | slice
_Size: TypeAlias = tuple[int | None, int | None]
_Part: TypeAlias = tuple[Score, _Rows, _Rows, Tensor]


def score_tile(
    tile: Score,
    pairs: Score,
    images: Sequence[Tensor],
    captions: Sequence[Tensor],
    shared: Sequence[Tensor] = (),
    *,
    part: _Size = (None, 4),
) -> Float[Tensor, "I C"]:
    """Return `tile(images, captions, shared)`, differentiable once.

    tile: scores I images with C captions, (I, C). pairs: scores as many images as captions, one with one, (P,).
    part: how many images with how many captions of a tile the backward pass takes at a time; None: all.
    """
    if not torch.is_grad_enabled():
        return tile(images, captions, shared)
    scores: Tensor = _Recomputed.apply(tile, pairs, part, len(images), len(captions), *images, *captions, *shared)  # type: ignore[no-untyped-call]
    return scores


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, tile: Score, pairs: Score, part: _Size, n_images: int, n_captions: int, *tensors: Tensor
    ) -> Tensor:
        ctx.tile, ctx.pairs, ctx.part, ctx.ends = tile, pairs, part, (n_images, n_images + n_captions)
        ctx.save_for_backward(*tensors)
        device = tensors[0].device.type
        ctx.autocast = device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)
        return tile(*_split(tensors, ctx.ends))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        tensors, (first, second), (device, dtype, enabled) = ctx.saved_tensors, ctx.ends, ctx.autocast
        wanted = [number for number, needed in enumerate(ctx.needs_input_grad[5:]) if needed]
        sums = {number: torch.zeros_like(tensors[number]) for number in wanted}

        def differentiate(part: _Part) -> tuple[list[_Rows], tuple[Tensor, ...]]:
            score, rows, columns, outer = part
            where = [rows] * first + [columns] * (second - first)
            parts = [_take(tensor, items) for tensor, items in zip(tensors[:second], where, strict=True)]
            leaves = [tensor.detach() for tensor in (*parts, *tensors[second:])]
            variables = [leaves[number].requires_grad_() for number in wanted]
            with torch.enable_grad(), torch.autocast(device, dtype, enabled):
                scores = score(*_split(leaves, ctx.ends))
            return where, torch.autograd.grad(scores, variables, outer, materialize_grads=True)

        for where, found in spread(differentiate, _parts(ctx.tile, ctx.pairs, ctx.part, gradient), gradient.device):
            for number, value in zip(wanted, found, strict=True):
                if number >= second:
                    sums[number].add_(value)
                elif isinstance(items := where[number], Tensor):
                    sums[number].index_add_(0, items.to(value.device), value)
                else:
                    sums[number][items].add_(value)
        return (None, None, None, None, None, *(sums.get(number) for number in range(len(tensors))))


def _parts(tile: Score, pairs: Score, size: _Size, gradient: Tensor) -> Iterator[_Part]:
    """Yield how to score, which images, which captions and the gradient there, until every gradient but 0 was met."""
    rows, columns = gradient.nonzero(as_tuple=True)
    if 3 * len(rows) > gradient.numel():
        for some, group in product(*map(_slices, gradient.shape, size)):
            yield tile, some, group, gradient[some, group]
    else:
        for start in range(0, len(rows), PAIRS):
            i, c = rows[start : start + PAIRS], columns[start : start + PAIRS]
            yield pairs, i, c, gradient[i, c]


def _take(tensor: Tensor, items: _Rows) -> Tensor:
    """Return some rows; their numbers come from the scores' device, and lengths, say, stay on the CPU."""
    return tensor[items if isinstance(items, slice) else items.to(tensor.device)]


def _slices(items: int, size: int | None) -> list[slice]:
    step = size or items
    return [slice(start, start + step) for start in range(0, items, step)]


def _split(
    tensors: Sequence[Tensor], ends: tuple[int, int]
) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
    return tensors[: ends[0]], tensors[ends[0] : ends[1]], tensors[ends[1] :]
