"""CAMP as its authors' program scores a pair, one caption at a time. Slow on purpose: `camp_released` is held to it.

Every measure begins alike: a region's message is a mixture of words, a word's a mixture of regions, by attention whose
logits are divided by sqrt(D). Those of the attention that pools are not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from camp_bench.models.norms import l2norm, row_cosine
from camp_bench.models.similarity import Similarity, added_similarity
from camp_bench.shapes import Float, Int

__all__ = ["PADDED_WORDS", "ReleasedForm", "camp_released_attention", "camp_released_plain"]

PADDED_WORDS = 50
"""The released program pads every caption to so many words."""


@dataclass(frozen=True, slots=True)
class ReleasedForm:
    """What sets the four released measures apart.

    own_queries: queries have projections of their own, or else are the keys. second: the messages of a side attend to
    each other once more. gated: messages are gated, fused with the vectors they went to and scored by two layers, or
    else pooled by themselves and scored by their cosine. normalized: messages and pooled vectors have unit length.
    pooling: by four heads of attention, or the mean. fusion: of gated vector and message, and of the two pooled
    vectors before they are scored: side by side, or their sum. fusion_bias: the fusing layer has one. padded: captions
    shorter than 50 words are filled up with zero words. Nothing attends to those, but they attend, and the messages to
    them count in the mean. similarity (ours): as in `CampForm`.
    """

    own_queries: bool
    second: bool
    gated: bool
    normalized: bool
    pooling: Literal["attention", "mean"]
    fusion: Literal["concat", "sum"] = "concat"
    fusion_bias: bool = False
    padded: bool = False
    similarity: Similarity = "none"


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
    pool_SIDE_bias (D,), heads_SIDE (D, 4); hidden (2 D, D), or (D, D) for the sum, hidden_bias (D,), out (D,),
    out_bias (); similarity as in `camp_plain`. A form needs only those that it has a use for.
    """
    columns = []
    for caption, length in zip(captions, lengths.tolist(), strict=True):
        words = caption[:length]
        if form.padded and length < PADDED_WORDS:
            words = torch.cat((words, words.new_zeros(PADDED_WORDS - length, words.shape[1])))
        columns.append(_score(images, words.expand(len(images), -1, -1), length, weights, form))
    return torch.stack(columns, 1)


def camp_released_attention(
    images: Float[Tensor, "P R D"], words: Float[Tensor, "P L D"], weights: dict[str, Tensor], form: ReleasedForm
) -> dict[str, Tensor]:
    """Return what regions and words take of each other in captions without padding, and how both sides are pooled.

    attention_regions (P, R, L), attention_words (P, L, R): of the other side's vectors in the end, where messages
    attend to each other too. pooling_regions (P, R), pooling_words (P, L); with gates, gate_regions (P, R) and
    gate_words (P, L).
    """
    of_regions, of_words = _attention(images, words, words.shape[1], weights, form)
    seen = {"attention_regions": of_regions, "attention_words": of_words}
    for name, side, own, message in (
        ("regions", "image", images, of_regions @ words),
        ("words", "text", words, of_words @ images),
    ):
        vectors, gate = _passed_on(own, message, weights, side, form)
        seen[f"pooling_{name}"] = _share(vectors, weights, side, form)
        if gate is not None:
            seen[f"gate_{name}"] = gate[:, :, 0]
    return seen


def _score(
    images: Float[Tensor, "I R D"],
    words: Float[Tensor, "I L D"],
    length: int,
    weights: dict[str, Tensor],
    form: ReleasedForm,
) -> Float[Tensor, " I"]:
    of_regions, of_words = _attention(images, words, length, weights, form)
    region_messages, word_messages = of_regions @ words, of_words @ images
    to_regions, _ = _passed_on(images, region_messages, weights, "image", form)
    to_words, _ = _passed_on(words, word_messages, weights, "text", form)
    shares, word_shares = _share(to_regions, weights, "image", form), _share(to_words, weights, "text", form)
    image, text = (
        torch.bmm(share[:, None], vectors)[:, 0] for share, vectors in ((shares, to_regions), (word_shares, to_words))
    )
    if not form.gated:
        return row_cosine(image, text)
    if form.normalized:
        image, text = l2norm(image), l2norm(text)
    both = torch.cat((image, text), 1) if form.fusion == "concat" else image + text
    hidden = (both @ weights["hidden"] + weights["hidden_bias"]).relu()
    logit = hidden @ weights["out"] + weights["out_bias"]
    if form.similarity == "none":
        return logit
    agreement = None
    if form.similarity == "agreement":
        of_image = (shares * row_cosine(images, region_messages)).sum(1)
        agreement = of_image, (word_shares * row_cosine(words, word_messages)).sum(1)
    return logit + added_similarity(weights["similarity"], image, text, agreement)


def _attention(
    images: Float[Tensor, "I R D"],
    words: Float[Tensor, "I L D"],
    length: int,
    weights: dict[str, Tensor],
    form: ReleasedForm,
) -> tuple[Float[Tensor, "I R L"], Float[Tensor, "I L R"]]:
    """Return how much of each word goes to each region, and of each region to each word; words beyond `length` give
    nothing to anything.
    """
    image_keys, text_keys = images @ weights["key_image"], words @ weights["key_text"]
    image_queries, text_queries = image_keys, text_keys
    if form.own_queries:
        image_queries, text_queries = images @ weights["query_image"], words @ weights["query_text"]
    of_regions = _shares(image_queries, text_keys, length)
    of_words = _shares(text_queries, image_keys)
    if form.second:
        to_regions, to_words = of_regions @ words, of_words @ images
        queries, keys = (to_regions @ weights[f"second_{kind}_image"] for kind in ("query", "key"))
        of_regions = _shares(queries, keys) @ of_regions
        queries, keys = (to_words @ weights[f"second_{kind}_text"] for kind in ("query", "key"))
        of_words = _shares(queries, keys, length) @ of_words
    return of_regions, of_words


def _shares(
    queries: Float[Tensor, "I Q D"], keys: Float[Tensor, "I K D"], length: int | None = None
) -> Float[Tensor, "I Q K"]:
    """Return what each query takes of the first `length` keys, or of all."""
    logits = queries @ keys.transpose(1, 2) / keys.shape[2] ** 0.5
    if length is not None:
        logits = logits.masked_fill(torch.arange(logits.shape[2], device=logits.device) >= length, -torch.inf)
    shares: Tensor = logits.softmax(2)
    return shares


def _passed_on(
    own: Float[Tensor, "I P D"],
    message: Float[Tensor, "I P D"],
    weights: dict[str, Tensor],
    side: str,
    form: ReleasedForm,
) -> tuple[Float[Tensor, "I P D"], Float[Tensor, "I P 1"] | None]:
    """Return what is pooled of a side, messages or vectors fused with them, and the gates if there are any."""
    if form.normalized:
        message = l2norm(message)
    if not form.gated:
        return message, None
    gate = (own * message).sum(2, keepdim=True).sigmoid()
    mixed = gate * (torch.cat((own, message), 2) if form.fusion == "concat" else own + message)
    fused = mixed @ weights[f"fuse_{side}"]
    if form.fusion_bias:
        fused = fused + weights[f"fuse_{side}_bias"]
    return fused.relu() + own, gate


def _share(
    vectors: Float[Tensor, "I P D"], weights: dict[str, Tensor], side: str, form: ReleasedForm
) -> Float[Tensor, "I P"]:
    """Return how much each place counts in the pooled vector."""
    if form.pooling == "mean":
        return vectors.new_full(vectors.shape[:2], 1 / vectors.shape[1])
    hidden = (vectors @ weights[f"pool_{side}"] + weights[f"pool_{side}_bias"]).relu()
    share: Tensor = (hidden @ weights[f"heads_{side}"]).softmax(1).mean(2)
    return share
