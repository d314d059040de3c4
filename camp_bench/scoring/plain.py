"""The scorers exactly as the papers write them, one caption at a time. Slow on purpose.

Every fast form is held against these: they build each context vector, keep no table, and use a caption's true words
only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from camp_bench.scoring.common import EPSILON, l2norm, row_cosine
from camp_bench.shapes import Float, Int

__all__ = ["WHOLE", "CampForm", "camp_plain", "normalize_affinity", "scan_plain"]


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


@dataclass(frozen=True, slots=True)
class CampForm:
    """What the paper's ablations (table 4) change, each by itself; the defaults are the whole model.

    attention: a message is a mixture by attention, or else the plain mean of the other side. gates: how much of it is
    fused is decided dimension by dimension, by one number a place (as the released program does), or not. fusion: of
    own vector and message; concat doubles the input of the fusing layer. residual: own vectors are added to what was
    fused. pooling: by attention, or the mean. score: of the two pooled vectors, a logit of two layers on their sum, or
    their cosine.
    """

    attention: bool = True
    gates: Literal["element", "scalar", "none"] = "element"
    fusion: Literal["sum", "concat", "product"] = "sum"
    residual: bool = True
    pooling: Literal["attention", "mean"] = "attention"
    score: Literal["mlp", "cosine"] = "mlp"


WHOLE = CampForm()


def camp_plain(
    images: Float[Tensor, "I R D"],
    captions: Float[Tensor, "C L D"],
    lengths: Int[Tensor, " C"],
    weights: dict[str, Tensor],
    form: CampForm = WHOLE,
) -> Float[Tensor, "I C"]:
    """Return CAMP's match score (Wang et al., ICCV 2019, eq. 1-11): the logit of the paper's m, or the cosine.

    weights: key_image, key_text (D, H); fuse_image, fuse_text (D, D), or (2 D, D) for concat, with biases
    fuse_image_bias, fuse_text_bias (D,); attend_image, attend_text (D,); hidden (D, D) with hidden_bias (D,); out (D,)
    with out_bias (). A form needs only those that it has a use for.
    """
    columns = []
    for caption, length in zip(captions, lengths.tolist(), strict=True):
        words = caption[:length].expand(len(images), -1, -1)
        if form.attention:
            image_keys, text_keys = images @ weights["key_image"], words @ weights["key_text"]
            table = image_keys @ text_keys.transpose(1, 2) / image_keys.shape[2] ** 0.5  # (I, R, L)
            to_regions = table.softmax(2) @ words
            to_words = table.softmax(1).transpose(1, 2) @ images
        else:
            to_regions = words.mean(1, keepdim=True).expand_as(images)
            to_words = images.mean(1, keepdim=True).expand_as(words)
        image = _pooled(_fused(images, to_regions, weights, "image", form), weights, "image", form)
        text = _pooled(_fused(words, to_words, weights, "text", form), weights, "text", form)
        if form.score == "cosine":
            columns.append(row_cosine(image, text))
        else:
            hidden = ((image + text) @ weights["hidden"] + weights["hidden_bias"]).relu()
            columns.append(hidden @ weights["out"] + weights["out_bias"])
    return torch.stack(columns, 1)


def _fused(
    own: Float[Tensor, "I P D"], message: Float[Tensor, "I P D"], weights: dict[str, Tensor], side: str, form: CampForm
) -> Float[Tensor, "I P D"]:
    gate = torch.ones_like(own)
    if form.gates == "element":
        gate = (own * message).sigmoid()
    elif form.gates == "scalar":
        gate = (own * message).sum(2, keepdim=True).sigmoid()
    if form.fusion == "concat":
        mixed = torch.cat((gate * own, gate * message), 2)
    else:
        mixed = gate * (own * message if form.fusion == "product" else own + message)
    fused = (mixed @ weights[f"fuse_{side}"] + weights[f"fuse_{side}_bias"]).relu()
    return fused + own if form.residual else fused


def _pooled(
    fused: Float[Tensor, "I P D"], weights: dict[str, Tensor], side: str, form: CampForm
) -> Float[Tensor, "I D"]:
    if form.pooling == "mean":
        return fused.mean(1)
    share: Tensor = (fused @ weights[f"attend_{side}"] / fused.shape[2] ** 0.5).softmax(1)
    return torch.bmm(share[:, None], fused)[:, 0]
