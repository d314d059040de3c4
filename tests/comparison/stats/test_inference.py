"""Tests and intervals against scipy, statsmodels and small cases by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from camp_bench.comparison.stats import (
    benjamini_hochberg,
    combined_error,
    holm,
    mcnemar_mid_p,
    percentile_interval,
    probability_of_improvement,
    rank_biserial,
    rope_verdict,
    t_interval,
    t_p_value,
    wilcoxon_p,
    wins_ties_losses,
)


def test_without_image_variance_it_is_welchs_test() -> None:
    from scipy.stats import ttest_ind

    a, b = [60.0, 63.0, 61.0, 66.0], [58.0, 59.5, 55.0]
    error = combined_error(0.0, 999, [0.0, 0.0], a, b)
    theirs = ttest_ind(a, b, equal_var=False)
    assert t_p_value(np.mean(a) - np.mean(b), error) == pytest.approx(theirs.pvalue)
    assert t_interval(np.mean(a) - np.mean(b), error) == pytest.approx(tuple(theirs.confidence_interval()))


def test_without_seed_variance_images_alone_decide() -> None:
    error = combined_error(2.0, 999, [0.0, 0.0], [50.0, 50.0, 50.0], [40.0, 40.0, 40.0])
    assert error.se == pytest.approx(2.0)
    assert error.df == pytest.approx(999)


def test_variances_add_by_hand() -> None:
    error = combined_error(3.0, 100, [0.0, 0.0], [10.0, 14.0], [20.0, 20.0])  # s^2 = 8, over two seeds 4
    assert error.se == pytest.approx(math.sqrt(9 + 4))
    assert error.df == pytest.approx(13**2 / (81 / 100 + 16 / 1))


def test_what_images_and_seeds_both_hold_counts_once_and_images_at_least_stay() -> None:
    error = combined_error(3.0, 100, [1.5, 0.5], [10.0, 14.0], [20.0, 22.0])  # s^2/S: 4 and 1
    assert error.se == pytest.approx(math.sqrt(9 + 4 + 1 - 2))
    assert error.df == pytest.approx(12**2 / (81 / 100 + 16 / 1 + 1 / 1))
    error = combined_error(3.0, 100, [6.0, 3.0], [10.0, 14.0], [20.0, 22.0])
    assert error.se == pytest.approx(3.0)


def test_one_seed_has_no_spread() -> None:
    with pytest.raises(ValueError, match="two seeds"):
        combined_error(1.0, 10, [0.0, 0.0], [1.0], [1.0, 2.0])


def test_no_error_at_all() -> None:
    error = combined_error(0.0, 10, [0.0, 0.0], [5.0, 5.0], [5.0, 5.0])
    assert t_p_value(0.0, error) == 1.0
    assert t_p_value(1.0, error) == 0.0
    assert t_interval(1.0, error) == (1.0, 1.0)


def test_holm_is_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(0)
    for count in (1, 2, 7, 30):
        p_values = (rng.random(count) ** 3).tolist()
        assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))
    assert holm([]) == []
    assert holm([0.01, 0.02, 0.04]) == pytest.approx([0.03, 0.04, 0.04])


def test_mcnemar_by_hand() -> None:
    """1 against 5: (P(X <= 1) - P(X = 1) / 2) * 2 = 2 * (7/64) - 6/64 = 8/64."""
    a, b = np.array([1] * 1 + [0] * 5 + [1] * 4), np.array([0] * 1 + [1] * 5 + [1] * 4)
    assert mcnemar_mid_p(a, b) == pytest.approx(8 / 64)
    assert mcnemar_mid_p(b, a) == pytest.approx(8 / 64)
    assert mcnemar_mid_p(a, a) == 1.0
    assert mcnemar_mid_p(a * 0.5, b) is None


def test_mcnemar_lies_between_statsmodels_exact_and_half_of_its_tail() -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 2, size=200), rng.integers(0, 2, size=200)
    only = [[((a == i) & (b == j)).sum() for j in (1, 0)] for i in (1, 0)]
    exact = mcnemar(only, exact=True).pvalue
    fewer, both = int(min(only[0][1], only[1][0])), int(only[0][1] + only[1][0])
    assert mcnemar_mid_p(a, b) == pytest.approx(exact - math.comb(both, fewer) / 2**both)


def test_wilcoxon_counts_all_signs() -> None:
    from scipy.stats import wilcoxon

    rng = np.random.default_rng(2)
    for _ in range(20):
        a, b = rng.integers(1, 6, size=9).astype(float), rng.integers(1, 7, size=9).astype(float)
        ranks = stats.rankdata(np.abs(a - b)) * np.abs(np.sign(a - b))
        sums = np.array([np.dot(signs, ranks) for signs in itertools.product((-1, 1), repeat=9)])
        expected = np.mean(np.abs(sums) >= abs(np.dot(np.sign(a - b), ranks)) - 1e-9)
        assert wilcoxon_p(a, b) == pytest.approx(expected)
    a, b = rng.normal(size=40), rng.normal(size=40) + 0.3  # no ties: scipy's own exact test is right
    assert wilcoxon_p(a, b) == pytest.approx(wilcoxon(a, b, method="exact").pvalue)


def test_wilcoxon_is_right_where_few_queries_differ_and_silent_for_many() -> None:
    a, b = np.ones(100), np.ones(100)
    assert wilcoxon_p(a, b) == 1.0
    b[:5] = (2, 3, 4, 5, 6)
    assert wilcoxon_p(a, b) == pytest.approx(0.0625)
    assert wilcoxon_p(np.ones(101), np.ones(101)) is None


def test_rank_biserial_is_the_rank_sum_that_favours_less_the_other() -> None:
    a, b = np.array([1.0, 5.0, 2.0, 9.0]), np.array([4.0, 4.0, 2.0, 2.0])
    assert rank_biserial(a, b) == pytest.approx((3 - (2 + 4)) / 9)  # differences -3, 1, 0, 7: ranks 3, 2, 1, 4
    assert rank_biserial(b, a) == pytest.approx(3 / 9)
    assert (rank_biserial(a, a), rank_biserial(a, a + 1)) == (0.0, 1.0)


def test_benjamini_hochberg_is_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(4)
    for count in (1, 2, 7, 30):
        p_values = (rng.random(count) ** 3).tolist()
        assert benjamini_hochberg(p_values) == pytest.approx(list(multipletests(p_values, method="fdr_bh")[1]))
    assert benjamini_hochberg([]) == []


def test_counts_and_probabilities() -> None:
    assert wins_ties_losses(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 1.0])) == (1, 1, 1)
    assert probability_of_improvement([2.0, 3.0], [1.0, 3.0]) == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert percentile_interval(np.arange(101.0), 0.1) == pytest.approx((5.0, 95.0))


@pytest.mark.parametrize(
    ("narrow", "wide", "verdict"),
    [
        ((-0.9, 0.9), (-1.1, 1.1), "equal"),
        ((1.2, 3.0), (1.1, 3.2), "better"),
        ((-3.0, -1.2), (-3.2, -1.1), "worse"),
        ((1.2, 3.0), (0.9, 3.2), "undecided"),
        ((-2.0, 2.0), (-2.5, 2.5), "undecided"),
    ],
)
def test_region_of_practical_equivalence(narrow: tuple[float, float], wide: tuple[float, float], verdict: str) -> None:
    assert rope_verdict(narrow, wide, 1.0) == verdict
