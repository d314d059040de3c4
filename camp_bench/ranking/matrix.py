"""Ranks from a score matrix on disk, which is read tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.ranking.grid import build_grid, fit_tile
from camp_bench.ranking.tiles import TOP, Ranks, rank_tiles

__all__ = ["as_slice", "rank_stored"]

TILE = 1000, 2500
"""The largest tile: 10 MB of float32."""

Ints = npt.NDArray[np.int64]


def rank_stored(
    scores: npt.NDArray[np.floating[Any]],
    image_of: Ints,
    *,
    images: Ints,
    captions: Ints,
    memory_budget: int,
    top: int = TOP,
    on_tile: Callable[[int, int], None] | None = None,
) -> Ranks:
    """Rank some images and captions of a matrix (all images, all captions), memory-mapped or not, by its own digits.

    image_of: (M,) the place in `images` of each of the M `captions`. on_tile: told (tiles done, tiles in all).
    Raises NumericError where a score is NaN, counting images and captions among those given.
    """
    n, m = len(images), len(captions)
    height, width = fit_tile(
        n,
        m,
        tile_images=TILE[0],
        tile_captions=TILE[1],
        tile_bytes=lambda rows, columns: 16 * rows * columns,
        budget_bytes=memory_budget // 2,
    )
    grid = build_grid(image_of, n, tile_images=height, tile_captions=width)

    def tile(i: int, t: int) -> Tensor:
        rows, columns = images[grid.image_tiles[i]], captions[grid.caption_tiles[t]]
        part = np.asarray(scores[as_slice(rows)][:, as_slice(columns)])
        return torch.from_numpy(part.astype(np.float32) if part.dtype == np.float16 else np.array(part))

    return rank_tiles(grid, tile, top=top, on_tile=on_tile)


def as_slice(numbers: Ints) -> Ints | slice:
    """Return a slice where the numbers follow each other, which a mapped file reads in one go."""
    whole = len(numbers) == numbers[-1] - numbers[0] + 1 and bool((np.diff(numbers) == 1).all())
    return slice(int(numbers[0]), int(numbers[-1]) + 1) if whole else numbers
