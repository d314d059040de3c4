"""CAMP's scorer exactly as its paper writes it, one caption at a time. Slow on purpose.

The fast form is held against it: it builds each message, keeps no table, and uses a caption's true words only.
"""

from __future__ import annotations

from typing import Literal

import msgspec
import torch
from torch import Tensor

from camp_bench.models.norms import row_cosine
from camp_bench.models.similarity import Similarity, added_similarity
from camp_bench.shapes import Float, Int

__all__ = ["WHOLE", "CampForm", "camp_attention", "camp_plain"]


class CampForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the paper's ablations (table 4) change, each by itself; the defaults are the whole model.

    attention: a message is a mixture by attention, or else the plain mean of the other side. gates: how much of it is
    fused is decided dimension by dimension, by one number a place (as the released program does), or not. fusion: of
    own vector and message; concat doubles the input of the fusing layer. residual: own vectors are added to what was
    fused. pooling: by attention, or the mean. score: of the two pooled vectors, a logit of two layers on their sum, or
    their cosine. similarity (ours): what is added to that logit, see `models.similarity`.
    """

    attention: bool = True
    gates: Literal["element", "scalar", "none"] = "element"
    fusion: Literal["sum", "concat", "product"] = "sum"
    residual: bool = True
    pooling: Literal["attention", "mean"] = "attention"
    score: Literal["mlp", "cosine"] = "mlp"
    similarity: Similarity = "none"


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
    with out_bias (); similarity (1,), what the cosine is multiplied with, or (3,), for the regions' agreement and the
    words' too. A form needs only those that it has a use for.
    """
    columns = []
    for caption, length in zip(captions, lengths.tolist(), strict=True):
        words = caption[:length].expand(len(images), -1, -1)
        of_regions, of_words = _attention(images, words, weights, form)
        to_regions, to_words = of_regions @ words, of_words @ images
        fused, shares, _ = _fused(images, to_regions, weights, "image", form)
        fused_words, word_shares, _ = _fused(words, to_words, weights, "text", form)
        image, text = _pooled(fused, shares), _pooled(fused_words, word_shares)
        if form.score == "cosine":
            columns.append(row_cosine(image, text))
            continue
        hidden = ((image + text) @ weights["hidden"] + weights["hidden_bias"]).relu()
        logit = hidden @ weights["out"] + weights["out_bias"]
        if form.similarity != "none":
            agreement = None
            if form.similarity == "agreement":
                of_image = (shares * row_cosine(images, to_regions)).sum(1)
                agreement = of_image, (word_shares * row_cosine(words, to_words)).sum(1)
            logit = logit + added_similarity(weights["similarity"], image, text, agreement)
        columns.append(logit)
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
