"""Metrics for queries with several positives: mAP@R, R-Precision, true recall@K and hit rate@K.

R@K in this field is a hit rate: whether any positive is among the first K. Where more is true than a dataset's own
pairs say, the share of the positives that is found (true recall) and their order (mAP@R) tell more (Musgrave et al.,
ECCV 2020; Chun et al., ECCV 2022). Candidates of one score count by expectation over their random orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.errors import DataError
from camp_bench.ranking.metrics import RECALL_AT, hit_at

__all__ = ["Found", "Positives", "grade_correlations", "make_positives", "positive_metrics", "positive_values"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Positives:
    """What is true, query by query. queries: (Q,) those that count. keys: sorted query * candidates + candidate."""

    queries: Ints
    keys: Ints
    candidates: int

    @property
    def pairs(self) -> tuple[Ints, Ints]:
        """(P,) queries and (P,) candidates of all positives, in the order of the keys."""
        queries, candidates = np.divmod(self.keys, self.candidates)
        return queries, candidates

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


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a direction found. ids, scores: (queries, T) top lists, best first, in which equal scores are one group.

    beyond: (queries,) how many candidates past the list tie with its last score; beyond_true: how many are positives.
    """

    ids: npt.NDArray[np.integer[Any]]
    scores: npt.NDArray[np.floating[Any]]
    beyond: Ints
    beyond_true: Ints

    @classmethod
    def of(
        cls,
        ids: npt.NDArray[np.integer[Any]],
        scores: npt.NDArray[np.floating[Any]],
        beyond: Ints,
        positives: Positives,
        true_scores: npt.NDArray[np.floating[Any]],
    ) -> Found:
        """Return what was found. true_scores: of the pairs in `positives.keys`, wherever they rank."""
        queries, candidates = len(ids), positives.candidates
        query = positives.keys // candidates
        listed = np.isin(positives.keys, np.arange(queries)[:, None] * candidates + ids.astype(np.int64))
        out = query[~listed & (true_scores == scores[query, -1])]
        return cls(ids, scores, beyond, np.bincount(out, minlength=queries))


def positive_metrics(found: Found, positives: Positives, ks: Sequence[int] = RECALL_AT) -> dict[str, float]:
    """Return the means of `positive_values` over the queries that count; raises as that does."""
    values = positive_values(found, positives, ks)
    return {name: float(of_queries[positives.queries].mean()) for name, of_queries in values.items()}


def positive_values(found: Found, positives: Positives, ks: Sequence[int] = RECALL_AT) -> dict[str, Floats]:
    """Return `mAP@R`, `R-P`, `recall@K` and `hit@K` of each query in percent, (queries,); NaN where one doesn't count.

    With R positives of a query, R-Precision is their share of the first R, and AP@R the mean over the first R places of
    the precision at each place that holds one. Candidates of one score stand in random order, and each value is its
    expectation. A query without positives counts as 0. Raises DataError where a query has more positives than T, or K
    is more, unless T is all candidates.
    """
    width = found.ids.shape[1]
    longest = max(positives.most, *ks)
    if longest > width and width < positives.candidates:
        what = f"{longest} positives of a query" if longest == positives.most else f"recall@{longest}"
        raise DataError(f"top lists of {width} for {what}; expected as many or more")
    own = positives.queries
    ids = found.ids[own].astype(np.int64)
    true = np.isin(own[:, None] * positives.candidates + ids, positives.keys, assume_unique=True)
    groups = _groups(true, found.scores[own], found.beyond[own], found.beyond_true[own])
    per_query = np.bincount(positives.keys // positives.candidates, minlength=len(found.ids))[own]
    wanted = np.maximum(per_query, 1)
    inside = np.arange(width) < wanted[:, None]
    chance = groups.true / groups.size  # of a place, that it holds a positive
    values = {
        "mAP@R": np.where(inside, chance * groups.precision(), 0.0).sum(1) / wanted,
        "R-P": np.where(inside, chance, 0.0).sum(1) / wanted,
    }
    first = groups.first()
    values |= {f"recall@{k}": chance[:, :k].sum(1) / wanted for k in ks}
    values |= {f"hit@{k}": hit_at(k, *first) for k in ks}
    every = {name: np.full(len(found.ids), np.nan) for name in values}
    for name, counted in values.items():
        every[name][own] = 100.0 * counted
    return every


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """Of each place of each list, (Q, T), the group of equal scores that it stands in.

    start: places before the group. size: of the group, what ties beyond the list included. true: its positives.
    before: positives before it.
    """

    start: Ints
    size: Ints
    true: Ints
    before: Ints

    def precision(self) -> npt.NDArray[np.float64]:
        """Return the expected precision at a place, given that it holds a positive.

        Of the i - 1 places of the group before the i-th, each then holds one of c - 1 positives among m - 1 candidates.
        """
        places = np.arange(1, self.start.shape[1] + 1)
        others = (places - 1 - self.start) * (self.true - 1) / np.maximum(self.size - 1, 1)
        return np.asarray((self.before + 1 + np.where(self.true > 0, others, 0.0)) / places, dtype=np.float64)

    def first(self) -> tuple[Ints, Ints, Ints]:
        """Return b, n and p of each query, as ranks count them; p is 0 where no positive is in sight."""
        place = (self.true > 0).argmax(1)[:, None]
        start, size, true = (np.take_along_axis(part, place, 1)[:, 0] for part in (self.start, self.size, self.true))
        return start, size - true, true


def _groups(
    true: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating[Any]], beyond: Ints, beyond_true: Ints
) -> _Groups:
    queries, width = true.shape
    edge = scores[:, 1:] != scores[:, :-1]
    ends = np.ones((queries, 1), dtype=np.bool_)
    places = np.arange(width)
    start: Ints = np.maximum.accumulate(np.where(np.concatenate((ends, edge), 1), places, 0), axis=1)
    last = np.where(np.concatenate((edge, ends), 1), places, width)
    stop: Ints = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1] + 1
    summed: Ints = np.concatenate((np.zeros((queries, 1), dtype=np.int64), np.cumsum(true, axis=1)), 1)
    before: Ints = np.take_along_axis(summed, start, 1)
    until: Ints = np.take_along_axis(summed, stop, 1)
    open_end = stop == width
    return _Groups(
        start=start,
        size=stop - start + open_end * beyond[:, None],
        true=until - before + open_end * beyond_true[:, None],
        before=before,
    )


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
