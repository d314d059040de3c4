"""Metrics with several positives: hand-computed cases, and the sums written out query by query."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.errors import DataError
from camp_bench.ranking.list_ends import ListEnds
from camp_bench.ranking.positives import (
    Found,
    Positives,
    grade_correlations,
    make_positives,
    positive_metrics,
    positive_values,
)


def by_hand(tops: list[list[int]], positives: dict[int, set[int]], k: int) -> dict[str, float]:
    """Compute the definitions one query at a time."""
    precisions, averages, recalls, hits = [], [], [], []
    for query, own in positives.items():
        wanted = max(len(own), 1)
        first = tops[query][:wanted]
        precisions.append(len(own.intersection(first)) / wanted)
        at = [len(own.intersection(tops[query][:i])) / i for i in range(1, wanted + 1) if tops[query][i - 1] in own]
        averages.append(sum(at) / wanted)
        found = own.intersection(tops[query][:k])
        recalls.append(len(found) / wanted)
        hits.append(bool(found))
    values = {"mAP@R": averages, "R-P": precisions, f"recall@{k}": recalls, f"hit@{k}": hits}
    return {name: 100 * float(np.mean(value)) for name, value in values.items()}


def untied(tops: npt.NDArray[np.int64]) -> Found:
    """Return lists whose scores fall from place to place."""
    none = np.zeros(len(tops), dtype=np.int64)
    return Found(tops, np.broadcast_to(-np.arange(tops.shape[1], dtype=np.float32), tops.shape), none, none)


def test_one_query_by_hand() -> None:
    # positives 1, 4, 5; found at places 1 and 3 of R = 3: AP@R = (1/1 + 2/3) / 3
    positives = make_positives(np.array([0, 0, 0]), np.array([1, 4, 5]), 6)
    values = positive_metrics(untied(np.array([[1, 0, 4, 2, 5, 3]])), positives, ks=(1, 2, 5))
    assert values["mAP@R"] == pytest.approx(100 * (1 + 2 / 3) / 3)
    assert values["R-P"] == pytest.approx(200 / 3)
    assert (values["recall@1"], values["hit@1"]) == (pytest.approx(100 / 3), 100)
    assert (values["recall@2"], values["recall@5"]) == (pytest.approx(100 / 3), 100)


@given(st.data())
def test_any_case_is_the_definition(data: st.DataObject) -> None:
    queries, candidates = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    tops = [data.draw(st.permutations(range(candidates))) for _ in range(queries)]
    own = {q: data.draw(st.sets(st.integers(0, candidates - 1))) for q in range(queries)}
    k = data.draw(st.integers(1, 8))
    pairs = [(q, c) for q, items in own.items() for c in items]
    found = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    positives = make_positives(found[:, 0], found[:, 1], candidates, np.arange(queries))
    values = positive_metrics(untied(np.array(tops)), positives, ks=(k,))
    assert values == pytest.approx(by_hand(tops, own, k))


def orders_of(scores: list[int]) -> list[list[int]]:
    """Return every order of the candidates in which scores fall."""
    groups = [[c for c, own in enumerate(scores) if own == value] for value in sorted(set(scores), reverse=True)]
    return [list(itertools.chain(*parts)) for parts in itertools.product(*map(itertools.permutations, groups))]


def cut_lists(scores: npt.NDArray[np.float32], size: int, positives: Positives, parts: int) -> Found:
    """Return top lists, ties by lower id, as ranking gives them from the scores of all queries in `parts` tiles."""
    ids = np.argsort(-scores, axis=1, kind="stable")[:, :size]
    ends = ListEnds(len(scores), size)
    for columns in np.array_split(np.arange(scores.shape[1]), parts):
        ends.take(np.arange(len(scores)), scores[:, columns])
    query, candidate = divmod(positives.keys, positives.candidates)
    return Found.of(ids, np.take_along_axis(scores, ids, 1), ends.beyond, positives, scores[query, candidate])


@given(st.data())
def test_ties_count_by_the_mean_over_all_their_orders(data: st.DataObject) -> None:
    queries, candidates = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 6))
    row = st.lists(st.integers(0, data.draw(st.integers(0, 2))), min_size=candidates, max_size=candidates)
    levels = [data.draw(row) for _ in range(queries)]
    own = {q: data.draw(st.sets(st.integers(0, candidates - 1))) for q in range(queries)}
    k = data.draw(st.integers(1, 6))
    expected = dict.fromkeys(("mAP@R", "R-P", f"recall@{k}", f"hit@{k}"), 0.0)
    for q in range(queries):
        orders = orders_of(levels[q])
        for order in orders:
            for name, value in by_hand([order], {0: own[q]}, k).items():
                expected[name] += value / len(orders) / queries
    found = np.array([(q, c) for q, items in own.items() for c in items], dtype=np.int64).reshape(-1, 2)
    positives = make_positives(found[:, 0], found[:, 1], candidates, np.arange(queries))
    low = -np.inf if data.draw(st.booleans()) else -1.0  # a list's empty places are infinitely low as well
    scores = np.array(levels, dtype=np.float32)
    scores[scores == 0] = low
    shortest = min(max(1, positives.most, k), candidates)
    for size in range(shortest, candidates + 1):
        for parts in {1, min(2, candidates), candidates}:
            lists = cut_lists(scores, size, positives, parts)
            assert positive_metrics(lists, positives, ks=(k,)) == pytest.approx(expected), (size, parts)


def test_all_tied_is_chance() -> None:
    """A constant scorer finds one of two positives among ten of a hundred by chance: 1 - C(98, 10) / C(100, 10)."""
    positives = make_positives(np.array([0, 0]), np.array([40, 90]), 100)
    values = positive_metrics(cut_lists(np.zeros((1, 100), np.float32), 20, positives, 3), positives)
    assert values["hit@10"] == pytest.approx(100 * (1 - (90 * 89) / (100 * 99)))
    assert values["recall@10"] == pytest.approx(10)
    assert values["R-P"] == pytest.approx(2)


def test_lists_too_short_for_a_cut_are_refused() -> None:
    positives = make_positives(np.array([0]), np.array([0]), 9)
    with pytest.raises(DataError, match="top lists of 3 for recall@5"):
        positive_metrics(untied(np.array([[0, 1, 2]])), positives, ks=(5,))


def test_only_queries_that_count_are_averaged() -> None:
    positives = make_positives(np.array([1]), np.array([0]), 2)
    tops = untied(np.array([[1, 0], [0, 1], [1, 0]]))
    assert positive_metrics(tops, positives, ks=(1,))["hit@1"] == 100
    everyone = make_positives(np.array([1]), np.array([0]), 2, np.arange(3))
    assert positive_metrics(tops, everyone, ks=(1,))["hit@1"] == pytest.approx(100 / 3)


def test_a_pair_given_twice_counts_once() -> None:
    positives = make_positives(np.array([0, 0]), np.array([1, 1]), 2)
    assert (positives.most, positives.keys.tolist()) == (1, [1])


def test_lists_too_short_for_the_positives_are_refused() -> None:
    positives = make_positives(np.zeros(3, dtype=np.int64), np.arange(3), 5)
    with pytest.raises(DataError, match="top lists of 2 for 3 positives"):
        positive_metrics(untied(np.array([[0, 1]])), positives, ks=(1,))


def test_no_positives_at_all_is_zero() -> None:
    none = make_positives(np.array([], dtype=np.int64), np.array([], dtype=np.int64), 2, np.arange(2))
    assert none.most == 0
    assert set(positive_metrics(untied(np.array([[0, 1], [1, 0]])), none).values()) == {0.0}


def test_scores_that_follow_the_marks_correlate() -> None:
    grades = np.array([1.0, 2.0, 3.0, 4.0])
    assert grade_correlations(np.exp(grades), grades) == pytest.approx({"kendall_tau": 1.0, "spearman_rho": 1.0})
    assert grade_correlations(-grades, grades) == pytest.approx({"kendall_tau": -1.0, "spearman_rho": -1.0})
    assert grade_correlations(np.ones(4), grades) == {}
    assert grade_correlations(grades[:1], grades[:1]) == {}


def test_a_query_that_does_not_count_has_no_value() -> None:
    positives = make_positives(np.array([0, 2]), np.array([1, 0]), 3, np.array([0, 2]))
    values = positive_values(untied(np.array([[1, 0, 2], [0, 1, 2], [1, 0, 2]])), positives, ks=(1,))
    for name, expected in {"mAP@R": [100, np.nan, 0], "recall@1": [100, np.nan, 0]}.items():
        np.testing.assert_array_equal(values[name], expected)
