"""Tests and intervals from numbers that are already there: Student's t with two sources of variance, Holm, McNemar."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "Error",
    "combined_error",
    "holm",
    "mcnemar_mid_p",
    "percentile_interval",
    "probability_of_improvement",
    "rope_verdict",
    "t_interval",
    "t_p_value",
    "wilcoxon_p",
    "wins_ties_losses",
]

Floats = npt.NDArray[np.float64]


class Error(NamedTuple):
    """A standard error and the degrees of freedom that it was estimated with."""

    se: float
    df: float


def combined_error(image_se: float, images_df: int, *sides: Sequence[float]) -> Error:
    """Return the error of a mean over seeds, or of the difference of two, with images and seeds random.

    SE^2 = image_se^2 + sum over sides of s^2 / S, where a side is the metric of each of its S seeds and s their sample
    deviation; degrees of freedom after Satterthwaite (1946). image_se: of the mean over seeds (paired where it is a
    difference), with `images_df` degrees of freedom. Seeds that move single images count in both terms, so the error
    is rather too large than too small. Raises ValueError for a side of one seed: nothing tells its spread.
    """
    if any(len(side) < 2 for side in sides):
        raise ValueError("a spread between seeds needs two seeds or more on each side")
    terms = [(image_se**2, float(images_df))]
    terms += [(float(np.var(side, ddof=1)) / len(side), len(side) - 1.0) for side in sides]
    variance = sum(term for term, _ in terms)
    if variance == 0.0:
        return Error(0.0, float(images_df))
    return Error(math.sqrt(variance), variance**2 / sum(term**2 / df for term, df in terms))


def t_interval(estimate: float, error: Error, alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval that covers the truth with probability 1 - alpha."""
    from scipy.stats import t

    half = float(t.ppf(1 - alpha / 2, error.df)) * error.se if error.se else 0.0
    return estimate - half, estimate + half


def t_p_value(estimate: float, error: Error) -> float:
    """Return the two-sided p-value of the hypothesis that the truth is 0."""
    from scipy.stats import t

    if error.se == 0.0:
        return 1.0 if estimate == 0.0 else 0.0
    return float(2 * t.sf(abs(estimate) / error.se, error.df))


def percentile_interval(draws: Floats, alpha: float = 0.05) -> tuple[float, float]:
    """Return the alpha/2 and 1 - alpha/2 quantiles of bootstrap draws."""
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for all of them being looked at (Holm, 1979)."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = highest
    return adjusted


def mcnemar_mid_p(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float | None:
    """Return McNemar's exact mid-p for paired hits (Fagerland et al., 2013), None where any hit isn't 0 or 1.

    a, b: (queries,). Queries that both hit or both miss say nothing.
    """
    from scipy.stats import binom

    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        return None
    only_a, only_b = int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())
    fewer, both = min(only_a, only_b), only_a + only_b
    if only_a == only_b:
        return 1.0
    return float(2 * binom.cdf(fewer, both, 0.5) - binom.pmf(fewer, both, 0.5))


def wilcoxon_p(a: Floats, b: Floats) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test on paired ranks, ties kept as Pratt (1959) does."""
    from scipy.stats import wilcoxon

    if np.array_equal(a, b):
        return 1.0
    found = wilcoxon(a, b, zero_method="pratt", method="asymptotic")  # type: ignore[call-overload]  # stubs lack the name
    return float(found.pvalue)


def wins_ties_losses(a: Floats, b: Floats) -> tuple[int, int, int]:
    """Return on how many queries a's rank is lower (better) than b's, the same, higher."""
    return int((a < b).sum()), int((a == b).sum()), int((a > b).sum())


def probability_of_improvement(a: Sequence[float], b: Sequence[float]) -> float:
    """Return how often a run of a is better than a run of b, over all pairs of seeds, equal ones counting a half.

    Larger is better (Agarwal et al., 2021).
    """
    left, right = np.asarray(a, dtype=np.float64)[:, None], np.asarray(b, dtype=np.float64)[None, :]
    return float(np.mean((left > right) + 0.5 * (left == right)))


def rope_verdict(
    narrow: tuple[float, float], wide: tuple[float, float], rope: float
) -> Literal["equal", "better", "worse", "undecided"]:
    """Return what intervals of a difference say about a region of practical equivalence, -rope to rope.

    narrow: the 90 % interval; wide: the 95 % interval. A larger difference is better.
    """
    if -rope <= narrow[0] and narrow[1] <= rope:
        return "equal"
    if wide[0] > rope:
        return "better"
    return "worse" if wide[1] < -rope else "undecided"
