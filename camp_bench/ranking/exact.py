"""Top lists of float64 scores, whose order float32 can't hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["exact_top"]

Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.floating[Any]]


def exact_top(
    scores: Scores, rows: Ints, columns: Ints, size: int, budget: int, lower_is_better: bool = False
) -> tuple[npt.NDArray[np.int32], Scores]:
    """Return ids and scores, (rows, size), of the best columns of each row: best first, equal ones by lower id.

    Ids are places in `columns`. budget: bytes of scores to hold at a time. lower_is_better: take the
    scores with the other sign.
    """
    size = min(size, len(columns))
    ids = np.empty((len(rows), size), dtype=np.int32)
    found = np.empty((len(rows), size), dtype=scores.dtype)
    step = max(1, budget // (16 * len(columns)))
    for first in range(0, len(rows), step):
        part = np.asarray(scores[rows[first : first + step]][:, columns])
        part = -part if lower_is_better else part
        for row, values in enumerate(part, first):
            least = np.partition(values, len(columns) - size)[len(columns) - size]
            near = np.flatnonzero(values >= least)
            best = near[np.argsort(-values[near], kind="stable")[:size]]
            ids[row], found[row] = best, values[best]
    return ids, found
