"""Recall, ranks and rsum from per-query counts, ties taken by expectation over random orders.

A query's result is three counts: b negatives score above its best positive, n negatives tie with it, and p positives
tie with it (the best one included). All else is derived, so a mean is only ever a view of the queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.errors import DataError

__all__ = [
    "RECALL_AT",
    "chance_metrics",
    "expected_rank",
    "far_below_chance",
    "hit_at",
    "hubness",
    "median_rank",
    "retrieval_metrics",
]

RECALL_AT = (1, 5, 10)
FAR_SHARE = 0.6
"""Of the images: a mean rank of a caption's image beyond it is no chance, whose mean is half of them."""

Counts = npt.NDArray[np.integer[Any]]


def hit_at(k: int, b: Counts, n: Counts, p: Counts) -> npt.NDArray[np.float64]:
    """Return the probability, a query, that a positive is among the first k when ties are ordered at random.

    0 if k <= b or p = 0; 1 if k - b > n; else 1 - C(n, k - b) / C(n + p, k - b).
    """
    above, tied, own = (np.asarray(counts, dtype=np.float64) for counts in (b, n, p))
    places = k - above  # places left for the tied group
    miss = np.ones_like(above)
    for taken in range(k):  # the next place goes to one of the n - taken negatives that are left of the tied group
        left = np.maximum(tied - taken, 0)
        miss = np.where(taken < places, miss * left / np.maximum(left + own, 1), miss)
    return np.asarray(np.where(own > 0, 1.0 - miss, 0.0), dtype=np.float64)


def expected_rank(b: Counts, n: Counts, p: Counts) -> npt.NDArray[np.float64]:
    """Return the expected 1-based rank of the first positive: b + 1 + n / (p + 1)."""
    return np.asarray(b, dtype=np.float64) + 1 + np.asarray(n) / (np.asarray(p) + 1.0)


def median_rank(ranks: npt.NDArray[np.float64]) -> float:
    """Return MedR as the field prints it: the floor of the median."""
    return float(np.floor(np.median(ranks)))


def retrieval_metrics(
    i2t: tuple[Counts, Counts, Counts], t2i: tuple[Counts, Counts, Counts], ks: Sequence[int] = RECALL_AT
) -> dict[str, float]:
    """Return R@k in percent, MedR and MeanR for both directions and rsum, the sum of all recalls.

    i2t, t2i: (b, n, p), one entry a query: images look for captions, captions for images. Raises DataError where these
    are no such counts.
    """
    for direction, (b, n, p) in (("i2t", i2t), ("t2i", t2i)):
        if not len(b) == len(n) == len(p) or not len(b) or min(map(np.min, (b, n, p))) < 0:
            raise DataError(
                f"{direction}: {len(b)}, {len(n)} and {len(p)} counts b, n, p; expected as many of each, 0 or more"
            )
    values: dict[str, float] = {}
    for direction, counts in (("i2t", i2t), ("t2i", t2i)):
        for k in ks:
            values[f"{direction}.R@{k}"] = 100.0 * float(hit_at(k, *counts).mean())
        ranks = expected_rank(*counts)
        values[f"{direction}.MedR"] = median_rank(ranks)
        values[f"{direction}.MeanR"] = float(ranks.mean())
    values["rsum"] = sum(value for name, value in values.items() if ".R@" in name)
    return values


def chance_metrics(image_of: Counts, n_images: int) -> dict[str, float]:
    """Return what a constant scorer gets, which ties everything: the floor that a result stands on.

    image_of: the image of each caption.
    """
    own = np.bincount(image_of, minlength=n_images)
    one, none = np.ones_like(image_of), np.zeros_like(image_of)
    return retrieval_metrics((np.zeros_like(own), len(image_of) - own, own), (none, one * (n_images - 1), one))


def far_below_chance(metrics: Mapping[str, float], chance_rsum: float, n_images: int) -> bool:
    """Return whether a system ranks as if it scored the wrong way round: what is true comes last, not anywhere."""
    mean_rank = metrics.get("t2i.MeanR")
    return mean_rank is not None and metrics["rsum"] < chance_rsum and mean_rank > FAR_SHARE * n_images


def hubness(top_ids: npt.NDArray[np.integer[Any]], candidates: int, k: int = 10) -> float:
    """Return the skewness of N_k, how often each candidate is among the first k of a query (Radovanovic et al., 2010).

    top_ids: (queries, k or more), best first. 0 where every candidate is found equally often.
    """
    counts = np.bincount(top_ids[:, :k].ravel(), minlength=candidates)
    if counts.min() == counts.max():
        return 0.0
    from scipy.stats import skew  # 1.5 s, and few who rank need it

    return float(skew(counts))
