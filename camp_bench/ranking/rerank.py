"""Counts of a cascade: one scorer proposes candidates, another orders them, and the rest follow as proposed.

The list of a query is its K proposals by the second scorer, then all other candidates in the order of the first. So
where a positive is among the proposals, what counts is how the second scorer ranks them; where none is, the first
scorer's rank stands, but never above K.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from camp_bench.ranking.loops import keys_of
from camp_bench.ranking.tiles import TOP, DirectionRanks
from camp_bench.ranking.toplists import unpack
from camp_bench.shapes import Bool, Float

__all__ = ["rerank"]


def rerank(
    proposed: DirectionRanks, scores: Float[npt.NDArray[np.float32], "q k"], own: Bool[npt.NDArray[np.bool_], "q k"]
) -> DirectionRanks:
    """Return the ranks of a direction after its proposals, the `top_ids` of `proposed`, were scored anew.

    scores: of the proposals, by the second scorer. own: which of them are positives of their query. Ties count by
    expectation: among the proposals those of the second scorer, beyond them those of the first. Proposals that tie at
    the K-th place are those with the lower id, as in every top list.
    """
    size = scores.shape[1]
    best = np.where(own, scores, -np.inf).max(1)
    found = own.any(1)
    others = ~own
    b_found = ((scores > best[:, None]) & others).sum(1)
    n_found = ((scores == best[:, None]) & others).sum(1)
    p_found = ((scores == best[:, None]) & own).sum(1)
    b_missed = np.maximum(proposed.b, size)  # every proposal stands before, those that tied at the K-th place too
    n_missed = proposed.n - (b_missed - proposed.b)
    keys = -np.sort(-keys_of(scores, proposed.top_ids.astype(np.int64)), axis=1)[:, :TOP]
    ids, values = unpack(keys)
    return DirectionRanks(
        b=np.where(found, b_found, b_missed),
        n=np.where(found, n_found, n_missed),
        p=np.where(found, p_found, proposed.p),
        top_ids=ids,
        top_scores=values,
    )
