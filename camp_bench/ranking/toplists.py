"""The best candidates of many queries, whatever the order in which they come.

A candidate is one int64: its float32 score, mapped to an integer of the same order, above its inverted id. Keys are
unique, so which of two equal scores stays never depends on tiles or on how a sort breaks ties. On a CPU, `TopLists`
is told only what reaches its thresholds, which after few tiles is little; on a GPU, `DeviceTopLists` takes whole
tiles, because looking at how many there are would make the device wait.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.shapes import Float, Int

__all__ = ["DeviceTopLists", "TopLists", "keys_of", "unpack"]

NONE = np.iinfo(np.int64).min
"""The key of no candidate, below all others."""
GROUPS = 256
"""Of candidates, from whose best ones the first thresholds come."""
PENDING = 32
"""Candidates a query that wait to be sorted in, on average."""

Keys = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int64]


def keys_of(scores: npt.NDArray[np.float32], candidates: npt.NDArray[np.int64]) -> Keys:
    """Return the keys of candidates, ids from 0 to 2^32 - 1, elementwise."""
    bits = (scores + np.float32(0)).view(np.int32)  # + 0.0 makes -0.0 the 0.0 that it equals
    ordered = (bits ^ ((bits >> 31) & 0x7FFFFFFF)).astype(np.int64)
    return (ordered << 32) + (0xFFFFFFFF - candidates)


def unpack(keys: Keys) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return ids and scores of keys; those of no candidate have the score NaN."""
    ids = (0xFFFFFFFF - (keys & 0xFFFFFFFF)).astype(np.int32)
    ordered = (keys >> 32).astype(np.int32)
    return ids, (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32)


class TopLists:
    """Lists of `size` for some queries. threshold: (queries,) float32, the score below which nothing gets in."""

    def __init__(self, queries: int, size: int) -> None:
        self.threshold = np.full(queries, -np.inf, dtype=np.float32)
        self.size = size
        self._keys = np.full((queries, size), NONE)
        self._waiting: list[tuple[npt.NDArray[np.integer], Keys]] = []
        self._count, self._fresh = 0, True

    def start(self, scores: npt.NDArray[np.float32]) -> None:
        """Learn thresholds from the first scores, (queries, candidates), which are to be added afterwards.

        At least `size` of them reach the size-th best of the maxima of disjoint groups.
        """
        size, each = self.size, scores.shape[1] // GROUPS
        if not self._fresh or not 0 < size <= GROUPS or scores.shape[1] < size:
            return
        self._fresh = False
        best = scores if each < 2 else scores[:, : each * GROUPS].reshape(len(scores), each, GROUPS).max(1)
        self.threshold = np.partition(best, best.shape[1] - size, axis=1)[:, best.shape[1] - size].copy()

    def add(self, queries: npt.NDArray[np.integer[Any]], keys: Keys) -> None:
        """Take candidates, each for the query of that place."""
        self._waiting.append((queries, keys))
        self._count += len(keys)

    @property
    def full(self) -> bool:
        """Whether so many candidates wait that it is time to merge."""
        return self._count > PENDING * len(self.threshold)

    def result(self) -> Keys:
        """Return (queries, size) keys, best first."""
        self.merge()
        return np.sort(self._keys, axis=1)[:, ::-1]

    def merge(self) -> None:
        """Sort in what waits, which raises the thresholds."""
        if not self._count:
            return
        queries, keys = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting, self._count = [], 0
        order = np.argsort(queries, kind="stable")  # of 16-bit numbers, a radix sort
        queries, keys = queries[order], keys[order]
        counts = np.bincount(queries, minlength=len(self.threshold))
        place = np.arange(len(keys)) - (np.cumsum(counts) - counts)[queries]
        low, high = 0, PENDING
        while low < counts.max():  # queries of about as many candidates together, so that no table is mostly empty
            rows = np.flatnonzero((counts > low) & (counts <= high))
            if len(rows):
                row_of = np.full(len(counts), -1)
                row_of[rows] = np.arange(len(rows))
                of_group = row_of[queries]
                inside = of_group >= 0
                self._take(rows, of_group[inside], place[inside], keys[inside], int(counts[rows].max()))
            low, high = high, 4 * high

    def _take(self, rows: Ints, row: Ints, place: Ints, keys: Keys, width: int) -> None:
        """Sort candidates in. rows: the queries. row, place: where each of the keys stands in their table."""
        size = self.size
        table = np.full((len(rows), size + width), NONE)
        table[:, :size] = self._keys[rows]
        table[row, size + place] = keys
        table.partition(width, axis=1)
        self._keys[rows] = table[:, width:]
        worst = table[:, width]
        self.threshold[rows] = np.where(worst == NONE, self.threshold[rows], unpack(worst)[1])


class DeviceTopLists:
    """The same for all queries at once, on any device, without a word from the device to the host."""

    def __init__(self, queries: int, size: int, device: torch.device) -> None:
        self._size = size
        self._keys = torch.full((queries, size), NONE, dtype=torch.int64, device=device)

    def update(self, queries: slice | Tensor, scores: Float[Tensor, "q c"], candidates: Int[Tensor, " c"]) -> None:
        """Take the scores of all these queries with all these candidates."""
        bits = (scores.float() + 0.0).contiguous().view(torch.int32)
        ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
        keys = (ordered << 32) + (0xFFFFFFFF - candidates)
        self._keys[queries] = torch.cat((self._keys[queries], keys), 1).topk(self._size, dim=1).values

    def result(self) -> Keys:
        """Return (queries, size) keys, best first."""
        return self._keys.cpu().numpy()
