"""How many candidates tie with the last of a top list and didn't get in, whatever the order in which they come."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from camp_bench.shapes import Float

__all__ = ["ListEnds"]

Ints = npt.NDArray[np.int64]


class ListEnds:
    """For lists of `size`, one or more, of some queries; every candidate of a query is taken exactly once."""

    def __init__(self, queries: int, size: int) -> None:
        self._size = size
        self._best = np.full((queries, size), -np.inf, dtype=np.float32)
        self._last = np.full(queries, -np.inf, dtype=np.float32)
        self._seen = np.zeros(queries, dtype=np.int64)
        self.beyond = np.zeros(queries, dtype=np.int64)
        """(queries,) how many of the candidates taken so far tie with the last of their query's list, outside of it."""

    def take(self, queries: Ints, scores: Float[npt.NDArray[np.floating], "q c"]) -> None:
        """Take the scores of all these queries with some more candidates. A score that left the list is out for good:
        what ties with a new last score was in the list before, so only what leaves now has to be counted."""
        reach = scores.max(1) >= self._last[queries]
        rows, new = queries[reach], scores[reach].astype(np.float32)
        merged = np.concatenate((self._best[rows], new), 1)
        kept = np.partition(merged, new.shape[1], axis=1)[:, new.shape[1] :]
        last = kept.min(1)
        free = np.maximum(self._size - self._seen[rows], 0)  # places of the list that hold nothing yet, as -inf
        still_free = np.maximum(free - new.shape[1], 0)
        left = (merged == last[:, None]).sum(1) - (kept == last[:, None]).sum(1)
        left -= np.where(last == -np.inf, free - still_free, 0)
        self.beyond[rows] = np.where(last == self._last[rows], self.beyond[rows], 0) + left
        self._best[rows], self._last[rows] = kept, last
        self._seen[queries] += scores.shape[1]
