"""Compiled passes over a tile of scores: one by rows, one by columns, each query's share in a single visit.

A visit counts what lies above and at the query's threshold and marks what may belong to its top list. Marks are bytes,
looked at eight at a time, since nearly all are zero. Threads take bands of rows and bands of columns: no two of them
write to the same query. What adds a key stands in both, since a call costs four times as much: it counts references to
arrays that all threads share.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.machine.jit import compiled

__all__ = ["Keys", "Lists", "keys_of", "pass_columns", "pass_rows", "scores_of"]

STRETCH = 256
"""Columns that are visited together: their counts and lists stay in a core's cache."""
BYTE = 255
"""Rows whose counts fit into bytes, of which a processor adds 64 at once."""

Scores = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.int64]
"""A candidate is one int64: its float32 score, mapped to an integer of the same order, above its inverted id. Keys are
unique, so which of two equal scores stays never depends on tiles or on how a sort breaks ties."""
Lists = tuple[Keys, npt.NDArray[np.int32], npt.NDArray[np.float32], int]
"""Top lists of `size` while they grow: keys (queries, 2 x size) in no order, how many each query has, scores below
which nothing gets in, `size`. Where a query's keys are full, the best `size` of them stay. Size 0: no lists."""


def keys_of(scores: npt.NDArray[np.float32], candidates: npt.NDArray[np.int64]) -> Keys:
    """Return the keys of candidates, ids from 0 to 2^32 - 1, elementwise."""
    bits = np.float32(np.float32(scores) + np.float32(0)).view(np.int32)  # + 0.0 makes -0.0 the 0.0 that it equals
    ordered = np.int64(bits ^ ((bits >> 31) & 0x7FFFFFFF))
    return (ordered << 32) + (0xFFFFFFFF - candidates)


def scores_of(keys: Keys) -> npt.NDArray[np.float32]:
    """Return the scores of keys, NaN for that of no candidate."""
    ordered = np.int32(keys >> 32)
    return np.int32(ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(np.float32)  # type: ignore[return-value] # arrays stay arrays


_key_of: Any = compiled(keys_of)  # of single numbers
_score_of: Any = compiled(scores_of)


@compiled
def _keep_best(keys: Keys, query: int, size: int, a: Keys, b: Keys) -> np.int64:
    """Move the `size` greatest of a query's keys, all different, to the front, and return the least of these.

    Quickselect without branches on what is compared, which no processor can foresee. a, b: room for as many keys.
    """
    count, kept = np.int64(keys.shape[1]), np.int64(0)
    a[:] = keys[query]
    while True:
        pivot = max(min(a[0], a[count >> 1]), min(max(a[0], a[count >> 1]), a[count - 1]))
        left, right = np.uint64(0), np.uint64(count - 1)
        for place in range(count):
            key = a[place]
            b[left] = key
            b[right] = key
            greater = np.uint64(key > pivot)
            left += greater
            right -= np.uint64(1) - greater
        above = np.int64(left)
        if kept + above >= size:
            a, b, count = b, a, above
        else:
            keys[query, kept : kept + above] = b[:above]
            kept += above
            if kept + 1 == size:
                keys[query, kept] = pivot
                return np.int64(pivot)
            a[: count - above] = b[above:count]
            count -= above
        if kept + count == size:
            keys[query, kept:size] = a[:count]
            return np.int64(a[:count].min())


@compiled
def _find(words: npt.NDArray[np.uint64], marks: npt.NDArray[np.uint8], found: Ints) -> np.int64:
    """Put the places of all marks, ones among zeros, into `found`, and return how many there are.

    words: the same bytes, eight at a time. Without branches on single marks; found: one longer than marks.
    """
    count = np.uint64(0)
    for word in range(len(words)):
        if words[word] != 0:
            for place in range(8 * word, 8 * word + 8):
                found[count] = place
                count += np.uint64(marks[place])
    return np.int64(count)


@compiled
def pass_rows(
    flat: Scores,
    stride: int,
    width: int,
    band: tuple[int, int],
    thresholds: Scores,
    above: Ints,
    equal: Ints,
    lists: Lists,
    candidates: Ints,
) -> bool:
    """Count and list the scores of some rows, and tell whether one was NaN.

    flat, stride, width: the tile, whose row r is flat[r * stride :][:width]. band: the first row and the one after the
    last. thresholds, above, equal, lists: of all rows; above and equal are added to. candidates: (width,) the columns'
    ids.
    """
    keys, filled, limits, size = lists
    capacity = keys.shape[1]
    a, b = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    words = np.zeros((width + 7) // 8, np.uint64)
    marks, found = words.view(np.uint8), np.empty(8 * len(words) + 1, np.int64)
    broken = False
    for row in range(band[0], band[1]):
        scores, threshold, limit = flat[row * stride : row * stride + width], thresholds[row], limits[row]
        greater, same, marked = np.int32(0), np.int32(0), np.int32(0)
        for column in range(width):
            greater += np.int32(scores[column] > threshold)
        for column in range(width):
            same += np.int32(scores[column] == threshold)
        for column in range(width):
            marked += np.int32(not np.float32(scores[column]) < limit)  # true for NaN
        above[row] += greater
        equal[row] += same
        if marked == 0:
            continue
        for column in range(width):
            marks[column] = not np.float32(scores[column]) < limit
        count = filled[row]
        for place in range(_find(words, marks, found)):
            column = found[place]
            if np.isnan(scores[column]):
                broken = True
            elif size > 0 and np.float32(scores[column]) >= limit:
                keys[row, count] = _key_of(scores[column], candidates[column])
                count += 1
                if count == capacity:
                    limit = _score_of(_keep_best(keys, row, size, a, b))
                    count = size
        filled[row], limits[row] = count, limit
    return broken


@compiled
def pass_columns(
    flat: Scores,
    stride: int,
    height: int,
    band: tuple[int, int],
    thresholds: Scores,
    above: Ints,
    equal: Ints,
    lists: Lists,
    first: int,
) -> None:
    """Count and list the scores of some columns, from as many rows as the tile is high.

    Arguments as in `pass_rows`, of columns in place of rows. first: id of the first row; the others follow.
    """
    keys, filled, limits, size = lists
    capacity = keys.shape[1]
    a, b = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    words = np.zeros(STRETCH // 8, np.uint64)
    marks, found = words.view(np.uint8), np.empty(STRETCH + 1, np.int64)
    greater, same = np.empty(STRETCH, np.uint8), np.empty(STRETCH, np.uint8)
    for start in range(band[0], band[1], STRETCH):
        width = min(STRETCH, band[1] - start)
        threshold, limit = thresholds[start : start + width], limits[start : start + width]
        words[:] = 0
        for row in range(height):
            if row % BYTE == 0:
                greater[:] = 0
                same[:] = 0
            base = np.uint64(row * stride + start)  # an index without a sign needs no look at whether it is negative
            for column in range(np.uint64(width)):
                score = flat[base + column]
                greater[column] += np.uint8(score > threshold[column])
                same[column] += np.uint8(score == threshold[column])
            if row % BYTE == BYTE - 1 or row == height - 1:
                for column in range(width):
                    above[start + column] += greater[column]
                    equal[start + column] += same[column]
            if size == 0:
                continue
            for column in range(np.uint64(width)):
                marks[column] = np.float32(flat[base + column]) >= limit[column]
            for place in range(_find(words, marks, found)):
                column = found[place]
                query = start + column
                count = filled[query]
                keys[query, count] = _key_of(flat[base + np.uint64(column)], first + row)
                count += 1
                if count == capacity:
                    limit[column] = _score_of(_keep_best(keys, query, size, a, b))
                    count = size
                filled[query] = count
