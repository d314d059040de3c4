"""Captions laid one behind the other: blocks of one width that hold whole captions, with little room left over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from camp_bench.shapes import Int

__all__ = ["Pack", "pack_captions"]

STEP = 32
"""A multiple of this is what matrix kernels like for a number of columns: 384 take less time than 380."""


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """Some blocks side by side, W places in all.

    captions: the numbers of those in it. owner: which of them each place belongs to; one more, `len(captions)`, where
    places are `blank`. position: of a place in its caption. blocks: how many.
    """

    captions: Int[Tensor, " C"]
    owner: Int[Tensor, " W"]
    position: Int[Tensor, " W"]
    blocks: int
    blank: bool


def pack_captions(lengths: Sequence[int], width: int, blocks: int) -> list[Pack]:
    """Fill blocks of `width` places, and put `blocks` of them together; a block alone need not be filled up.

    The longest captions come first, each into the fullest block with room for it. None is longer than `width`.
    """
    filled: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(width + 1)]
    for caption in sorted(range(len(lengths)), key=lambda caption: -lengths[caption]):
        room = next((room for room in range(lengths[caption], width) if by_room[room]), width)
        if room == width:
            by_room[width].append(len(filled))
            filled.append([])
        number = by_room[room].pop()
        filled[number].append(caption)
        by_room[room - lengths[caption]].append(number)
    return [_pack(filled[start : start + blocks], lengths, width) for start in range(0, len(filled), blocks)]


def _pack(filled: Sequence[Sequence[int]], lengths: Sequence[int], width: int) -> Pack:
    captions = [caption for block in filled for caption in block]
    owner: list[int] = []
    position: list[int] = []
    first, blank = 0, False
    for number, block in enumerate(filled, start=1):
        for place, caption in enumerate(block, start=first):
            owner += [place] * lengths[caption]
            position += range(lengths[caption])
        first += len(block)
        end = number * width if len(filled) > 1 else -(-len(owner) // STEP) * STEP
        if room := end - len(owner):
            owner += [len(captions)] * room
            position += [0] * room
            blank = True
    return Pack(torch.tensor(captions), torch.tensor(owner), torch.tensor(position), len(filled), blank)
