"""Ranks from a score matrix on disk, which is read tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.errors import NumericError
from camp_bench.ranking.exact import exact_top
from camp_bench.ranking.grid import build_grid, fit_tile
from camp_bench.ranking.tiles import TOP, DirectionRanks, Ranks, rank_tiles

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
    lower_is_better: bool = False,
    top: int = TOP,
    ends: bool = False,
    on_tile: Callable[[int, int], None] | None = None,
) -> Ranks:
    """Rank some images and captions of a matrix (all images, all captions), memory-mapped or not, by its own digits.

    image_of: (M,) the place in `images` of each of the M `captions`. lower_is_better: scores are distances, and counted
    with the other sign. ends, on_tile: as in `rank_tiles`. The top lists of float64 are exact.
    Raises NumericError where a score is NaN or beats all others as an infinite one, counting images and captions among
    those given; a score that loses to all, -inf of a masked pair, is one.
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
        part = np.array(scores[as_slice(rows)][:, as_slice(columns)], dtype=np.result_type(scores.dtype, np.float32))
        part = np.negative(part, out=part) if lower_is_better else part
        if np.isposinf(part).any():
            row, column = (int(place) for place in np.argwhere(np.isposinf(part))[0])
            raise NumericError(
                f"score is {'-' if lower_is_better else '+'}inf for image {{image}} and caption {{caption}}, an "
                f"overflow that would beat every other; mend it, or write float32",
                image=int(grid.image_tiles[i][row]),
                caption=int(grid.caption_tiles[t][column]),
            )
        return torch.from_numpy(part)

    ranks = rank_tiles(grid, tile, top=top, ends=ends, on_tile=on_tile)
    if scores.dtype != np.float64:
        return ranks
    return Ranks(
        i2t=_exact(ranks.i2t, exact_top(scores, images, captions, top, memory_budget, lower_is_better)),
        t2i=_exact(ranks.t2i, exact_top(scores.T, captions, images, top, memory_budget, lower_is_better)),
    )


def _exact(ranks: DirectionRanks, top: tuple[npt.NDArray[np.int32], npt.NDArray[np.floating[Any]]]) -> DirectionRanks:
    # what ties beyond a list was counted in float32, and exact lists end elsewhere
    return replace(ranks, top_ids=top[0], top_scores=top[1], beyond=None)


def as_slice(numbers: Ints) -> Ints | slice:
    """Return a slice where the numbers follow each other, which a mapped file reads in one go."""
    whole = len(numbers) == numbers[-1] - numbers[0] + 1 and bool((np.diff(numbers) == 1).all())
    return slice(int(numbers[0]), int(numbers[-1]) + 1) if whole else numbers
