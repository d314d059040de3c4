"""CAMP's four released measures for all pairs of a tile, with every linear layer that can be made once an item.

A message is a mixture of the other side's vectors, and so is a message of messages. Its coefficients are a small table
(regions x words), and a linear layer of a mixture is the mixture of the layer: so keys, queries, the message's half of
the fusing layer and the second attention's logits, A (T Wq Wk^T T^T) A^T, need no D x D product for a pair. Lengths and
products come from Gram tables, and a gate that is one number a place passes through the fusing layer. What stays is the
hidden layer of the attention that pools, 2 (R + L) D^2 operations a pair, in the gated forms alone.

The zero words of a padded caption all do the same: they are one word, which counts for all of them in the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from camp_bench.machine.product import product, product_relu
from camp_bench.machine.threads import spread
from camp_bench.models.camp_released.plain import PADDED_WORDS, ReleasedForm
from camp_bench.models.norms import EPSILON, l2norm, norm_from_square, row_cosine, word_mask
from camp_bench.models.recompute import score_tile
from camp_bench.models.similarity import added_similarity
from camp_bench.shapes import Float, Int

__all__ = ["GROUP", "camp_released_tile", "prepare_captions", "prepare_images"]

GROUP = 8
"""Captions that meet the images together where no more than small tables are made, and in the last two layers."""
CANCELLATION = 1e-2
"""Below this share of (sum of a_k |v_k|)^2, a mixture's square length is computed from the mixture itself."""
PLACES = 256
"""Mixtures that are made at a time for it, each from vectors of its own."""

_Tensors = dict[str, Tensor]


def prepare_images(regions: Float[Tensor, "I R D"], weights: _Tensors, form: ReleasedForm) -> _Tensors:
    """Return what all pairs of an image share; `weights` as in `camp_released_plain`."""
    return {"vectors": regions} | _prepare(regions, weights, form, "image", "text")


def prepare_captions(
    words: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"], weights: _Tensors, form: ReleasedForm
) -> _Tensors:
    """Return what all pairs of a caption share. What stands beyond a caption's length doesn't count.

    probes: (C, L, 2 or 3, D), what gives logits when multiplied with regions, and last the words themselves. bias:
    (C, L), added to the logits of what a word gives, minus infinity where there is none. mean: (C, L), how much a word
    counts in a mean. lengths: on the CPU, how many words there are, the zero words one of them.
    """
    if form.padded:
        words = functional.pad(words, (0, 0, 0, 1))
    real = word_mask(lengths.to(words.device), words.shape[1])
    words = words * real[:, :, None]
    bias = torch.zeros(real.shape, dtype=words.dtype, device=words.device).masked_fill(~real, -torch.inf)
    shared = {"bias": bias}
    if form.pooling == "mean":
        mean = real.to(words.dtype)
        if form.padded:
            rows, ends = torch.arange(len(words), device=words.device), lengths.to(words.device)
            mean[rows, ends] = (PADDED_WORDS - ends).clamp_min(0).to(words.dtype)
            lengths = lengths + 1
        shared["mean"] = mean / mean.sum(1, keepdim=True)
    keys, scale = _layer(words, weights["key_text"]), words.shape[2] ** -0.5
    if form.own_queries:
        queries = _layer(words, weights["query_text"])
        probes = [_layer(keys, weights["query_image"].T), _layer(queries, weights["key_image"].T)]
    else:
        probes = [_layer(keys, weights["key_image"].T)]
    stacked = torch.stack([*(scale * probe for probe in probes), words], 2)
    shared |= {"probes": stacked, "lengths": lengths}
    return shared | _prepare(words, weights, form, "text", "image")


def _prepare(vectors: Float[Tensor, "N K D"], weights: _Tensors, form: ReleasedForm, side: str, other: str) -> _Tensors:
    """Return the tables of one side's vectors, and what they send to the other side through its layers."""
    prepared = {}
    if form.normalized or form.similarity == "agreement":
        prepared["gram"] = vectors @ vectors.transpose(1, 2)
    if form.second:
        queries = _layer(vectors, weights[f"second_query_{other}"])
        keys = _layer(vectors, weights[f"second_key_{other}"])
        prepared["affinity"] = queries @ keys.transpose(1, 2) * vectors.shape[2] ** -0.5
    if form.gated:
        dim = vectors.shape[2]
        if form.similarity == "agreement":
            prepared["length"] = torch.linalg.vector_norm(vectors, dim=2)
        prepared["own"] = _layer(vectors, weights[f"fuse_{side}"][:dim])
        # the same layer twice where vectors are added
        prepared["sent"] = _layer(vectors, weights[f"fuse_{other}"][-dim:])
    elif form.pooling == "attention":
        prepared["sent"] = _layer(vectors, weights[f"pool_{other}"])
    return prepared


def _layer(vectors: Float[Tensor, "N K D"], weight: Float[Tensor, "D E"]) -> Float[Tensor, "N K E"]:
    return product(vectors.flatten(0, 1), weight.T).view(*vectors.shape[:2], -1)


def camp_released_tile(
    images: _Tensors, captions: _Tensors, weights: _Tensors, form: ReleasedForm
) -> Float[Tensor, "I C"]:
    """Return the match score of every pair of prepared items, equal to `camp_released_plain` up to rounding."""
    used = {name: weight for name, weight in weights.items() if name.startswith(_AFTER)}
    names = tuple(images), tuple(captions), tuple(used)

    def named(*values: Sequence[Tensor]) -> list[_Tensors]:
        return [dict(zip(of, some, strict=True)) for of, some in zip(names, values, strict=True)]

    def tile(images: Sequence[Tensor], captions: Sequence[Tensor], shared: Sequence[Tensor]) -> Tensor:
        ours, theirs, layers = named(images, captions, shared)
        lengths = theirs.pop("lengths").tolist()
        each = {name: value[None] for name, value in ours.items()}

        def some(start: int) -> Tensor:
            together = slice(start, start + GROUP)
            group = _cut(theirs, together, max(lengths[together]))
            logits = _multiply(_needed(group["probes"], form), ours["vectors"])
            attended = _attend(logits, each, {name: value[:, None] for name, value in group.items()}, form)
            met = [
                _meet(attended.of(row, length), ours, _cut(group, slice(row, row + 1), length), layers, form)
                for row, length in enumerate(lengths[together])
            ]
            return _finish(torch.stack(met, 1), layers, form)

        return torch.cat(list(spread(some, range(0, len(lengths), GROUP), images[0].device)), 1)

    def pairs(images: Sequence[Tensor], captions: Sequence[Tensor], shared: Sequence[Tensor]) -> Tensor:
        ours, theirs, layers = named(images, captions, shared)
        theirs = _cut(theirs, slice(None), int(theirs.pop("lengths").max()))
        logits = _needed(theirs["probes"], form).permute(2, 0, 1, 3) @ ours["vectors"].transpose(1, 2)
        return _finish(_meet(_attend(logits, ours, theirs, form), ours, theirs, layers, form), layers, form)

    return score_tile(tile, pairs, tuple(images.values()), tuple(captions.values()), tuple(used.values()))


_AFTER = ("fuse_image_bias", "fuse_text_bias", "pool_", "heads_", "hidden", "out", "similarity")
"""The weights that pairs need, in place of what is made of the others once an item."""


class _Attended(NamedTuple):
    """What each region takes of the words, (..., R, L), and each word of the regions, (..., L, R), with the gates of
    both where there are any, (..., R, 1) and (..., L, 1), and how well regions and words agree with their messages
    where that is asked for, (..., R) and (..., L).
    """

    to_regions: Tensor
    to_words: Tensor
    region_gates: Tensor | None = None
    word_gates: Tensor | None = None
    regions_agree: Tensor | None = None
    words_agree: Tensor | None = None

    def of(self, row: int, length: int) -> _Attended:
        """Return that of one caption with its true length."""
        regions = (None if of is None else of[row] for of in (self.region_gates, self.regions_agree))
        words = (None if of is None else of[row, :, :length] for of in (self.word_gates, self.words_agree))
        (region_gates, regions_agree), (word_gates, words_agree) = regions, words
        to_regions, to_words = self.to_regions[row, ..., :length], self.to_words[row, :, :length]
        return _Attended(to_regions, to_words, region_gates, word_gates, regions_agree, words_agree)


def _cut(captions: _Tensors, rows: slice, length: int) -> _Tensors:
    """Return some captions with their first words only."""
    tables = ("gram", "affinity")
    return {
        name: value[rows, :length, :length] if name in tables else value[rows, :length]
        for name, value in captions.items()
    }


def _needed(probes: Float[Tensor, "C L all D"], form: ReleasedForm) -> Float[Tensor, "C L kinds D"]:
    """Return the probes whose products are asked for: with the words themselves only gates need them."""
    return probes if form.gated else probes[:, :, :-1]


def _multiply(probes: Float[Tensor, "C L kinds D"], vectors: Float[Tensor, "I R D"]) -> Float[Tensor, "kinds C I L R"]:
    """Return the inner products of all captions' probes with all images' vectors."""
    table = product(probes.flatten(0, 2), vectors.flatten(0, 1)).view(*probes.shape[:3], *vectors.shape[:2])
    return table.permute(2, 0, 3, 1, 4).contiguous()


def _attend(
    logits: Float[Tensor, "kinds *pairs L R"], images: _Tensors, captions: _Tensors, form: ReleasedForm
) -> _Attended:
    """Compute what takes small tables only, for many pairs at once; captions may be padded, which their bias tells.

    Before words or regions, tensors of images and captions have the dimensions of the pairs, or 1 in their place.
    """
    bias = captions["bias"][..., None]
    # a softmax over as few numbers in a row as words is slow, so those run over the dimension before
    to_regions = (logits[0] + bias).softmax(-2).transpose(-1, -2).contiguous()
    to_words = logits[int(form.own_queries)].softmax(-1)
    if form.second:
        again = to_regions @ captions["affinity"] @ to_regions.transpose(-1, -2)
        to_regions = again.softmax(-1) @ to_regions
        turned = to_words @ images["affinity"].transpose(-1, -2) @ to_words.transpose(-1, -2)
        to_words = (turned + bias).softmax(-2).transpose(-1, -2) @ to_words
    if not form.gated:
        return _Attended(to_regions, to_words)
    words, products = captions["probes"][..., -1, :], logits[-1]
    of_regions, of_words = images.get("length"), captions.get("length")
    to_regions, region_gates, regions_agree = _gate(
        to_regions, products.transpose(-1, -2), words, captions.get("gram"), of_regions, form
    )
    to_words, word_gates, words_agree = _gate(to_words, products, images["vectors"], images.get("gram"), of_words, form)
    return _Attended(to_regions, to_words, region_gates, word_gates, regions_agree, words_agree)


def _meet(attended: _Attended, images: _Tensors, captions: _Tensors, weights: _Tensors, form: ReleasedForm) -> Tensor:
    """Return what is left of P pairs before the last layers, (P, 2 D), (P, D) for the sum, or their cosines, (P,);
    one number more where the logit has a similarity added.

    Captions are P too, each the partner of an image, or one that meets all images.
    """
    if attended.region_gates is None or attended.word_gates is None:
        return _cosine(attended, images, captions, weights, form)
    bias, words = captions["bias"], captions["probes"][:, :, -1]
    mixed = _mix(attended.to_regions, captions["sent"], images["own"])
    fused = _fuse(mixed, attended.region_gates, images["vectors"], weights.get("fuse_image_bias"))
    image, share = _pool(fused, None, weights, "image")
    mixed = _mix(attended.to_words, images["sent"], captions["own"])
    fused = _fuse(mixed, attended.word_gates, words, weights.get("fuse_text_bias"))
    text, word_share = _pool(fused, bias, weights, "text")
    if form.normalized:
        image, text = l2norm(image), l2norm(text)
    met = (image, text) if form.fusion == "concat" else (image + text,)
    if form.similarity == "none":
        return torch.cat(met, 1)
    agreement = None
    if attended.regions_agree is not None and attended.words_agree is not None:
        agreement = (share * attended.regions_agree).sum(1), (word_share * attended.words_agree).sum(1)
    similarity = added_similarity(weights["similarity"], image, text, agreement)
    return torch.cat((*met, similarity[:, None]), 1)


def _finish(met: Tensor, weights: _Tensors, form: ReleasedForm) -> Tensor:
    """Put pooled vectors, (..., 2 D) or (..., D), through the last two layers; cosines are scores already."""
    if not form.gated:
        return met
    similarity: Tensor | float = 0.0
    if form.similarity != "none":
        met, similarity = met[..., :-1], met[..., -1]
    hidden = product_relu(met.flatten(0, -2), weights["hidden"].T, weights["hidden_bias"])
    return (hidden @ weights["out"] + weights["out_bias"]).view(met.shape[:-1]) + similarity


def _mix(
    table: Float[Tensor, "P K J"], vectors: Float[Tensor, "N J D"], onto: Float[Tensor, "M K D"] | None = None
) -> Float[Tensor, "P K D"]:
    """Return the mixtures that a table asks for, added to `onto` if given; N and M may be 1."""
    pairs, places, _ = table.shape
    if len(vectors) == pairs:
        return table @ vectors if onto is None else torch.baddbmm(onto.expand(pairs, -1, -1), table, vectors)
    mixed = product(table.reshape(pairs * places, -1), vectors[0].T).view(pairs, places, -1)
    return mixed if onto is None else mixed.add_(onto)


def _gate(
    table: Float[Tensor, "*pairs K J"],
    products: Float[Tensor, "*pairs K J"],
    vectors: Float[Tensor, "*#pairs J D"],
    gram: Float[Tensor, "*#pairs J J"] | None,
    own_lengths: Float[Tensor, "*#pairs K"] | None,
    form: ReleasedForm,
) -> tuple[Float[Tensor, "*pairs K J"], Float[Tensor, "*pairs K 1"], Float[Tensor, "*pairs K"] | None]:
    """Return the table of messages, of unit length where the form says so, the gate of each place, and, where lengths
    of the places' own vectors are given, their cosines with the messages.

    products: of the places' own vectors with those that the messages mix. gram: of these.
    """
    inner = (table * products).sum(-1, keepdim=True)
    if gram is None:
        return table, inner.sigmoid(), None
    length = norm_from_square(_square(table, vectors, gram))[..., None]
    agreement = None if own_lengths is None else inner[..., 0] / (own_lengths * length[..., 0]).clamp_min(EPSILON)
    if form.normalized:
        to_unit = (length + EPSILON).masked_fill(length == 0, torch.inf)
        table, inner = table / to_unit, inner / to_unit
    return table, inner.sigmoid(), agreement


def _square(
    table: Float[Tensor, "*pairs K J"], vectors: Float[Tensor, "*#pairs J D"], gram: Float[Tensor, "*#pairs J J"]
) -> Float[Tensor, "*pairs K"]:
    """Return the square length of each mixture, from the mixture itself where the Gram table's digits cancel."""
    square = ((table @ gram) * table).sum(-1)
    with torch.no_grad():
        bound = (table @ gram.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()[..., None])[..., 0].square()
        where = (square < CANCELLATION * bound).nonzero(as_tuple=True)
    if len(where[0]) == 0:
        return square
    sources = vectors.expand(*square.shape[:-1], *vectors.shape[-2:])
    exact = [
        (table[places][:, None] @ sources[places[:-1]])[:, 0].square().sum(1)
        for places in zip(*(torch.split(indices, PLACES) for indices in where), strict=True)
    ]
    return square.index_put(where, torch.cat(exact))


def _fuse(
    mixed: Float[Tensor, "P K D"],
    gate: Float[Tensor, "P K 1"],
    own: Float[Tensor, "N K D"],
    fusion_bias: Float[Tensor, " D"] | None,
) -> Float[Tensor, "P K D"]:
    """Return relu(gate * mixed + bias) + own; N may be 1. A gate is positive: without a bias it may follow the relu."""
    if fusion_bias is None:
        return torch.addcmul(own, gate, mixed.relu_())
    return torch.addcmul(fusion_bias, gate, mixed).relu_() + own


def _pool(
    fused: Float[Tensor, "P K D"], bias: Float[Tensor, "N K"] | None, weights: _Tensors, side: str
) -> tuple[Float[Tensor, "P D"], Float[Tensor, "P K"]]:
    """Return the mean over the heads of what each attends to, and how much each place counts in it; the heads are
    averaged before they meet the vectors.
    """
    hidden = product_relu(fused.flatten(0, 1), weights[f"pool_{side}"].T, weights[f"pool_{side}_bias"])
    share = _share(hidden.view(fused.shape), bias, weights[f"heads_{side}"])
    return torch.bmm(share, fused)[:, 0], share[:, 0]


def _share(
    hidden: Float[Tensor, "P K D"], bias: Float[Tensor, "N K"] | None, heads: Float[Tensor, "D H"]
) -> Float[Tensor, "P 1 K"]:
    logits = functional.linear(hidden, heads.T)
    share: Tensor = (logits if bias is None else logits + bias[:, :, None]).softmax(1).mean(2)
    return share[:, None]


def _cosine(
    attended: _Attended, images: _Tensors, captions: _Tensors, weights: _Tensors, form: ReleasedForm
) -> Float[Tensor, " P"]:
    """Return the cosine of the pooled messages of both sides, each a mixture of the other side's vectors."""
    to_regions, to_words, *_ = attended
    if form.pooling == "attention":
        hidden = (_mix(to_regions, captions["sent"]) + weights["pool_image_bias"]).relu_()
        of_words = _share(hidden, None, weights["heads_image"]) @ to_regions
        hidden = (_mix(to_words, images["sent"]) + weights["pool_text_bias"]).relu_()
        of_regions = _share(hidden, captions["bias"], weights["heads_text"]) @ to_words
    else:
        of_words = to_regions.mean(1, keepdim=True)
        of_regions = captions["mean"][:, None] @ to_words
    # the mixtures themselves, since the tables' digits cancel where those are short
    image, text = _mix(of_words, captions["probes"][:, :, -1]), _mix(of_regions, images["vectors"])
    return row_cosine(image[:, 0], text[:, 0])
