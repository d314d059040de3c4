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

__all__ = ["WHOLE", "CampForm", "camp_attention", "camp_plain", "normalize_affinity", "scan_attention", "scan_plain"]


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


@dataclass(frozen=True, slots=True)
class CampForm:
    """What the paper's ablations (table 4) change, each by itself; the defaults are the whole model.

    attention: a message is a mixture by attention, or else the plain mean of the other side. gates: how much of it is
    fused is decided dimension by dimension, by one number a place (as the released program does), or not. fusion: of
    own vector and message; concat doubles the input of the fusing layer. residual: own vectors are added to what was
    fused. pooling: by attention, or the mean. score: of the two pooled vectors, a logit of two layers on their sum, or
    their cosine. from_cosine: a multiple of their cosine is added to that logit (ours).
    """

    attention: bool = True
    gates: Literal["element", "scalar", "none"] = "element"
    fusion: Literal["sum", "concat", "product"] = "sum"
    residual: bool = True
    pooling: Literal["attention", "mean"] = "attention"
    score: Literal["mlp", "cosine"] = "mlp"
    from_cosine: bool = False


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
    with out_bias (); cosine_scale (). A form needs only those that it has a use for.
    """
    columns = []
    for caption, length in zip(captions, lengths.tolist(), strict=True):
        words = caption[:length].expand(len(images), -1, -1)
        of_regions, of_words = _attention(images, words, weights, form)
        image = _pooled(*_fused(images, of_regions @ words, weights, "image", form)[:2])
        text = _pooled(*_fused(words, of_words @ images, weights, "text", form)[:2])
        if form.score == "cosine":
            columns.append(row_cosine(image, text))
        else:
            hidden = ((image + text) @ weights["hidden"] + weights["hidden_bias"]).relu()
            logit = hidden @ weights["out"] + weights["out_bias"]
            columns.append(logit + weights["cosine_scale"] * row_cosine(image, text) if form.from_cosine else logit)
    return torch.stack(columns, 1)


def camp_attention(
    images: Float[Tensor, "P R D"], words: Float[Tensor, "P L D"], weights: dict[str, Tensor], form: CampForm = WHOLE
) -> dict[str, Tensor]:
    """Return what CAMP looks at in each image with its caption.

    attention_regions: (P, R, L), how a region weighs the words. attention_words: (P, L, R), the reverse. gate_regions
    (P, R), gate_words (P, L): how far each gate is open, the mean of an element-wise one; gate_spread_regions,
    gate_spread_words: its standard deviation over dimensions, 0 where it is one number; none without gates.
    pooling_regions (P, R), pooling_words (P, L): what each contributes to the pooled vector. Weights sum to 1.
    """
    of_regions, of_words = _attention(images, words, weights, form)
    _, shares, gates = _fused(images, of_regions @ words, weights, "image", form)
    _, word_shares, word_gates = _fused(words, of_words @ images, weights, "text", form)
    seen = {
        "attention_regions": of_regions,
        "attention_words": of_words,
        "pooling_regions": shares,
        "pooling_words": word_shares,
    }
    if form.gates != "none":
        for side, of_side in (("regions", gates), ("words", word_gates)):
            seen[f"gate_{side}"] = of_side.mean(2)
            seen[f"gate_spread_{side}"] = of_side.std(2, correction=0)
    return seen


def _attention(
    images: Float[Tensor, "P R D"], words: Float[Tensor, "P L D"], weights: dict[str, Tensor], form: CampForm
) -> tuple[Float[Tensor, "P R L"], Float[Tensor, "P L R"]]:
    if not form.attention:
        even = images.new_ones(len(images), images.shape[1], words.shape[1])
        return even / words.shape[1], even.transpose(1, 2) / images.shape[1]
    image_keys, text_keys = images @ weights["key_image"], words @ weights["key_text"]
    table = image_keys @ text_keys.transpose(1, 2) / image_keys.shape[2] ** 0.5
    return table.softmax(2), table.softmax(1).transpose(1, 2)


def _fused(
    own: Float[Tensor, "P K D"], message: Float[Tensor, "P K D"], weights: dict[str, Tensor], side: str, form: CampForm
) -> tuple[Float[Tensor, "P K D"], Float[Tensor, "P K"], Float[Tensor, "P K _"]]:
    """Return the fused vectors, their shares of the pooled one, and the gates."""
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
    if form.residual:
        fused = fused + own
    if form.pooling == "mean":
        return fused, fused.new_full(fused.shape[:2], 1 / fused.shape[1]), gate
    return fused, (fused @ weights[f"attend_{side}"] / fused.shape[2] ** 0.5).softmax(1), gate


def _pooled(fused: Float[Tensor, "P K D"], share: Float[Tensor, "P K"]) -> Float[Tensor, "P D"]:
    return torch.bmm(share[:, None], fused)[:, 0]
