"""SCAN's stacked cross attention for all pairs of a tile at once, without ever building a context vector.

A context is a mixture of given vectors, so its product with the query is a row of A * S and its square length A G A^T,
with the Gram table G of the context's side made once an item. What is left that is D wide for a pair is the product S.
"""

from __future__ import annotations

import torch
from torch import Tensor

from camp_bench.scoring.common import EPSILON, norm_from_square
from camp_bench.scoring.plain import normalize_affinity
from camp_bench.shapes import Bool, Float

__all__ = ["CANCELLATION", "gram", "stacked_attention"]

CANCELLATION = 1e-3
"""Below this share of (sum of |a_k v_k|)^2, A G A^T has lost its digits and is computed from the context itself."""


def gram(vectors: Float[Tensor, "N K D"]) -> Float[Tensor, "N K K"]:
    """Return the inner products of each item's vectors with one another."""
    return vectors @ vectors.transpose(1, 2)


def stacked_attention(
    context: Float[Tensor, "G K D"],
    context_gram: Float[Tensor, "G K K"],
    context_mask: Bool[Tensor, "G K"] | None,
    query: Float[Tensor, "N Q D"],
    query_mask: Bool[Tensor, "N Q"] | None,
    *,
    paired: bool = False,
    pooling: str,
    norm: str,
    lambda_attention: float,
    lambda_pooling: float,
) -> Float[Tensor, "G _"]:
    """Return the similarity of every item of the context side with every item of the query side.

    Text-to-image SCAN has images as context and captions as query; image-to-text the reverse. Masks say which positions
    are real (None: all); the others must hold zero vectors. Equal to `scan_plain` up to rounding.
    With `paired`, each item of one side meets only its partner on the other (G = N), and the result is (G, 1).
    """
    (groups, keys, dim), (items, places, _) = context.shape, query.shape
    query_norm = torch.linalg.vector_norm(query, dim=2)
    if paired:
        table = (context @ query.transpose(1, 2))[:, :, None]
        items, query_norm = 1, query_norm[:, None]
        query_mask = None if query_mask is None else query_mask[:, None]
    else:
        table = (context.reshape(groups * keys, dim) @ query.reshape(items * places, dim).T).view(
            groups, keys, items, places
        )
    weights = _attention(table, context_mask, query_mask, norm, lambda_attention)
    flat = weights.reshape(groups, keys, items * places)
    product = (weights * table).sum(1)
    square = (flat * (context_gram @ flat)).sum(1)
    square = _mend(square, flat, context, context_gram).view(groups, items, places)
    relevance = product / (query_norm * norm_from_square(square)).clamp_min(EPSILON)
    return _pool(relevance, query_mask, pooling, lambda_pooling)


def _attention(
    table: Tensor, context_mask: Tensor | None, query_mask: Tensor | None, norm: str, sharpness: float
) -> Tensor:
    """Softmax over the context of the normalised table; (G, K, N, Q), zero at positions that are not real.

    query_mask: (N, Q), or (G, 1, Q) for pairs.
    """
    if norm == "softmax" and query_mask is not None:
        # the only normalisation to which a zero is not neutral
        real = query_mask if query_mask.dim() == 2 else query_mask[:, None]
        scaled = table.masked_fill(~real, -torch.inf).softmax(3)
    else:
        scaled = normalize_affinity(table, norm, dim=3)
    logits = sharpness * scaled
    if context_mask is not None:
        logits = logits.masked_fill(~context_mask[:, :, None, None], -torch.inf)
    return logits.softmax(1)


def _mend(
    square: Float[Tensor, "G P"],
    weights: Float[Tensor, "G K P"],
    context: Float[Tensor, "G K D"],
    table: Float[Tensor, "G K K"],
) -> Float[Tensor, "G P"]:
    """Replace squares that cancellation has spoilt by those of the explicit context; exact, and rarely many."""
    lengths = table.diagonal(dim1=1, dim2=2).clamp_min(0).sqrt()
    bound = (lengths[:, None] @ weights.abs())[:, 0].square()
    with torch.no_grad():
        group, place = (square < CANCELLATION * bound).nonzero(as_tuple=True)
    if len(group) == 0:
        return square
    exact = (weights[group, :, place][:, None] @ context[group])[:, 0].square().sum(1)
    return square.index_put((group, place), exact)


def _pool(
    relevance: Float[Tensor, "G N Q"], mask: Bool[Tensor, "*N Q"] | None, pooling: str, sharpness: float
) -> Float[Tensor, "G N"]:
    if pooling in ("lse", "max"):
        real = relevance if mask is None else relevance.masked_fill(~mask, -torch.inf)
        return (sharpness * real).logsumexp(2) / sharpness if pooling == "lse" else real.amax(2)
    real = relevance if mask is None else relevance * mask
    if pooling == "sum":
        return real.sum(2)
    return real.sum(2) / (relevance.shape[2] if mask is None else mask.sum(-1))
