"""CAMP as its authors' program scores a pair, one caption at a time. Slow on purpose: `camp_released` is held to it.

Every measure begins alike: a region's message is a mixture of words, a word's a mixture of regions, by attention. All
attention logits, those of the pooling too, are divided by sqrt(D).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from camp_bench.models.norms import l2norm, row_cosine
from camp_bench.shapes import Float, Int

__all__ = ["PADDED_WORDS", "ReleasedForm", "camp_released_plain"]

PADDED_WORDS = 50
"""The released program pads every caption to so many words."""


@dataclass(frozen=True, slots=True)
class ReleasedForm:
    """What sets the four released measures apart.

    own_queries: queries have projections of their own, or else are the keys. second: the messages of a side attend to
    each other once more. gated: messages are gated, fused with the vectors they went to and scored by two layers, or
    else pooled by themselves and scored by their cosine. normalized: messages and pooled vectors have unit length.
    pooling: by four heads of attention, or the mean. fusion: of gated vector and message. fusion_bias: the fusing layer
    has one. padded: captions shorter than 50 words are filled up with zero words that take part in all of it.
    """

    own_queries: bool
    second: bool
    gated: bool
    normalized: bool
    pooling: Literal["attention", "mean"]
    fusion: Literal["concat", "sum"] = "concat"
    fusion_bias: bool = False
    padded: bool = False


def camp_released_plain(
    images: Float[Tensor, "I R D"],
    captions: Float[Tensor, "C L D"],
    lengths: Int[Tensor, " C"],
    weights: dict[str, Tensor],
    form: ReleasedForm,
) -> Float[Tensor, "I C"]:
    """Return the match score of every pair: a logit where the form is gated, else a cosine.

    weights, SIDE being image or text: key_SIDE, query_SIDE and, for the messages to that side, second_key_SIDE and
    second_query_SIDE (D, D); fuse_SIDE (2 D, D), or (D, D) for the sum, and fuse_SIDE_bias (D,); pool_SIDE (D, D),
    pool_SIDE_bias (D,), heads_SIDE (D, 4); hidden (2 D, D), hidden_bias (D,), out (D,), out_bias (). A form needs only
    those that it has a use for.
    """
    columns = []
    for caption, length in zip(captions, lengths.tolist(), strict=True):
        words = caption[:length]
        if form.padded and length < PADDED_WORDS:
            words = torch.cat((words, words.new_zeros(PADDED_WORDS - length, words.shape[1])))
        columns.append(_score(images, words.expand(len(images), -1, -1), weights, form))
    return torch.stack(columns, 1)


def _score(
    images: Float[Tensor, "I R D"], words: Float[Tensor, "I L D"], weights: dict[str, Tensor], form: ReleasedForm
) -> Float[Tensor, " I"]:
    image_keys, text_keys = images @ weights["key_image"], words @ weights["key_text"]
    image_queries, text_queries = image_keys, text_keys
    if form.own_queries:
        image_queries, text_queries = images @ weights["query_image"], words @ weights["query_text"]
    to_regions = _attend(image_queries, text_keys, words)
    to_words = _attend(text_queries, image_keys, images)
    if form.second:
        to_regions, to_words = (
            _attend(message @ weights[f"second_query_{side}"], message @ weights[f"second_key_{side}"], message)
            for message, side in ((to_regions, "image"), (to_words, "text"))
        )
    if form.normalized:
        to_regions, to_words = l2norm(to_regions), l2norm(to_words)
    if form.gated:
        to_regions = _fuse(images, to_regions, weights, "image", form)
        to_words = _fuse(words, to_words, weights, "text", form)
    image, text = _pool(to_regions, weights, "image", form), _pool(to_words, weights, "text", form)
    if not form.gated:
        return row_cosine(image, text)
    if form.normalized:
        image, text = l2norm(image), l2norm(text)
    hidden = (torch.cat((image, text), 1) @ weights["hidden"] + weights["hidden_bias"]).relu()
    return hidden @ weights["out"] + weights["out_bias"]


def _attend(
    queries: Float[Tensor, "I Q D"], keys: Float[Tensor, "I K D"], values: Float[Tensor, "I K D"]
) -> Float[Tensor, "I Q D"]:
    logits = queries @ keys.transpose(1, 2) / keys.shape[2] ** 0.5
    return torch.bmm(logits.softmax(2), values)


def _fuse(
    own: Float[Tensor, "I P D"],
    message: Float[Tensor, "I P D"],
    weights: dict[str, Tensor],
    side: str,
    form: ReleasedForm,
) -> Float[Tensor, "I P D"]:
    gate = (own * message).sum(2, keepdim=True).sigmoid()
    mixed = gate * (torch.cat((own, message), 2) if form.fusion == "concat" else own + message)
    fused = mixed @ weights[f"fuse_{side}"]
    if form.fusion_bias:
        fused = fused + weights[f"fuse_{side}_bias"]
    return fused.relu() + own


def _pool(
    vectors: Float[Tensor, "I P D"], weights: dict[str, Tensor], side: str, form: ReleasedForm
) -> Float[Tensor, "I D"]:
    if form.pooling == "mean":
        return vectors.mean(1)
    hidden = (vectors @ weights[f"pool_{side}"] + weights[f"pool_{side}_bias"]).relu()
    heads = (hidden @ weights[f"heads_{side}"] / vectors.shape[2] ** 0.5).softmax(1)
    return torch.bmm(heads.mean(2)[:, None], vectors)[:, 0]
