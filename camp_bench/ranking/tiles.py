"""Exact ranks of both directions in one pass over the tiles of a grid.

A query's threshold is the score of its best positive, read from the very tile in which it is compared. So the tiles
with positives come first: those of one block of images are scored, give the thresholds of its rows and columns, and
are counted and dropped. Only shared tiles wait until the last of their captions has its threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.errors import DataError, NumericError
from camp_bench.ranking.grid import TileGrid, build_grid
from camp_bench.ranking.list_ends import ListEnds
from camp_bench.ranking.tally import DeviceTally, HostTally, Tally
from camp_bench.shapes import Float

__all__ = ["TOP", "DirectionRanks", "Ranks", "rank_matrix", "rank_tiles"]

TOP = 100
"""How many of the best candidates a query keeps."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class DirectionRanks:
    """One entry a query: b negatives above the best positive, n tied with it, p positives tied (the best included).

    top_ids, top_scores: (queries, min(TOP, candidates)), best first, equal scores by lower id. beyond: how many more
    candidates tie with the last of these, None where that wasn't asked for.
    """

    b: Ints
    n: Ints
    p: Ints
    top_ids: npt.NDArray[np.int32]
    top_scores: npt.NDArray[np.floating[Any]]
    beyond: Ints | None = None

    @property
    def counts(self) -> tuple[Ints, Ints, Ints]:
        return self.b, self.n, self.p


@dataclass(frozen=True, slots=True)
class Ranks:
    """Ranks of all images as queries for captions (i2t) and of all captions as queries for images (t2i)."""

    i2t: DirectionRanks
    t2i: DirectionRanks


def rank_tiles(
    grid: TileGrid,
    score: Callable[[int, int], Float[Tensor, "rows columns"]],
    *,
    device: torch.device | str = "cpu",
    top: int = TOP,
    ends: bool = False,
    strip: int | None = None,
    on_tile: Callable[[int, int], None] | None = None,
) -> Ranks:
    """Rank every query of both directions in one pass over the grid.

    score: gives the tile of (image tile, caption tile), scores on `device`; each is asked for exactly once, those of
    an image tile's own block first, then caption tile by caption tile for each `strip` of so many image tiles (by
    default all), so that captions are needed once a strip. device: CUDA counts its scores itself, others' are counted
    on the CPU. top: length of the top lists. ends: count what ties with the last of each list beyond it, for
    `top` of 1 or more. on_tile: told (tiles done, tiles in all), for
    progress.
    Memory beside the tiles: O(N + M) counts and top lists, the tiles of one block of images with its own captions, and
    N scores for each caption that is repeated in several blocks.
    Raises NumericError naming image and caption where a score is NaN.
    """
    return _Pass(grid, score, torch.device(device), top, ends, on_tile).run(strip or len(grid.image_tiles))


def rank_matrix(scores: Float[Tensor, "images captions"], image_of: Ints) -> Ranks:
    """Rank a score matrix that is already there. image_of: (captions,) image of each caption.

    Top lists order float64 scores as float32; counts don't. Raises DataError where the two don't fit each other.
    """
    if scores.ndim != 2 or not scores.is_floating_point():
        raise DataError(f"scores: {tuple(scores.shape)} {scores.dtype}, expected floats of shape (images, captions)")
    n, m = scores.shape
    if image_of.shape != (m,) or m == 0 or image_of.min() < 0 or image_of.max() >= n:
        raise DataError(
            f"image_of: shape {image_of.shape} for scores of {n} images x {m} captions; expected the image of each "
            f"caption, numbers from 0 to {n - 1}"
        )
    grid = build_grid(image_of, n, tile_images=n, tile_captions=m)
    assert np.array_equal(grid.caption_tiles[0], np.arange(m))  # one tile, captions in order
    return rank_tiles(grid, lambda _i, _t: scores.detach(), device=scores.device)


def _counting_device(device: torch.device) -> torch.device:
    """Return where ranks are counted: on a GPU of CUDA itself, else on the CPU.

    On mps, torch's top-k of int64 is wrong beyond 256 entries without a word, and there is no float64.
    """
    return device if device.type == "cuda" else torch.device("cpu")


class _Pass:
    """One pass over the grid."""

    def __init__(
        self,
        grid: TileGrid,
        score: Callable[[int, int], Tensor],
        device: torch.device,
        top: int,
        ends: bool,
        on_tile: Callable[[int, int], None] | None,
    ) -> None:
        self._grid, self._score, self._top, self._on_tile = grid, score, top, on_tile
        self._device = _counting_device(device)
        self._done = 0
        self._image_of = torch.from_numpy(grid.image_of).to(self._device)
        self._positives = {
            (i, t): [torch.from_numpy(index).to(self._device) for index in grid.positives_in(i, t)]
            for i, t in grid.positive_tiles()
        }
        self._best = self._positive = torch.empty(0)
        self._tally: Tally | None = None
        n, m = grid.n_images, len(grid.image_of)
        self._ends = (ListEnds(n, min(top, m)), ListEnds(m, min(top, n))) if ends else None

    def run(self, strip: int) -> Ranks:
        grid = self._grid
        waiting: list[tuple[int, int, Tensor]] = []
        for i, own in enumerate(grid.own):
            tiles = [(t, self._tile(i, t)) for t in (*own, *(t for t in grid.shared if (i, t) in self._positives))]
            for t, scores in tiles:
                self._read_positives(i, t, scores)
            for t, scores in tiles:
                if t in own:
                    self._count(i, t, scores)
                else:
                    waiting.append((i, t, scores))
            tiles.clear()
        while waiting:
            self._count(*waiting.pop())
        self._refuse_nan()
        for first in range(0, len(grid.image_tiles), strip):
            for t in range(len(grid.caption_tiles)):
                for i in range(first, min(first + strip, len(grid.image_tiles))):
                    if (i, t) not in self._positives:
                        self._count(i, t, self._tile(i, t))
                self._refuse_nan()
        assert self._tally is not None  # the grid has tiles
        tied = torch.zeros_like(self._best, dtype=torch.int64)
        tied.index_add_(0, self._image_of, (self._positive == self._best[self._image_of]).long())
        p = tied.cpu().numpy()
        above_image, equal_image, above_caption, equal_caption = self._tally.counts()
        of_images, of_captions = self._tally.top()
        past_images, past_captions = (None, None) if self._ends is None else (ends.beyond for ends in self._ends)
        return Ranks(
            i2t=DirectionRanks(above_image, equal_image - p, p, *of_images, past_images),
            t2i=DirectionRanks(
                above_caption, equal_caption - 1, np.ones_like(above_caption), *of_captions, past_captions
            ),
        )

    def _tile(self, i: int, t: int) -> Tensor:
        """Return the scores of a tile, as floats that count exactly."""
        scores = self._score(i, t).to(self._device)
        if scores.dtype not in (torch.float32, torch.float64):
            scores = scores.float()
        if self._tally is None:
            self._best = torch.full((self._grid.n_images,), -torch.inf, dtype=scores.dtype, device=self._device)
            self._positive = torch.empty(len(self._image_of), dtype=scores.dtype, device=self._device)
            if self._device.type == "cpu":
                self._tally = HostTally(self._grid, self._best.numpy(), self._positive.numpy(), self._top)
            else:
                self._tally = DeviceTally(self._grid, self._best, self._positive, self._top)
        return scores

    def _read_positives(self, i: int, t: int, scores: Tensor) -> None:
        rows, columns, captions = self._positives[i, t]
        found = scores[rows, columns]
        self._positive[captions] = found
        self._best.scatter_reduce_(0, rows + self._grid.image_tiles[i].start, found, "amax")

    def _count(self, i: int, t: int, scores: Tensor) -> None:
        assert self._tally is not None  # made with the first tile
        self._tally.add(i, t, scores)
        if self._ends is not None:
            rows, captions = self._grid.image_tiles[i], self._grid.answers[t]
            every = scores.float().cpu().numpy()[:, self._grid.expand[t]]
            self._ends[0].take(np.arange(rows.start, rows.stop), every)
            self._ends[1].take(captions, every.T)
        self._done += 1
        if self._on_tile is not None:
            self._on_tile(self._done, self._grid.n_tiles)

    def _refuse_nan(self) -> None:
        found = None if self._tally is None else self._tally.broken()
        if found is None:
            return
        i, t = found
        rows, columns = self._grid.image_tiles[i], self._grid.caption_tiles[t]
        row, column = torch.isnan(self._score(i, t)).nonzero()[0].tolist()
        raise NumericError(
            f"score is NaN for image {{image}} and caption {{caption}} (tile {i}, {t} of the grid); "
            "NaN has no rank: check the features and the weights, or lower the learning rate",
            image=rows[row],
            caption=int(columns[column]),
        )
