"""The scorers exactly as the papers write them, one caption at a time. Slow on purpose.

Every fast form is held against these: they build each context vector, keep no table, and use a caption's true words
only.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from camp_bench.scoring.common import EPSILON, l2norm
from camp_bench.shapes import Float, Int

__all__ = ["camp_plain", "normalize_affinity", "scan_plain"]


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
        query, context = (words, images) if direction == "t2i" else (images, words)
        table = normalize_affinity(context @ query.transpose(1, 2), norm, dim=2)  # (I, contexts, queries)
        weights = (lambda_attention * table).softmax(1)
        attended = weights.transpose(1, 2) @ context
        product = (query * attended).sum(2)
        norms = torch.linalg.vector_norm(query, dim=2) * torch.linalg.vector_norm(attended, dim=2)
        columns.append(_pool(product / norms.clamp_min(EPSILON), pooling, lambda_pooling))
    return torch.stack(columns, 1)


def _pool(relevance: Float[Tensor, "I Q"], pooling: str, lambda_pooling: float) -> Float[Tensor, " I"]:
    if pooling == "lse":
        return (lambda_pooling * relevance).logsumexp(1) / lambda_pooling
    if pooling == "avg":
        return relevance.mean(1)
    return relevance.amax(1) if pooling == "max" else relevance.sum(1)


def camp_plain(
    images: Float[Tensor, "I R D"],
    captions: Float[Tensor, "C L D"],
    lengths: Int[Tensor, " C"],
    weights: dict[str, Tensor],
) -> Float[Tensor, "I C"]:
    """Return the logit of CAMP's match score (Wang et al., ICCV 2019, eq. 1-11), the paper's own form.

    weights: key_image, key_text (D, H); fuse_image, fuse_text (D, D) with biases fuse_image_bias, fuse_text_bias (D,);
    attend_image, attend_text (D,); hidden (D, D) with hidden_bias (D,); out (D,) with out_bias ().
    """
    columns = []
    root = images.shape[2] ** 0.5
    for caption, length in zip(captions, lengths.tolist(), strict=True):
        words = caption[:length].expand(len(images), -1, -1)
        image_keys, text_keys = images @ weights["key_image"], words @ weights["key_text"]
        table = image_keys @ text_keys.transpose(1, 2) / image_keys.shape[2] ** 0.5  # (I, R, L)
        to_regions = table.softmax(2) @ words
        to_words = table.softmax(1).transpose(1, 2) @ images
        gate_image, gate_text = (images * to_regions).sigmoid(), (to_words * words).sigmoid()
        fused_image = _fuse(gate_image * (images + to_regions), weights, "image") + images
        fused_text = _fuse(gate_text * (words + to_words), weights, "text") + words
        pooled = torch.zeros_like(images[:, 0])
        for fused, side in ((fused_image, "image"), (fused_text, "text")):
            share = (fused @ weights[f"attend_{side}"] / root).softmax(1)
            pooled = pooled + (share[:, None] @ fused)[:, 0]
        hidden = (pooled @ weights["hidden"] + weights["hidden_bias"]).relu()
        columns.append(hidden @ weights["out"] + weights["out_bias"])
    return torch.stack(columns, 1)


def _fuse(x: Float[Tensor, "I P D"], weights: dict[str, Tensor], side: str) -> Float[Tensor, "I P D"]:
    return (x @ weights[f"fuse_{side}"] + weights[f"fuse_{side}_bias"]).relu()
