"""Metrics with several positives: hand-computed cases, and the sums written out query by query."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.errors import DataError
from camp_bench.ranking.positives import grade_correlations, make_positives, positive_metrics


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


def test_one_query_by_hand() -> None:
    # positives 1, 4, 5; found at places 1 and 3 of R = 3: AP@R = (1/1 + 2/3) / 3
    positives = make_positives(np.array([0, 0, 0]), np.array([1, 4, 5]), 6)
    values = positive_metrics(np.array([[1, 0, 4, 2, 5, 3]]), positives, ks=(1, 2, 5))
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
    values = positive_metrics(np.array(tops), positives, ks=(k,))
    assert values == pytest.approx(by_hand(tops, own, k))


def test_only_queries_that_count_are_averaged() -> None:
    positives = make_positives(np.array([1]), np.array([0]), 2)
    tops = np.array([[1, 0], [0, 1], [1, 0]])
    assert positive_metrics(tops, positives, ks=(1,))["hit@1"] == 100
    everyone = make_positives(np.array([1]), np.array([0]), 2, np.arange(3))
    assert positive_metrics(tops, everyone, ks=(1,))["hit@1"] == pytest.approx(100 / 3)


def test_a_pair_given_twice_counts_once() -> None:
    positives = make_positives(np.array([0, 0]), np.array([1, 1]), 2)
    assert (positives.most, positives.keys.tolist()) == (1, [1])


def test_lists_too_short_for_the_positives_are_refused() -> None:
    positives = make_positives(np.zeros(3, dtype=np.int64), np.arange(3), 5)
    with pytest.raises(DataError, match="top lists of 2 for 3 positives"):
        positive_metrics(np.array([[0, 1]]), positives)


def test_no_positives_at_all_is_zero() -> None:
    none = make_positives(np.array([], dtype=np.int64), np.array([], dtype=np.int64), 2, np.arange(2))
    assert none.most == 0
    assert set(positive_metrics(np.array([[0, 1], [1, 0]]), none).values()) == {0.0}


def test_scores_that_follow_the_marks_correlate() -> None:
    grades = np.array([1.0, 2.0, 3.0, 4.0])
    assert grade_correlations(np.exp(grades), grades) == pytest.approx({"kendall_tau": 1.0, "spearman_rho": 1.0})
    assert grade_correlations(-grades, grades) == pytest.approx({"kendall_tau": -1.0, "spearman_rho": -1.0})
    assert grade_correlations(np.ones(4), grades) == {}
    assert grade_correlations(grades[:1], grades[:1]) == {}
