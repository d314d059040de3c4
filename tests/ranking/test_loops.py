"""The passes over tiles against numpy's comparisons and sorts, whatever comes in whatever order."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.ranking.loops import keys_of, pass_columns, pass_rows
from camp_bench.ranking.toplists import TopLists, unpack


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 3, 100]), st.sampled_from([np.float32, np.float64]))
def test_count_and_list_what_numpy_does(seed: int, size: int, dtype: type[np.floating]) -> None:
    rng = np.random.default_rng(seed)
    height, width = int(rng.integers(1, 9)), int(rng.integers(1, 700))
    values = rng.integers(-9, rng.integers(-8, 2000), (height, width))
    wide = np.zeros((height, width + int(rng.integers(3))), dtype=dtype)
    wide[:, :width] = values / 7
    scores, flat, stride = wide[:, :width], wide.reshape(-1), wide.shape[1]
    ids, first = rng.permutation(width).astype(np.int64), int(rng.integers(1000))
    best, positive = rng.choice(scores[0], height), rng.choice(scores[:, 0], width)
    rows, columns = TopLists(height, min(size, width)), TopLists(width, min(size, height))
    by_row, by_column = np.zeros((2, height), np.int64), np.zeros((2, width), np.int64)
    for band in pairwise(sorted({0, height, *rng.integers(0, height, 2).tolist()})):
        assert not pass_rows(flat, stride, width, band, best, *by_row, rows.arrays, ids)
    for band in pairwise(sorted({0, width, *rng.integers(0, width, 2).tolist()})):
        pass_columns(flat, stride, height, band, positive, *by_column, columns.arrays, first)
    assert by_row.tolist() == [(scores > best[:, None]).sum(1).tolist(), (scores == best[:, None]).sum(1).tolist()]
    assert by_column.tolist() == [(scores > positive).sum(0).tolist(), (scores == positive).sum(0).tolist()]
    images = first + np.arange(height)
    for lists, table, candidates in ((rows, scores, ids), (columns, scores.T, images)):
        found, listed = unpack(lists.result())
        assert found.shape == (len(table), min(size, len(candidates)))
        for query, row in enumerate(table.astype(np.float32)):
            order = np.lexsort((candidates, -row))[:size]
            assert found[query].tolist() == candidates[order].tolist()
            assert listed[query].tolist() == row[order].tolist()


@pytest.mark.parametrize("order", ["rising", "falling", "level"])
def test_lists_stay_right_over_many_tiles(order: str) -> None:
    """Rising scores all get in, and each time the keys are full the best of them have to be found."""
    scores = np.arange(3000, dtype=np.float32)
    scores = {"rising": scores, "falling": -scores, "level": 0 * scores}[order]
    lists, counts = TopLists(1, 100), np.zeros((2, 1), np.int64)
    for part in np.array_split(np.arange(3000), 7):
        pass_rows(
            scores[part],
            len(part),
            len(part),
            (0, 1),
            np.zeros(1, np.float32),
            *counts,
            lists.arrays,
            part.astype(np.int64),
        )
    ids, _ = unpack(lists.result())
    assert ids[0].tolist() == (list(range(2999, 2899, -1)) if order == "rising" else list(range(100)))


@pytest.mark.parametrize("size", [0, 2])
@pytest.mark.parametrize("place", [0, 7, 8, 10])
def test_a_nan_is_told_and_neither_counted_nor_listed(size: int, place: int) -> None:
    scores = np.linspace(0, 1, 11, dtype=np.float32)
    scores[place] = np.nan
    lists, counts = TopLists(1, size), np.zeros((2, 1), np.int64)
    assert pass_rows(scores, 11, 11, (0, 1), np.full(1, -1, np.float32), *counts, lists.arrays, np.arange(11))
    assert counts[0, 0] == 10
    assert place not in unpack(lists.result())[0]


def test_where_too_few_came_the_rest_of_a_list_has_no_score() -> None:
    lists = TopLists(2, 3)
    pass_rows(
        np.ones(1, np.float32),
        1,
        1,
        (0, 1),
        np.zeros(1, np.float32),
        *np.zeros((2, 1), np.int64),
        lists.arrays,
        np.arange(1),
    )
    ids, scores = unpack(lists.result())
    assert (ids[0, 0], scores[0, 0]) == (0, 1.0)
    assert np.isnan(scores[0, 1:]).all()
    assert np.isnan(scores[1]).all()


@pytest.mark.parametrize("score", [0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, 1e-45, -3e38])
def test_keys_give_score_and_id_back(score: float) -> None:
    ids, scores = unpack(keys_of(np.array([score], dtype=np.float32), np.array([2**31 - 1])))
    assert (ids[0], scores[0]) == (2**31 - 1, np.float32(score))
