"""Ranks from lists that end, against ranks of all scores."""

from __future__ import annotations

import numpy as np
import pytest

from camp_bench.errors import DataError
from camp_bench.ranking.exact import exact_top
from camp_bench.ranking.lists import known_metrics, rank_lists


def test_counts_and_censoring_by_hand() -> None:
    ids, scores = np.arange(12), np.array([9.0, 7, 7, 7, 5, 4, 3, 2, 1, 1, 1, 0])
    lists = [(ids[::-1], scores[::-1]), (ids, scores), (ids[:3], scores[:3])]
    ranks, censored = rank_lists(lists, [[2, 3], [40], [0]], 50, names="image")
    assert (ranks.b.tolist(), ranks.n.tolist(), ranks.p.tolist()) == ([1, 12, 0], [1, 0, 0], [2, 0, 1])
    assert censored.tolist() == [False, True, False]
    assert ranks.top_ids.tolist() == [[0, 1, 2]] * 3  # as long as the shortest, equal scores by lower id
    assert known_metrics({"i2t.MeanR": 1.0, "t2i.MeanR": 2.0}, "i2t", ranks) == {"t2i.MeanR": 2.0}


def test_a_list_that_is_too_short_to_tell_is_refused_unless_it_holds_all() -> None:
    short = np.arange(9), np.linspace(1, 0, 9)
    with pytest.raises(DataError, match="image 0: its list ends after 9 of 50 candidates"):
        rank_lists([short], [[40]], 50, names="image")
    ranks, censored = rank_lists([short], [[8]], 50, names="image")
    assert (ranks.b.tolist(), censored.tolist()) == ([8], [False])


@pytest.mark.parametrize("budget", [1, 10**6])
@pytest.mark.parametrize("lower_is_better", [False, True])
def test_exact_lists_are_those_of_a_stable_sort(budget: int, lower_is_better: bool) -> None:
    rng = np.random.default_rng(0)
    scores = 0.5 + 1e-13 * rng.integers(0, 6, (7, 40))
    rows, columns = np.array([1, 4, 6]), np.arange(3, 40)
    ids, found = exact_top(scores, rows, columns, 10, budget, lower_is_better)
    part = (-scores if lower_is_better else scores)[rows][:, columns]
    order = np.argsort(-part, axis=1, kind="stable")[:, :10]
    assert np.array_equal(ids, order)
    assert np.array_equal(found, np.take_along_axis(part, order, axis=1))
