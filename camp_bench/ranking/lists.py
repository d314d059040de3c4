"""Ranks from top lists of other tools, which end before a query's own candidate may have come.

A rank beyond a list's end is censored: it is known to be greater than the list is long, and no more. So a hit among
the first K is known where the list has K candidates, or holds an own one; what isn't known is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from camp_bench.errors import DataError
from camp_bench.ranking.metrics import RECALL_AT
from camp_bench.ranking.tiles import TOP, DirectionRanks

__all__ = ["known_metrics", "rank_lists"]

Ints = npt.NDArray[np.int64]


def rank_lists(
    lists: Sequence[tuple[Ints, npt.NDArray[np.float64]]],
    own: Sequence[Sequence[int]],
    candidates: int,
    *,
    names: str,
    top: int = TOP,
) -> tuple[DirectionRanks, npt.NDArray[np.bool_]]:
    """Return the ranks of every query, and (queries,) which are censored: those have p = 0 and b as long as the list.

    lists: candidates and scores of each query, higher first, in any order. own: what is true of each. names: what
    queries are, for messages. The top lists are as long as the shortest list is. Raises DataError where the list of a
    query is so short that its recall isn't known.
    """
    counts = np.zeros((3, len(lists)), dtype=np.int64)
    ordered: list[tuple[Ints, npt.NDArray[np.float64]]] = []
    for query, (ids, scores) in enumerate(lists):
        order = np.lexsort((ids, -scores))
        ids, scores = ids[order], scores[order]
        ordered.append((ids, scores))
        true = np.isin(ids, own[query])
        if true.any():
            best = scores[true].max()
            tied = scores == best
            counts[:, query] = (scores > best).sum(), (tied & ~true).sum(), (tied & true).sum()
        elif len(ids) < min(max(RECALL_AT), candidates):
            raise DataError(
                f"{names} {query}: its list ends after {len(ids)} of {candidates:,} candidates without an own one, so "
                f"R@{max(RECALL_AT)} isn't known; expected {max(RECALL_AT)} or more; write longer lists"
            )
        else:
            counts[0, query] = len(ids)
    width = min(top, candidates, *(len(ids) for ids, _ in ordered))
    ranks = DirectionRanks(
        b=counts[0],
        n=counts[1],
        p=counts[2],
        top_ids=np.array([ids[:width] for ids, _ in ordered], dtype=np.int32).reshape(len(lists), width),
        top_scores=np.array([scores[:width] for _, scores in ordered]).reshape(len(lists), width),
    )
    return ranks, counts[2] == 0


def known_metrics(metrics: dict[str, float], way: str, ranks: DirectionRanks) -> dict[str, float]:
    """Return the metrics without the MeanR of a direction with censored ranks; its MedR is then the least it can be."""
    if not (ranks.p == 0).any():
        return metrics
    return {name: value for name, value in metrics.items() if name != f"{way}.MeanR"}
