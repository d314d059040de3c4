"""SCAN in float32 on a CPU: captions of like lengths side by side, and compiled loops from affinities to scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from camp_bench.machine.product import product
from camp_bench.models.scan.loops import STEP, Codes, Layout, attend, differentiate
from camp_bench.shapes import Bool, Float

__all__ = ["Lanes", "pad_gram", "sort_captions"]

WORDS, FEWEST, MOST, MULTIPLE = 1536, 32, 128, 16
"""A pack has about so many words, and captions within bounds: a multiple of what a processor takes at once."""


def sort_captions(lengths: Sequence[int]) -> list[list[int]]:
    """Return the numbers of captions in packs, the longest captions first."""
    order = sorted(range(len(lengths)), key=lambda caption: -lengths[caption])
    packs = []
    while order:
        size = max(FEWEST, min(MOST, WORDS // lengths[order[0]] // MULTIPLE * MULTIPLE))
        packs.append(order[:size])
        order = order[size:]
    return packs


class Lanes:
    """The words of some captions, by position, with what all images need of them.

    pack: the captions' numbers, the longest first. Arguments else as in `scan_tile`.
    """

    def __init__(
        self, pack: Sequence[int], captions: Tensor, lengths: Sequence[int], context_gram: Tensor, codes: Codes
    ) -> None:
        own = np.array([lengths[caption] for caption in pack])
        counts = (own[None] > np.arange(own[0])[:, None]).sum(1)
        starts = np.cumsum(counts) - counts
        position = np.repeat(np.arange(own[0]), counts)
        caption = np.array(pack)[np.arange(own.sum()) - np.repeat(starts, counts)]
        place = torch.from_numpy(caption * captions.shape[1] + position)
        self.captions = torch.tensor(pack)
        self.vectors = captions.flatten(0, 1).index_select(0, place)
        self._codes, self._layout = codes, Layout(starts, counts)
        if codes.words_ask:
            slot = torch.from_numpy(starts[:, None] + np.minimum(np.arange(len(pack)), counts[:, None] - 1))
            self._norms = torch.linalg.vector_norm(self.vectors, dim=1)[slot]
            return
        words = slice(0, int(own[0]))
        self._gram = pad_gram(context_gram[self.captions, words, words]).permute(1, 2, 0).contiguous()
        self._longest = context_gram[self.captions].detach().diagonal(dim1=1, dim2=2).amax(1)

    def score(
        self, images: Float[Tensor, "G R D"], image_gram: Float[Tensor, "G K K"] | None
    ) -> tuple[Float[Tensor, "G C"], Bool[Tensor, "G C"]]:
        """Score images with the captions, and tell which pairs have a context that cancels.

        image_gram: for `t2i`, made by `pad_gram`.
        """
        groups, regions, _ = images.shape
        table = product(images.flatten(0, 1), self.vectors).view(groups, regions, -1)
        if image_gram is None:
            norms, gram, longest = torch.linalg.vector_norm(images, dim=2), self._gram, self._longest
        else:
            norms, gram, longest = self._norms, image_gram, image_gram.detach().diagonal(dim1=1, dim2=2).amax(1)
        given = table, gram, norms, longest, self._layout, self._codes
        if not torch.is_grad_enabled():
            return _attend(*given)
        found: tuple[Tensor, Tensor] = _Attended.apply(*given)  # type: ignore[no-untyped-call]
        return found


def pad_gram(gram: Float[Tensor, "N K K"]) -> Float[Tensor, "N M M"]:
    """Return the tables with as many rows and columns of zeros more as the loops ask for."""
    room = -gram.shape[1] % STEP
    return functional.pad(gram, (0, room, 0, room)) if room else gram


def _attend(
    table: Tensor, gram: Tensor, norms: Tensor, longest: Tensor, layout: Layout, codes: Codes
) -> tuple[Tensor, Tensor]:
    shape = len(table), int(layout.counts[0])
    scores, cancelled = np.empty(shape, np.float32), np.empty(shape, np.bool_)
    attend(_array(table), layout, codes, _array(gram), _array(norms), _array(longest), scores, cancelled)
    return torch.from_numpy(scores), torch.from_numpy(cancelled)


class _Attended(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, table: Tensor, gram: Tensor, norms: Tensor, longest: Tensor, layout: Layout, codes: Codes
    ) -> tuple[Tensor, Tensor]:
        scores, cancelled = _attend(table, gram, norms, longest, layout, codes)
        ctx.save_for_backward(table, gram, norms)
        ctx.mark_non_differentiable(cancelled)
        ctx.layout, ctx.codes = layout, codes
        return scores, cancelled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        tensors = ctx.saved_tensors
        found = [torch.empty(tensors[0].shape), *(torch.zeros(tensor.shape) for tensor in tensors[1:])]
        table, gram, norms = map(_array, tensors)
        differentiate(table, ctx.layout, ctx.codes, gram, norms, _array(upstream), *map(_array, found))
        return (*found, None, None, None)


def _array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    array: np.ndarray[Any, np.dtype[np.float32]] = tensor.detach().contiguous().numpy()
    return array
