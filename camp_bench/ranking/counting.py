"""What a tile adds to the ranks of its rows and columns: how many scores beat and tie each threshold, and top lists.

`HostTally` works on a CPU in blocks that fit a core's cache, one core a block. numpy compares faster than torch there,
and the ones of a comparison are summed as bytes, eight in a word, before any sum is widened. `DeviceTally` is the same
in a few torch operations that never make a GPU wait for the host.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.ranking.grid import TileGrid
from camp_bench.ranking.toplists import DeviceTopLists, Keys, TopLists, keys_of, unpack
from camp_bench.shapes import Float
from camp_bench.workers import spread

__all__ = ["DeviceTally", "HostTally", "Tally"]

BLOCK_ROWS, BLOCK_COLUMNS = 255, 2032
"""Of scores that a core takes at a time: 0.5 MB in float32. Bytes count rows and eighths of columns, to 255 at most."""
WORTH_THREADS = 1 << 16
"""Scores from which on a tile is shared among the cores."""
CPU = torch.device("cpu")

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]
Top = tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]
T = TypeVar("T")
R = TypeVar("R")
Found = tuple[npt.NDArray[np.uint16], Keys]


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
        self._grid, self._best, self._positive, self._top = grid, best, positive, top
        n, m = len(best), len(positive)
        self._counts = (np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros(m, np.int64), np.zeros(m, np.int64))
        self._of_images = [_Lists(len(rows), BLOCK_ROWS, min(top, m)) for rows in grid.image_tiles]
        self._of_captions = [_Lists(len(columns), BLOCK_COLUMNS, min(top, n)) for columns in grid.caption_tiles]
        self._broken: tuple[int, int] | None = None

    def add(self, i: int, t: int, scores: Float[Tensor, "rows columns"]) -> None:
        array, grid = scores.numpy(), self._grid
        scored, width = grid.answers[t], array.shape[1]
        self._count(i, array, scored[:width], self._of_captions[t])
        if len(scored) > width:  # captions that repeat one: other thresholds, but the same images are their best
            self._count(i, array[:, grid.expand[t][width:]], scored[width:], None)
        if self._broken is None and not math.isfinite(torch.sum(scores).item()) and np.isnan(array).any():
            self._broken = i, t

    def broken(self) -> tuple[int, int] | None:
        return self._broken

    def counts(self) -> tuple[Ints, Ints, Ints, Ints]:
        return self._counts

    def top(self) -> tuple[Top, Top]:
        grid, every = self._grid, [np.arange(rows.start, rows.stop) for rows in self._grid.image_tiles]
        of_images = _gather(self._of_images, every, None, len(self._best))
        return of_images, _gather(self._of_captions, grid.answers, grid.expand, len(self._positive))

    def _count(self, i: int, scores: Floats, captions: Ints, of_captions: _Lists | None) -> None:
        """Count scores of the image tile with some captions. of_captions: None if these want no top lists."""
        rows, of_images = self._grid.image_tiles[i], self._of_images[i]
        images = np.arange(rows.start, rows.stop)
        positive, best = self._positive[captions], self._best[rows.start : rows.stop]
        down = _cut(len(captions), BLOCK_COLUMNS) if of_captions is None else of_captions.places
        if self._top:
            single = scores.astype(np.float32, copy=False)
            of_images.start(single)
            if of_captions is not None:
                of_captions.start(single.T)

        def count(number: int) -> list[_Block]:
            across = of_images.places[number]
            blocks = []
            for place, columns in enumerate(down):
                block = _Block(scores[across, columns])
                block.count(best[across], positive[columns])
                if self._top:
                    block.find_for_rows(of_images.parts[number].threshold, captions[columns])
                    if of_captions is not None:
                        block.find_for_columns(of_captions.parts[place].threshold, images[across])
                block.forget()
                blocks.append(block)
            return blocks

        every = range(len(of_images.places))
        shared = scores.size >= WORTH_THREADS
        above, equal = np.zeros(len(captions), np.int64), np.zeros(len(captions), np.int64)
        for number, blocks in enumerate(_each(count, every, shared=shared)):
            across = images[of_images.places[number]]
            for place, (block, columns) in enumerate(zip(blocks, down, strict=True)):
                self._counts[0][across] += block.above_rows
                self._counts[1][across] += block.equal_rows
                above[columns] += block.above_columns
                equal[columns] += block.equal_columns
                if block.of_rows is not None:
                    of_images.parts[number].add(*block.of_rows)
                if block.of_columns is not None and of_captions is not None:
                    of_captions.parts[place].add(*block.of_columns)
        self._counts[2][captions] += above
        self._counts[3][captions] += equal
        lists = [*of_images.parts, *(() if of_captions is None else of_captions.parts)]
        for _ in _each(TopLists.merge, [part for part in lists if part.full], shared=shared):
            pass


class _Lists:
    """Top lists of the rows or columns of a tile, in parts so that several threads can keep them."""

    def __init__(self, queries: int, most: int, size: int) -> None:
        self.places = _cut(queries, most)
        self.parts = [TopLists(place.stop - place.start, size) for place in self.places]
        self.size = size

    def start(self, scores: npt.NDArray[np.float32]) -> None:
        for place, part in zip(self.places, self.parts, strict=True):
            part.start(scores[place])

    def result(self) -> Keys:
        return np.concatenate([part.result() for part in self.parts])


def _cut(count: int, most: int) -> list[slice]:
    """Return parts of at most so many, of about the same size; a block's counts are bytes, which hold no more."""
    parts = -(-count // most)
    ends = [count * part // parts for part in range(parts + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _each(work: Callable[[T], R], pieces: Iterable[T], *, shared: bool) -> Iterator[R]:
    """Yield `work(piece)` in order. shared: among the cores, which for little work costs more than it saves."""
    return spread(work, pieces, CPU) if shared else map(work, pieces)


class _Block:
    """A block of scores and what it holds: counts, and the candidates of its rows and columns for their top lists."""

    def __init__(self, scores: Floats) -> None:
        self._scores = scores
        height, width = scores.shape
        self._bytes = np.zeros((height, -(-width // 8) * 8), dtype=np.bool_)
        self._mask = self._bytes[:, :width]
        self.of_rows: Found | None = None
        self.of_columns: Found | None = None

    def count(self, best: Floats, positive: Floats) -> None:
        """Count what lies above and at the thresholds, (rows,) and (columns,)."""
        self.above_rows = self._rows(np.greater, best)
        self.equal_rows = self._rows(np.greater_equal, best) - self.above_rows
        self.above_columns = self._columns(np.greater, positive)
        self.equal_columns = self._columns(np.greater_equal, positive) - self.above_columns

    def find_for_rows(self, threshold: Floats, captions: Ints) -> None:
        """Find what reaches the thresholds of the rows' top lists. captions: the ids of the columns."""
        row, column, scores = self._reaching(threshold[:, None])
        self.of_rows = row.astype(np.uint16), keys_of(scores, captions[column])

    def find_for_columns(self, threshold: Floats, images: Ints) -> None:
        """Find what reaches the thresholds of the columns' top lists. images: the ids of the rows."""
        row, column, scores = self._reaching(threshold)
        self.of_columns = column.astype(np.uint16), keys_of(scores, images[row])

    def forget(self) -> None:
        """Let the scores go."""
        del self._scores, self._bytes, self._mask

    def _rows(self, compare: np.ufunc, threshold: Floats) -> Ints:
        compare(self._scores, threshold[:, None], out=self._mask)
        sums = self._bytes.view(np.uint64).sum(1)
        return np.asarray(sums.view(np.uint8).reshape(-1, 8).sum(1), dtype=np.int64)

    def _columns(self, compare: np.ufunc, threshold: Floats) -> Ints:
        compare(self._scores, threshold, out=self._mask)
        sums = np.add.reduce(self._mask.view(np.uint8), axis=0, dtype=np.uint8)
        return np.asarray(sums, dtype=np.int64)

    def _reaching(self, threshold: Floats) -> tuple[Ints, Ints, npt.NDArray[np.float32]]:
        np.greater_equal(self._scores.astype(np.float32, copy=False), threshold, out=self._mask)
        place, width = np.flatnonzero(self._bytes), self._bytes.shape[1]
        row = place // width
        column = place - row * width  # faster than divmod
        return row, column, self._scores[row, column].astype(np.float32, copy=False)


def _gather(lists: list[_Lists], queries: Sequence[Ints], expand: Sequence[Ints] | None, total: int) -> Top:
    """Return ids and scores of all queries, emptying the lists. expand: which list a query has, if not its own."""
    size = lists[0].size
    ids, scores = np.empty((total, size), dtype=np.int32), np.empty((total, size), dtype=np.float32)
    for place in reversed(range(len(lists))):
        keys = lists.pop().result()
        ids[queries[place]], scores[queries[place]] = unpack(keys if expand is None else keys[expand[place]])
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
