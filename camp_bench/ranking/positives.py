"""Metrics for queries with several positives: mAP@R, R-Precision, true recall@K and hit rate@K.

R@K in this field is a hit rate: whether any positive is among the first K. Where more is true than a dataset's own
pairs say, the share of the positives that is found (true recall) and their order (mAP@R) tell more (Musgrave et al.,
ECCV 2020; Chun et al., ECCV 2022). Equal scores are ordered as in the top lists, by lower id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.errors import DataError
from camp_bench.ranking.metrics import RECALL_AT

__all__ = ["Positives", "grade_correlations", "make_positives", "positive_metrics"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Positives:
    """What is true, query by query. queries: (Q,) those that count. keys: sorted query * candidates + candidate."""

    queries: Ints
    keys: Ints
    candidates: int

    @property
    def most(self) -> int:
        """The largest number of positives of a query: how long a top list mAP@R needs."""
        return int(np.bincount(self.keys // self.candidates).max()) if len(self.keys) else 0


def make_positives(
    queries: npt.NDArray[np.integer[Any]],
    found: npt.NDArray[np.integer[Any]],
    candidates: int,
    counted: npt.NDArray[np.integer[Any]] | None = None,
) -> Positives:
    """Return the positives (queries[i], found[i]); counted: which queries count, by default those that have one."""
    keys = np.unique(np.asarray(queries, dtype=np.int64) * candidates + np.asarray(found, dtype=np.int64))
    asked = np.unique(keys // candidates if counted is None else counted).astype(np.int64)
    return Positives(asked, keys, candidates)


def positive_metrics(
    top_ids: npt.NDArray[np.integer[Any]], positives: Positives, ks: Sequence[int] = RECALL_AT
) -> dict[str, float]:
    """Return means over the queries that count, in percent: `mAP@R`, `R-P`, `recall@K` and `hit@K`.

    top_ids: (queries, T), best first. With R positives of a query, R-Precision is their share of the first R, and
    AP@R the mean over the first R places of the precision at each place that holds one. A query without positives
    counts as 0. Raises DataError where a query has more positives than T, unless T is all candidates.
    """
    width = top_ids.shape[1]
    if positives.most > width and width < positives.candidates:
        raise DataError(f"top lists of {width} for {positives.most} positives of a query; expected as many or more")
    ids = top_ids[positives.queries].astype(np.int64)
    true = np.isin(positives.queries[:, None] * positives.candidates + ids, positives.keys, assume_unique=True)
    found = np.cumsum(true, axis=1)
    per_query = np.bincount(positives.keys // positives.candidates, minlength=len(top_ids))[positives.queries]
    wanted = np.maximum(per_query, 1)
    inside = np.arange(width) < wanted[:, None]
    places = np.arange(1, width + 1)
    precision = np.where(inside & true, found / places, 0.0)
    values = {
        "mAP@R": float((precision.sum(1) / wanted).mean()),
        "R-P": float(((true & inside).sum(1) / wanted).mean()),
    }
    for k in ks:
        first = found[:, min(k, width) - 1]
        values[f"recall@{k}"] = float((first / wanted).mean())
        values[f"hit@{k}"] = float((first > 0).mean())
    return {name: 100.0 * value for name, value in values.items()}


def grade_correlations(scores: npt.NDArray[np.floating], grades: npt.NDArray[np.floating]) -> dict[str, float]:
    """Return how far the scores of judged pairs follow their marks: Kendall's tau-b and Spearman's rho, both (P,).

    Empty where all scores or all marks are equal: then there is no order to follow.
    """
    if len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(grades) == 0:
        return {}
    from scipy.stats import kendalltau, spearmanr  # 1.5 s, and few who rank need it

    return {
        "kendall_tau": float(kendalltau(scores, grades).statistic),
        "spearman_rho": float(spearmanr(scores, grades).statistic),
    }
