"""Top lists against a sort of all candidates, whatever the order and size of what is added."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.ranking.toplists import TopLists, keys_of, unpack


@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 100]), st.booleans())
def test_hold_the_best_of_all_that_came(seed: int, size: int, started: bool) -> None:
    rng = np.random.default_rng(seed)
    queries, n = int(rng.integers(1, 6)), int(rng.integers(1, 700))
    scores = rng.integers(-9, rng.integers(-8, 2000), (queries, n)).astype(np.float32)
    ids = rng.permutation(n).astype(np.int64)
    lists = TopLists(queries, size)
    if started:
        lists.start(scores[:, : n // 2])
    for part in np.array_split(np.arange(n), int(rng.integers(1, 9))):
        row, column = np.nonzero(scores[:, part] >= lists.threshold[:, None])
        lists.add(row, keys_of(scores[row, part[column]], ids[part[column]]))
        if lists.full or rng.integers(2):
            lists.merge()
    found, values = unpack(lists.result())
    for query in range(queries):
        order = sorted(range(n), key=lambda place, query=query: (-scores[query, place], ids[place]))[:size]  # type: ignore[misc]
        assert found[query, : len(order)].tolist() == ids[order].tolist()
        assert values[query, : len(order)].tolist() == scores[query, order].tolist()


def test_one_query_may_have_all_candidates() -> None:
    lists = TopLists(1000, 2)
    scores = np.arange(50_000, dtype=np.float32)
    lists.add(np.full(50_000, 7), keys_of(scores, np.arange(50_000)))
    assert lists.full
    lists.add(np.arange(1000), keys_of(np.zeros(1000, dtype=np.float32), np.arange(1000)))
    ids, values = unpack(lists.result())
    assert ids[7].tolist() == [49_999, 49_998]
    assert values[:7, 0].tolist() == [0.0] * 7
    assert np.isnan(values[:7, 1]).all()


def test_thresholds_learnt_at_the_start_leave_enough_and_not_much_more() -> None:
    scores = np.random.default_rng(0).standard_normal((20, 2500)).astype(np.float32)
    lists = TopLists(20, 100)
    lists.start(scores)
    reach = (scores >= lists.threshold[:, None]).sum(1)
    assert reach.min() >= 100
    assert reach.max() < 250


@pytest.mark.parametrize("score", [0.0, -0.0, 1.5, -1.5, np.inf, -np.inf, 1e-45, -3e38])
def test_keys_give_score_and_id_back(score: float) -> None:
    ids, scores = unpack(keys_of(np.array([score], dtype=np.float32), np.array([2**31 - 1])))
    assert (ids[0], scores[0]) == (2**31 - 1, np.float32(score))
