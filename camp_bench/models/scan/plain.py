"""SCAN's scorer exactly as its paper writes it, one caption at a time. Slow on purpose.

The fast form is held against it: it builds each context vector, keeps no table, and uses a caption's true words only.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from camp_bench.models.norms import EPSILON, l2norm
from camp_bench.shapes import Float, Int

__all__ = ["normalize_affinity", "scan_attention", "scan_plain"]


def normalize_affinity(table: Float[Tensor, "..."], norm: str, dim: int) -> Float[Tensor, "..."]:
    """Apply one of SCAN's seven normalisations N(S) along `dim` (released program, `func_attention`).

    The released `l1norm` and `clipped_l1norm` call a helper that does not exist; meant is division by the sum of
    absolute values.
    """
    clipped = functional.leaky_relu(table, 0.1) if norm.startswith("clipped") else table
    if norm == "softmax":
        return table.softmax(dim)
    if norm.endswith("l2norm"):
        return l2norm(clipped, dim)
    if norm.endswith("l1norm"):
        return clipped / (clipped.abs().sum(dim, keepdim=True) + EPSILON)
    return clipped  # "clipped" and "none"


def scan_plain(
    images: Float[Tensor, "I R D"],
    captions: Float[Tensor, "C L D"],
    lengths: Int[Tensor, " C"],
    *,
    direction: str,
    pooling: str,
    norm: str,
    lambda_attention: float,
    lambda_pooling: float,
) -> Float[Tensor, "I C"]:
    """Return SCAN's similarity (Lee et al., ECCV 2018, eq. 1-10).

    In `t2i` words attend to regions, in `i2t` regions attend to words.
    """
    columns = []
    for caption, length in zip(captions, lengths.tolist(), strict=True):
        words = caption[:length].expand(len(images), -1, -1)
        _, relevance = scan_attention(images, words, direction=direction, norm=norm, lambda_attention=lambda_attention)
        columns.append(_pool(relevance, pooling, lambda_pooling))
    return torch.stack(columns, 1)


def scan_attention(
    images: Float[Tensor, "P R D"],
    words: Float[Tensor, "P L D"],
    *,
    direction: str,
    norm: str,
    lambda_attention: float,
) -> tuple[Float[Tensor, "P K Q"], Float[Tensor, "P Q"]]:
    """Return, for each image with its caption, how each query attends to the context, and its cosine with that.

    Queries are the words and the context the regions for `t2i`, the reverse for `i2t`; a query's weights sum to 1.
    """
    query, context = (words, images) if direction == "t2i" else (images, words)
    table = normalize_affinity(context @ query.transpose(1, 2), norm, dim=2)
    weights = (lambda_attention * table).softmax(1)
    attended = weights.transpose(1, 2) @ context
    product = (query * attended).sum(2)
    norms = torch.linalg.vector_norm(query, dim=2) * torch.linalg.vector_norm(attended, dim=2)
    return weights, product / norms.clamp_min(EPSILON)


def _pool(relevance: Float[Tensor, "I Q"], pooling: str, lambda_pooling: float) -> Float[Tensor, " I"]:
    if pooling == "lse":
        return (lambda_pooling * relevance).logsumexp(1) / lambda_pooling
    if pooling == "avg":
        return relevance.mean(1)
    return relevance.amax(1) if pooling == "max" else relevance.sum(1)
