"""What a tile adds to the ranks of its rows and columns: how many scores beat and tie each threshold, and top lists.

`HostTally` is for a CPU, where compiled passes do it all while a score is at hand. `DeviceTally` is the same in a few
torch operations that never make a GPU wait for the host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.machine.threads import cut, spread
from camp_bench.ranking.grid import TileGrid
from camp_bench.ranking.loops import pass_columns, pass_rows
from camp_bench.ranking.toplists import DeviceTopLists, TopLists, unpack
from camp_bench.shapes import Float

__all__ = ["DeviceTally", "HostTally", "Tally"]

WORTH_THREADS = 1 << 16
"""Scores from which on a tile is shared among the cores."""
CPU = torch.device("cpu")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
Top = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]


class Tally(Protocol):
    """Counts and top lists of all queries, for tiles that come in any order, each once."""

    def add(self, i: int, t: int, scores: Float[Tensor, "rows columns"]) -> None:
        """Count the tile (image tile i, caption tile t); the thresholds of its rows and columns must be known."""

    def broken(self) -> tuple[int, int] | None:
        """Return a tile that had a NaN, or None. Waits for the device."""

    def counts(self) -> tuple[Ints, Ints, Ints, Ints]:
        """Return scores above and equal to the threshold of each image, (N,), then of each caption, (M,)."""

    def top(self) -> tuple[Top, Top]:
        """Return ids and scores of the best captions of each image and of the best images of each caption.

        The lists are given away: it can be asked for once.
        """


class HostTally:
    """On a CPU. best, positive: thresholds of images and captions, arrays that are filled while tiles come."""

    def __init__(self, grid: TileGrid, best: Floats, positive: Floats, top: int) -> None:
        self._grid, self._best, self._positive = grid, best, positive
        n, m = len(best), len(positive)
        self._counts = (np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(m, np.int64), np.zeros(m, np.int64))
        self._of_images = [TopLists(len(rows), min(top, m)) for rows in grid.image_tiles]
        self._of_captions = [TopLists(len(columns), min(top, n)) for columns in grid.caption_tiles]
        self._broken: tuple[int, int] | None = None

    def add(self, i: int, t: int, scores: Float[Tensor, "rows columns"]) -> None:
        array, captions, width = scores.numpy(), self._grid.answers[t], scores.shape[1]
        broken = self._count(i, array, captions[:width], self._of_captions[t])
        if len(captions) > width:  # captions that repeat one: other thresholds, but the same images are their best
            again = captions[width:]
            self._count(i, array[:, self._grid.expand[t][width:]], again, TopLists(len(again), 0))
        if broken and self._broken is None:
            self._broken = i, t

    def broken(self) -> tuple[int, int] | None:
        return self._broken

    def counts(self) -> tuple[Ints, Ints, Ints, Ints]:
        return self._counts

    def top(self) -> tuple[Top, Top]:
        grid, every = self._grid, [np.arange(rows.start, rows.stop) for rows in self._grid.image_tiles]
        of_images = _gather(self._of_images, every, None, len(self._best))
        return of_images, _gather(self._of_captions, grid.answers, grid.expand, len(self._positive))

    def _count(self, i: int, scores: Floats, captions: Ints, of_captions: TopLists) -> bool:
        """Count scores of the image tile with some captions, and tell whether one is NaN."""
        rows = self._grid.image_tiles[i]
        mine = slice(rows.start, rows.stop)
        (height, width), (flat, stride) = scores.shape, _flat(scores)
        above, equal = np.zeros(width, np.int64), np.zeros(width, np.int64)
        best, positive = self._best[mine], self._positive[captions]
        counts, of_images = (self._counts[0][mine], self._counts[1][mine]), self._of_images[i].arrays

        def count(bands: tuple[tuple[int, int], tuple[int, int]]) -> bool:
            broken = pass_rows(flat, stride, width, bands[0], best, *counts, of_images, captions)
            pass_columns(flat, stride, height, bands[1], positive, above, equal, of_captions.arrays, rows.start)
            return broken

        parts = min(torch.get_num_threads(), height, width) if scores.size >= WORTH_THREADS else 1
        first, *others = zip(cut(height, parts), cut(width, parts), strict=True)
        elsewhere = spread(count, others, CPU)  # this thread works meanwhile: waking another takes a part of the time
        broken = any([count(first), *elsewhere])
        self._counts[2][captions] += above
        self._counts[3][captions] += equal
        return broken


def _flat(scores: Floats) -> tuple[Floats, int]:
    """Return one row of numbers, read-only, in which the rows of `scores` stand, and how far apart they begin."""
    if scores.strides[1] != scores.itemsize:
        scores = np.ascontiguousarray(scores)
    (height, width), step = scores.shape, scores.strides[0] // scores.itemsize
    shape = (height - 1) * step + width
    return np.lib.stride_tricks.as_strided(scores, (shape,), (scores.itemsize,), writeable=False), step


def _gather(lists: list[TopLists], queries: Sequence[Ints], expand: Sequence[Ints] | None, total: int) -> Top:
    """Return ids and scores of all queries, emptying the lists. expand: which list a query has, if not its own."""
    size = lists[0].arrays[3]
    ids, scores = np.empty((total, size), dtype=np.int32), np.empty((total, size), dtype=np.float32)

    def take(place: int) -> None:
        keys, lists[place] = lists[place].result(), TopLists(0, 0)
        ids[queries[place]], scores[queries[place]] = unpack(keys if expand is None else keys[expand[place]])

    for _ in spread(take, range(len(lists)), CPU):
        pass
    return ids, scores


class DeviceTally:
    """On any device, above all a GPU. best, positive: thresholds, tensors that are filled while tiles come."""

    def __init__(self, grid: TileGrid, best: Float[Tensor, " n"], positive: Float[Tensor, " m"], top: int) -> None:
        self._grid, self._best, self._positive = grid, best, positive
        n, m, device = len(best), len(positive), best.device
        self._counts = tuple(torch.zeros(size, dtype=torch.int64, device=device) for size in (n, n, m, m))
        self._of_images = DeviceTopLists(n, min(top, m), device)
        self._of_captions = DeviceTopLists(m, min(top, n), device)
        self._answers = [torch.from_numpy(captions).to(device) for captions in grid.answers]
        self._expand = [
            None if len(expand) == len(columns) else torch.from_numpy(expand).to(device)
            for expand, columns in zip(grid.expand, grid.caption_tiles, strict=True)
        ]
        self._images = torch.arange(n, device=device)
        self._broken = torch.zeros(len(grid.image_tiles), len(grid.caption_tiles), dtype=torch.bool, device=device)
        self._top = top

    def add(self, i: int, t: int, scores: Float[Tensor, "rows columns"]) -> None:
        captions, expand = self._answers[t], self._expand[t]
        images = slice(self._grid.image_tiles[i].start, self._grid.image_tiles[i].stop)
        self._broken[i, t] = torch.isnan(scores).any()
        if expand is not None:
            scores = scores[:, expand]
        best, positive = self._best[images, None], self._positive[captions]
        self._counts[0][images] += (scores > best).sum(1)
        self._counts[1][images] += (scores == best).sum(1)
        self._counts[2].index_add_(0, captions, (scores > positive).sum(0))
        self._counts[3].index_add_(0, captions, (scores == positive).sum(0))
        if self._top:
            self._of_images.update(images, scores, captions)
            self._of_captions.update(captions, scores.T, self._images[images])

    def broken(self) -> tuple[int, int] | None:
        found = self._broken.nonzero().tolist()
        return (int(found[0][0]), int(found[0][1])) if found else None

    def counts(self) -> tuple[Ints, Ints, Ints, Ints]:
        above_image, equal_image, above_caption, equal_caption = (counts.cpu().numpy() for counts in self._counts)
        return above_image, equal_image, above_caption, equal_caption

    def top(self) -> tuple[Top, Top]:
        return unpack(self._of_images.result()), unpack(self._of_captions.result())
