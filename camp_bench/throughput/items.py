"""The items of a workload as a model sees them: prepared in the tiles of evaluation, or encoded for the plain form."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from camp_bench.data.batches import pad_tokens
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.evaluation.tiles import Tiling, fitted, prepare_caption_tile, prepare_image_tile
from camp_bench.models.base import PairModel, Prepared
from camp_bench.ranking.grid import TileGrid, build_grid
from camp_bench.ranking.tiles import Ranks, rank_tiles
from camp_bench.throughput.flops import count_work
from camp_bench.throughput.sampling import time_once

__all__ = ["Gallery", "Part", "build_gallery", "choose_part", "count_useful_flops"]

Ints = npt.NDArray[np.int64]

PART_SECONDS = 0.5
"""The plain form is timed on as many captions as it does in about this time."""
PART_BYTES = 64 << 20
"""Encoded images that the plain form meets at most: it makes several temporaries as large as they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Prepared items in the tiles of a grid. size: images and captions of the largest tile."""

    model: PairModel
    grid: TileGrid
    size: tuple[int, int]
    images: list[Prepared]
    captions: list[Prepared]
    device: torch.device

    def score(self) -> None:
        """Score every pair, tile by tile: what pairs a second are about. Its ceiling is the matrix-product rate."""
        for images, captions in itertools.product(self.images, self.captions):
            self.model.score_tile(images, captions)

    def evaluate(self) -> Ranks:
        """Score every pair and rank both ways, as evaluation does; its ceiling is `score`, plus reading each score."""
        score = lambda i, t: self.model.score_tile(self.images[i], self.captions[t])
        return rank_tiles(self.grid, score, device=self.device)


def build_gallery(model: PairModel, items: TokenizedSplit, device: torch.device) -> Gallery:
    """Encode and prepare all items in the grid that evaluation would take; equal captions are not shared here."""
    tile = fitted(Tiling.of(model.settings), model, items)
    size = tile.images, tile.captions
    grid = build_grid(
        items.split.image_of,
        items.split.n_images,
        tile_images=size[0],
        tile_captions=size[1],
        lengths=_lengths(items),
    )
    images = [prepare_image_tile(model, items.split, rows, device) for rows in grid.image_tiles]
    captions = [prepare_caption_tile(model, items.token_ids, columns, device) for columns in grid.caption_tiles]
    return Gallery(model, grid, size, images, captions, device)


def count_useful_flops(gallery: Gallery, items: TokenizedSplit) -> int:
    """Count FLOPs with every caption scored by itself, so that none is padded to the length of another.

    One caption of each length stands for all of its length, one tile for all of its height.
    """
    model, device, lengths = gallery.model, gallery.device, _lengths(items)
    heights = np.array([len(rows) for rows in gallery.grid.image_tiles])
    total = 0
    for tile, tiles in zip(*np.unique(heights, return_index=True, return_counts=True)[1:], strict=True):
        for first, captions in zip(*np.unique(lengths, return_index=True, return_counts=True)[1:], strict=True):
            one = prepare_caption_tile(model, items.token_ids, np.array([first]), device)
            work = count_work(partial(model.score_tile, gallery.images[tile], one))
            total += work.flops * int(captions) * int(tiles)
    return total


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The items that a plain form is timed on, encoded, with the lengths that it is to take for true."""

    model: PairModel
    images: Tensor
    captions: Tensor
    lengths: Tensor

    @property
    def pairs(self) -> int:
        return len(self.images) * len(self.captions)

    def score(self) -> Tensor:
        """Score all pairs as the paper writes it, one caption at a time; its ceiling is the product rate."""
        return self.model.score_plain(self.images, self.captions, self.lengths)

    def difference(self) -> float:
        """Return the largest difference between a score of the plain form and of the fast one."""
        images = self.model.prepare_images(self.images)
        captions = self.model.prepare_captions(self.captions, self.lengths)
        return float((self.model.score_tile(images, captions) - self.score()).abs().max())


def choose_part(model: PairModel, items: TokenizedSplit, device: torch.device, padded_words: int | None) -> Part:
    """Return as much of the items as the plain form does in a moment: the first images, captions of all lengths.

    padded_words: pad every caption to so many words and count them all; None: its true words only.
    """
    one = _encode_images(model, items, 1, device)
    images = min(items.split.n_images, max(1, PART_BYTES // (one.numel() * one.element_size())))
    encoded = _encode_images(model, items, images, device)
    by_length: Ints = np.argsort(_lengths(items), kind="stable").astype(np.int64)
    trial = _encode_part(model, items, encoded, by_length[len(by_length) // 2 :][:1], padded_words)
    trial.score()
    count = min(len(by_length), max(1, round(PART_SECONDS / time_once(trial.score, device))))
    evenly = ((np.arange(count) + 0.5) * len(by_length) / count).astype(np.int64)
    return _encode_part(model, items, encoded, by_length[evenly], padded_words)


def _encode_images(model: PairModel, items: TokenizedSplit, count: int, device: torch.device) -> Tensor:
    return model.encode_images(torch.from_numpy(items.split.gather(np.arange(count))).to(device))


def _encode_part(
    model: PairModel, items: TokenizedSplit, images: Tensor, captions: Ints, padded_words: int | None
) -> Part:
    tokens, lengths = pad_tokens([items.token_ids[int(i)] for i in captions])
    encoded = model.encode_captions(tokens.to(images.device), lengths)
    if padded_words is None:
        return Part(model, images, encoded, lengths)
    encoded = functional.pad(encoded, (0, 0, 0, max(padded_words - encoded.shape[1], 0)))
    return Part(model, images, encoded, torch.full_like(lengths, encoded.shape[1]))


def _lengths(items: TokenizedSplit) -> Ints:
    return np.array([len(ids) for ids in items.token_ids])
