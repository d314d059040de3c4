"""SCAN's stacked cross attention for all pairs of a tile at once, without ever building a context vector.

A context is a mixture of given vectors, so its product with the query is a row of A * S and its square length A G A^T,
with the Gram table G of the context's side made once an item. What is left that is D wide for a pair is the product S.
The weights A stay unscaled, since their sum cancels out of the cosine.

Captions lie one behind the other without padding, and a piece of the tile, some images with some captions, is scored
from beginning to end while its tables are in cache. In float32 on a CPU, compiled loops take over at the product S
(`scan_lanes`): torch's passes over S, one an operation, cost twice to four times as much. What follows here serves all
else: GPUs, float64, half precision, and pairs whose contexts cancel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from camp_bench.machine.devices import float32_on_cpu
from camp_bench.machine.product import product
from camp_bench.machine.threads import cut, spread
from camp_bench.models.norms import EPSILON, norm_from_square, word_mask
from camp_bench.models.scan.axes import Axis, PackedAxis, PaddedAxis, RegionAxis
from camp_bench.models.scan.lanes import Lanes, pad_gram, sort_captions
from camp_bench.models.scan.loops import CANCELLATION, NORMS, POOLINGS, Codes
from camp_bench.models.scan.packing import Pack, pack_captions
from camp_bench.shapes import Bool, Float, Int

__all__ = ["CANCELLATION", "ENTRIES", "ScanForm", "gram", "scan_pairs", "scan_tile"]

BOUNDED = 30.0
"""Up to this lambda, exponentials of normalised affinities need no shift: squared and summed they fit into float32."""
WORDS, BLOCK = 384, 48
"""Words of a piece that torch scores, and of a block of captions whose Gram tables are multiplied as one."""
ENTRIES = 32 * 36 * WORDS
"""Numbers in the affinity table of a piece. These sizes are fixed, since float sums depend on them."""
PAIRS = 64
"""How many pairs whose contexts cancel are scored at a time."""


@dataclass(frozen=True, slots=True)
class ScanForm:
    """direction: `t2i` (words attend to regions) or `i2t`. The others: as in `scan_plain`."""

    direction: str
    pooling: str
    norm: str
    lambda_attention: float
    lambda_pooling: float


def gram(vectors: Float[Tensor, "N K D"]) -> Float[Tensor, "N K K"]:
    """Return the inner products of each item's vectors with one another, in float32 at least."""
    with torch.autocast(vectors.device.type, enabled=False):
        wide = _wide(vectors)
        return wide @ wide.transpose(1, 2)


def scan_tile(
    images: Float[Tensor, "I R D"],
    captions: Float[Tensor, "C L D"],
    lengths: Int[Tensor, " C"],
    context_gram: Float[Tensor, "N K K"],
    form: ScanForm,
) -> Float[Tensor, "I C"]:
    """Return the similarity of every image with every caption, equal to `scan_plain` up to rounding.

    context_gram: of the images for t2i (N = I, K = R), of the captions for i2t (N = C, K = L). Beyond its length a
    caption holds zero vectors. `lengths` best lies on the CPU.
    """
    known = lengths.tolist()
    words_ask = form.direction == "t2i"
    packs: Sequence[Lanes | _Words]
    if float32_on_cpu(images, captions):  # as the compiled loops take them
        codes = _codes(form)
        grams = pad_gram(context_gram) if words_ask else None
        in_order = sort_captions(known)
        packs = list(spread(lambda pack: Lanes(pack, captions, known, context_gram, codes), in_order, images.device))
    else:
        grams = context_gram if words_ask else None
        width = max(WORDS if words_ask else BLOCK, *known)
        packed = pack_captions(known, width, max(1, WORDS // width))
        packs = list(spread(lambda pack: _Words(pack, captions, context_gram, form), packed, images.device))

    def score(piece: tuple[slice, Lanes | _Words]) -> tuple[Tensor, Tensor]:
        rows, words = piece
        return words.score(images[rows], None if grams is None else grams[rows])

    most = [max(1, ENTRIES // (images.shape[1] * len(words.vectors))) for words in packs]
    bands = [[slice(*band) for band in cut(len(images), -(-len(images) // own))] for own in most]
    pieces = [(rows, words) for own, words in zip(bands, packs, strict=True) for rows in own]
    done = iter(list(spread(score, pieces, images.device)))
    parts = [list(zip(*itertools.islice(done, len(own)), strict=True)) for own in bands]
    scores, cancelled = (torch.cat([torch.cat(pack[part]) for pack in parts], 1) for part in (0, 1))
    order = torch.cat([words.captions for words in packs]).argsort()
    scores, (i, c) = scores[:, order], cancelled[:, order].nonzero(as_tuple=True)  # here alone, a GPU is waited for
    if len(i) == 0:
        return scores
    tables = context_gram[i if words_ask else c]
    exact = [
        scan_pairs(images[i[some]], captions[c[some]], lengths[c[some].to(lengths.device)], tables[some], form)
        for some in (slice(start, start + PAIRS) for start in range(0, len(i), PAIRS))
    ]
    return scores.index_put((i, c), torch.cat(exact))


def _codes(form: ScanForm) -> Codes:
    kind = form.norm.removeprefix("clipped_")
    return Codes(
        words_ask=form.direction == "t2i",
        clipped=form.norm.startswith("clipped"),
        norm=NORMS.index("none" if kind == "clipped" else kind),
        pooling=POOLINGS.index(form.pooling),
        sharpness=form.lambda_attention,
        pooling_sharpness=form.lambda_pooling,
        shifted=_shifts(form),
    )


def _shifts(form: ScanForm) -> bool:
    """Tell whether logits need the greatest of them subtracted, so that exponentials stay finite."""
    return form.norm in ("clipped", "none") or form.lambda_attention > BOUNDED


def scan_pairs(
    images: Float[Tensor, "P R D"],
    captions: Float[Tensor, "P L D"],
    lengths: Int[Tensor, " P"],
    context_gram: Float[Tensor, "P K K"],
    form: ScanForm,
) -> Float[Tensor, " P"]:
    """Return the similarity of each image with its partner among the captions; arguments as in `scan_tile`."""
    longest = int(lengths.max())
    captions = captions[:, :longest]
    table = _wide(images @ captions.transpose(1, 2))
    with torch.autocast(images.device.type, enabled=False):
        images, captions = _wide(images), _wide(captions)
        words = PaddedAxis(word_mask(lengths.to(images.device), longest))
        regions = RegionAxis(images.shape[1])
        if form.direction == "t2i":
            norms = torch.linalg.vector_norm(captions, dim=2)[:, None]
            scores, _ = _similarity(
                table,
                form,
                query=words,
                context=regions,
                query_norms=norms,
                longest=_longest(context_gram),
                mix=lambda weights: context_gram @ weights,
                exact=lambda weights: (weights.transpose(1, 2) @ images).square().sum(2)[:, None],
            )
        else:
            word_gram = context_gram[:, :longest, :longest]
            scores, _ = _similarity(
                table,
                form,
                query=regions,
                context=words,
                query_norms=torch.linalg.vector_norm(images, dim=2, keepdim=True),
                longest=_longest(word_gram),
                mix=lambda weights: weights @ word_gram,
                exact=lambda weights: (weights @ captions).square().sum(2, keepdim=True),
            )
    return scores[:, 0]


class _Words:
    """The words of some captions, side by side, (W, D), with what all images need of them."""

    def __init__(self, pack: Pack, captions: Tensor, context_gram: Tensor, form: ScanForm) -> None:
        columns, longest = len(pack.captions), captions.shape[1]
        self._form = form
        item = torch.cat((pack.captions, pack.captions[:1]))[pack.owner]  # that of the first where places are blank
        place = (item * longest + pack.position).to(captions.device)
        owner = pack.owner.to(captions.device)
        self.columns, self.captions = columns, pack.captions.to(captions.device)
        self.axis = PackedAxis(owner, columns + pack.blank, _wide(captions[:0]).dtype)
        self.vectors = captions.flatten(0, 1).index_select(0, place)
        if form.direction == "t2i":
            self.norms = torch.linalg.vector_norm(_wide(self.vectors), dim=1)
            return
        row, own = place.view(pack.blocks, -1), owner.view(pack.blocks, -1)
        position = pack.position.to(captions.device).view(pack.blocks, 1, -1)
        same = own[:, :, None] == own[:, None]
        self.grams = context_gram.flatten()[row[:, :, None] * longest + position] * same
        self.longest = functional.pad(_longest(context_gram)[self.captions, 0, 0], (0, int(pack.blank)))

    def mix(self, weights: Float[Tensor, "G R W"]) -> Float[Tensor, "G R W"]:
        """Multiply the weights of each caption's words by its Gram table."""
        blocks, width, _ = self.grams.shape
        mixed = torch.bmm(weights.reshape(-1, blocks, width).transpose(0, 1), self.grams)
        return mixed.transpose(0, 1).reshape(weights.shape)

    def score(
        self, images: Float[Tensor, "G R D"], image_gram: Float[Tensor, "G R R"] | None
    ) -> tuple[Float[Tensor, "G C"], Bool[Tensor, "G C"]]:
        """Score images with the captions, and tell which pairs have a context that cancels."""
        groups, regions, _ = images.shape
        table = _wide(product(images.flatten(0, 1), self.vectors)).view(groups, regions, -1)
        axis = RegionAxis(regions)
        with torch.autocast(images.device.type, enabled=False):
            if image_gram is None:
                scores, cancelled = _similarity(
                    table,
                    self._form,
                    query=axis,
                    context=self.axis,
                    query_norms=torch.linalg.vector_norm(_wide(images), dim=2, keepdim=True),
                    longest=self.longest,
                    mix=self.mix,
                )
            else:
                scores, cancelled = _similarity(
                    table,
                    self._form,
                    query=self.axis,
                    context=axis,
                    query_norms=self.norms,
                    longest=_longest(image_gram),
                    mix=lambda weights: image_gram @ weights,
                )
        return scores[:, : self.columns], cancelled[:, : self.columns]


def _similarity(
    table: Float[Tensor, "G R W"],
    form: ScanForm,
    *,
    query: Axis,
    context: Axis,
    query_norms: Tensor,
    longest: Tensor,
    mix: Callable[[Tensor], Tensor],
    exact: Callable[[Tensor], Tensor] | None = None,
) -> tuple[Float[Tensor, "G C"], Bool[Tensor, "G C"]]:
    """Return the pooled cosines of queries with their contexts, and where a context cancels.

    longest: the greatest square length of an item's context vectors. mix: multiplies weights by Gram tables. exact:
    gives square lengths of the contexts themselves, to be used where they cancel.
    """
    weights = _attention(table, query, context, form)
    total = context.sum(weights)
    square = context.sum(_times(mix(weights), weights))
    with torch.no_grad():
        cancelled = square < CANCELLATION * longest * total * total
    if exact is not None and bool(cancelled.any()):
        square = torch.where(cancelled, exact(weights), square)
    norms = query_norms * norm_from_square(square)
    relevance = context.sum(_times(weights, table)) / torch.maximum(norms, EPSILON * total)
    return _pool(relevance, query, form)[:, 0], (query.sum(cancelled.to(table.dtype)) > 0)[:, 0]


def _attention(table: Float[Tensor, "G R W"], query: Axis, context: Axis, form: ScanForm) -> Float[Tensor, "G R W"]:
    """Return the exponentials of lambda N(table), up to a factor that all weights of a query have in common."""
    norm, sharpness = form.norm, form.lambda_attention * math.log2(math.e)
    clipped = functional.leaky_relu(table, 0.1) if norm.startswith("clipped") else table
    if norm == "softmax":
        powers = query.hide(table - query.spread(query.amax(table.detach()))).exp()
        logits = _times(powers, query.spread(sharpness / query.sum(powers)))
    elif norm.endswith("l2norm"):
        length = norm_from_square(query.sum(clipped * clipped))
        logits = clipped * query.spread(sharpness / (length + EPSILON).masked_fill(length == 0, torch.inf))
    elif norm.endswith("l1norm"):
        logits = clipped * query.spread(sharpness / (query.sum(clipped.abs()) + EPSILON))
    else:
        logits = clipped * sharpness
    if _shifts(form):
        logits = logits - context.spread(context.amax(logits.detach()))
    logits = context.hide(logits)
    return logits.exp2() if torch.is_grad_enabled() else logits.exp2_()


def _times(a: Tensor, b: Tensor) -> Tensor:
    """Return a * b, which may stand in place of a where no gradient is recorded."""
    return a * b if torch.is_grad_enabled() else a.mul_(b)


def _pool(relevance: Tensor, query: Axis, form: ScanForm) -> Tensor:
    if form.pooling == "max":
        return query.amax(relevance)
    if form.pooling == "lse" and form.lambda_pooling <= BOUNDED:
        return query.sum(query.hide(form.lambda_pooling * relevance).exp()).log() / form.lambda_pooling
    if form.pooling == "lse":
        top = query.amax(relevance.detach())
        powers = query.hide(form.lambda_pooling * (relevance - query.spread(top))).exp()
        return query.sum(powers).log() / form.lambda_pooling + top
    total = query.sum(relevance)
    return total / query.count if form.pooling == "avg" else total


def _longest(table: Float[Tensor, "N K K"]) -> Float[Tensor, "N 1 1"]:
    """Return the greatest square length of each item's vectors, from their Gram table."""
    return table.detach().diagonal(dim1=1, dim2=2).amax(1)[:, None, None]


def _wide(x: Tensor) -> Tensor:
    """Return numbers of half precision in float32, others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
