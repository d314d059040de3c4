"""Recall, ranks and rsum, against every order that ties can take and against numbers counted by hand."""

from __future__ import annotations

import statistics
from fractions import Fraction
from itertools import permutations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.ranking.metrics import (
    RECALL_AT,
    Counts,
    chance_metrics,
    expected_rank,
    hit_at,
    hubness,
    median_rank,
    retrieval_metrics,
)

b_n_p = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(1, 8))


def as_counts(*rows: tuple[int, int, int]) -> tuple[Counts, Counts, Counts]:
    b, n, p = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return b, n, p


def first_ranks(b: int, n: int, p: int) -> list[int]:
    """Return the rank of the first positive in every order of the tied candidates, all orders equally likely."""
    orders = permutations([True] * p + [False] * n)
    return [b + 1 + order.index(True) for order in orders]


@pytest.mark.parametrize("n", range(5))
@pytest.mark.parametrize("p", range(1, 4))
@pytest.mark.parametrize("b", [0, 1, 3])
def test_ties_are_the_mean_over_every_order(b: int, n: int, p: int) -> None:
    ranks = first_ranks(b, n, p)
    counts = as_counts((b, n, p))
    assert expected_rank(*counts)[0] == pytest.approx(statistics.mean(ranks), abs=1e-12)
    for k in range(1, 11):
        share = sum(rank <= k for rank in ranks) / len(ranks)
        assert hit_at(k, *counts)[0] == pytest.approx(share, abs=1e-12)


@given(b_n_p, st.integers(1, 40))
def test_hit_is_the_hypergeometric_formula(counts: tuple[int, int, int], k: int) -> None:
    b, n, p = counts
    if k <= b:
        expected = Fraction(0)
    elif k - b > n:
        expected = Fraction(1)
    else:
        expected = 1 - Fraction(comb(n, k - b), comb(n + p, k - b))
    assert hit_at(k, *as_counts(counts))[0] == pytest.approx(float(expected), abs=1e-12)


@given(b_n_p)
def test_certain_cases_are_exactly_0_and_1(counts: tuple[int, int, int]) -> None:
    b, n, _ = counts
    assert hit_at(b, *as_counts(counts))[0] == 0
    assert hit_at(b + n + 1, *as_counts(counts))[0] == 1


@given(b_n_p, st.integers(1, 12))
def test_a_tie_never_helps(counts: tuple[int, int, int], k: int) -> None:
    """A tied negative lies between one that is beaten and one that wins."""
    b, n, p = counts
    beaten, tied, wins = (hit_at(k, *as_counts(row))[0] for row in ((b, n, p), (b, n + 1, p), (b + 1, n, p)))
    assert beaten >= tied - 1e-12
    assert tied >= wins - 1e-12
    ranks = [expected_rank(*as_counts(row))[0] for row in ((b, n, p), (b, n + 1, p), (b + 1, n, p))]
    assert ranks[0] < ranks[1] < ranks[2]


@given(st.lists(b_n_p, min_size=1, max_size=6))
def test_queries_do_not_touch_each_other(rows: list[tuple[int, int, int]]) -> None:
    together = hit_at(5, *as_counts(*rows))
    assert together.tolist() == [hit_at(5, *as_counts(row))[0] for row in rows]
    assert together.dtype == np.float64


def test_expected_rank_by_hand() -> None:
    # alone at the top; behind 4; tied with 1; behind 2 and tied with 6, with two positives among the tied
    ranks = expected_rank(*as_counts((0, 0, 1), (4, 0, 1), (0, 1, 1), (2, 6, 2)))
    assert ranks.tolist() == [1.0, 5.0, 1.5, 5.0]


def test_a_query_without_a_positive_is_never_a_hit() -> None:
    assert hit_at(10, *as_counts((2, 3, 0), (0, 0, 0))).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("ranks", "floor"), [([3], 3), ([1, 2], 1), ([1, 1, 4, 9], 2), ([1.5, 2.9, 7.0], 2), ([2, 3, 100], 3)]
)
def test_median_rank_is_floored_as_the_field_prints_it(ranks: list[float], floor: float) -> None:
    assert median_rank(np.array(ranks, dtype=np.float64)) == floor


def test_metrics_of_two_small_directions_by_hand() -> None:
    i2t = as_counts((0, 0, 1), (1, 0, 1), (7, 0, 2), (12, 0, 1))
    t2i = as_counts((0, 1, 1), (4, 0, 1))
    values = retrieval_metrics(i2t, t2i)
    assert values == {
        "i2t.R@1": 25.0,
        "i2t.R@5": 50.0,
        "i2t.R@10": 75.0,
        "i2t.MedR": 5.0,  # ranks 1 2 8 13
        "i2t.MeanR": 6.0,
        "t2i.R@1": 25.0,  # a tie of two and a rank of 5
        "t2i.R@5": 100.0,
        "t2i.R@10": 100.0,
        "t2i.MedR": 3.0,  # ranks 1.5 and 5: 3.25
        "t2i.MeanR": 3.25,
        "rsum": 25.0 + 50.0 + 75.0 + 25.0 + 100.0 + 100.0,
    }


@given(st.lists(b_n_p, min_size=1, max_size=8), st.lists(b_n_p, min_size=1, max_size=8))
def test_rsum_is_the_sum_of_the_six_recalls(
    images: list[tuple[int, int, int]], captions: list[tuple[int, int, int]]
) -> None:
    values = retrieval_metrics(as_counts(*images), as_counts(*captions))
    six = [values[f"{direction}.R@{k}"] for direction in ("i2t", "t2i") for k in RECALL_AT]
    assert values["rsum"] == pytest.approx(sum(six), abs=1e-9)
    assert all(0 <= value <= 100 for value in six)
    assert len(values) == 6 + 4 + 1


def test_perfect_scores_give_600_and_hopeless_ones_0() -> None:
    assert retrieval_metrics(as_counts((0, 0, 5)), as_counts((0, 0, 1)))["rsum"] == 600
    assert retrieval_metrics(as_counts((10, 0, 5)), as_counts((10, 0, 1)))["rsum"] == 0


def test_other_cut_offs() -> None:
    values = retrieval_metrics(as_counts((1, 0, 1)), as_counts((2, 0, 1)), ks=(2, 3))
    assert [name for name in values if "R@" in name] == ["i2t.R@2", "i2t.R@3", "t2i.R@2", "t2i.R@3"]
    assert values["rsum"] == 300


@pytest.mark.parametrize(("n_images", "each"), [(1000, 5), (20, 5), (7, 1), (3, 2)])
def test_a_constant_scorer_gets_chance(n_images: int, each: int) -> None:
    values = chance_metrics(np.repeat(np.arange(n_images), each), n_images)
    total = n_images * each
    for k in RECALL_AT:
        assert values[f"t2i.R@{k}"] == pytest.approx(100 * min(1.0, k / n_images), abs=1e-9)
        miss = Fraction(comb(total - each, k), comb(total, k)) if k <= total else Fraction(0)
        assert values[f"i2t.R@{k}"] == pytest.approx(100 * float(1 - miss), abs=1e-9)
    assert values["t2i.MeanR"] == pytest.approx((n_images + 1) / 2)
    assert values["i2t.MeanR"] == pytest.approx(1 + (total - each) / (each + 1))


def test_chance_with_uneven_captions_an_image() -> None:
    values = chance_metrics(np.array([0, 0, 0, 1]), 2)
    assert values["i2t.R@1"] == pytest.approx(100 * (3 / 4 + 1 / 4) / 2)
    assert values["t2i.R@1"] == pytest.approx(50.0)


def test_hubness_is_the_skewness_of_how_often_a_candidate_is_found() -> None:
    top = np.array([[0, 1], [0, 2], [0, 3], [0, 1]], dtype=np.int32)
    counts = np.array([4, 2, 1, 1, 0], dtype=float)  # the fifth candidate is never found
    deviation = counts - counts.mean()
    expected = (deviation**3).mean() / (deviation**2).mean() ** 1.5
    assert hubness(top, 5) == pytest.approx(expected)
    assert hubness(top, 5, k=1) == pytest.approx(1.5)  # 4 0 0 0 0


def test_without_hubs_there_is_no_hubness() -> None:
    assert hubness(np.array([[0], [1], [2]], dtype=np.int32), 3) == 0.0
