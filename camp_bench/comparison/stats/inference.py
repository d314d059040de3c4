"""Tests and intervals from numbers that are already there: Student's t with two sources of variance, Holm, McNemar."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "ADJUSTMENTS",
    "Error",
    "Sources",
    "benjamini_hochberg",
    "combined_error",
    "error_sources",
    "holm",
    "mcnemar_mid_p",
    "percentile_interval",
    "probability_of_improvement",
    "rank_biserial",
    "rope_verdict",
    "t_interval",
    "t_p_value",
    "wilcoxon_p",
    "wins_ties_losses",
]

Floats = npt.NDArray[np.float64]
WILCOXON_MOST = 100
"""Pairs up to which Wilcoxon's test is given."""


class Error(NamedTuple):
    """A standard error and the degrees of freedom that it was estimated with."""

    se: float
    df: float


def combined_error(image_se: float, images_df: int, interactions: Sequence[float], *sides: Sequence[float]) -> Error:
    """Return the error of a mean over seeds, or of the difference of two, with images and seeds random.

    SE^2 = image_se^2 + sum over sides of s^2 / S less what both hold, and no less than image_se^2; a side is the metric
    of each of its S seeds and s their sample deviation. image_se: of the mean over seeds (paired where it is a
    difference), with `images_df` degrees of freedom. interactions: as in `error_sources`; seeds that move single images
    show in both terms. Degrees of freedom after Satterthwaite (1946), of the terms before subtraction and no fewer than
    the smaller side has. Raises ValueError for a side of one seed: nothing tells its spread.
    """
    if any(len(side) < 2 for side in sides):
        raise ValueError("a spread between seeds needs two seeds or more on each side")
    terms = [(image_se**2, float(images_df))]
    terms += [(float(np.var(side, ddof=1)) / len(side), len(side) - 1.0) for side in sides]
    variance = max(sum(term for term, _ in terms) - sum(interactions), image_se**2)
    doubt = sum(term**2 / df for term, df in terms)
    if variance == 0.0 or doubt == 0.0:
        return Error(math.sqrt(variance), float(images_df))
    return Error(math.sqrt(variance), max(variance**2 / doubt, min(df for _, df in terms)))


class Sources(NamedTuple):
    """Where the error of a mean over seeds, or of a difference of two, comes from: standard errors in points.

    images: which ones are tested, alike for all seeds. seeds: drawn anew, alike for all images; None for one seed a
    side, which leaves it open. both: what a seed makes of single images; with one seed it can't be told from `images`,
    which then holds it.
    """

    images: float
    seeds: float | None
    both: float | None


def error_sources(image_se: float, interactions: Sequence[float], *sides: Sequence[float]) -> Sources:
    """Return the components of an error from the two-way layouts of its sides, seeds by images.

    image_se: of the mean over seeds. interactions: of each side, the variance that seed x image adds to its mean: the
    mean square of what is left of single results, over images and seeds. sides: the metric of each seed. What is
    negative after subtraction is 0.
    """
    if any(len(side) < 2 for side in sides):
        return Sources(image_se, None, None)
    both = sum(interactions)
    between = [float(np.var(side, ddof=1)) / len(side) for side in sides]
    seeds = sum(max(own - inner, 0.0) for own, inner in zip(between, interactions, strict=True))
    return Sources(math.sqrt(max(image_se**2 - both, 0.0)), math.sqrt(seeds), math.sqrt(both))


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


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that those below a level are false in that share at most on average (1995)."""
    adjusted = [0.0] * len(p_values)
    lowest = 1.0
    for rank, at in reversed(list(enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i]), 1))):
        lowest = min(lowest, len(p_values) / rank * p_values[at])
        adjusted[at] = lowest
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


def wilcoxon_p(a: Floats, b: Floats) -> float | None:
    """Return the exact two-sided p-value of Wilcoxon's signed-rank test on paired ranks.

    Ties are kept as Pratt (1959) does. None above WILCOXON_MOST pairs: there the test exceeds its level (arXiv
    2305.02461), as it then answers to differences in the shape of what it compares. All signs of the differences are
    counted, by dynamic programming over sums of ranks.
    """
    if len(a) > WILCOXON_MOST:
        return None
    ranks, signs = _signed_ranks(a, b)
    doubled = np.round(2 * ranks[signs != 0]).astype(np.int64)  # ranks of ties are halves
    total = int(doubled.sum())
    ways = np.zeros(total + 1)
    ways[0] = 1.0
    for rank in doubled:
        moved = np.zeros_like(ways)
        moved[rank:] = ways[: len(ways) - rank]
        ways = (ways + moved) / 2
    observed = int(np.round(2 * ranks[signs > 0]).sum())
    extreme = np.abs(2 * np.arange(total + 1) - total) >= abs(2 * observed - total)
    return min(1.0, float(ways[extreme].sum()))


def rank_biserial(a: Floats, b: Floats) -> float:
    """Return the matched-pairs rank-biserial correlation (Kerby, 2014), from 1 (a's ranks are lower, so better) to -1.

    The share of the rank sum of Wilcoxon's test that favours a, less the share that favours b.
    """
    ranks, signs = _signed_ranks(a, b)
    total = float(ranks[signs != 0].sum())
    return 0.0 if total == 0.0 else float((ranks[signs < 0].sum() - ranks[signs > 0].sum()) / total)


def _signed_ranks(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the ranks of the sizes of the differences, those of 0 ranked too, and the differences' signs."""
    from scipy.stats import rankdata

    difference = a - b
    return np.asarray(rankdata(np.abs(difference)), dtype=np.float64), np.sign(difference)


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


ADJUSTMENTS: dict[str, Callable[[Sequence[float]], list[float]]] = {"holm": holm, "bh": benjamini_hochberg}
"""How p-values are adjusted for their number, by the name that `compare --adjust` takes."""
