"""CAMP's message passing for all pairs of a tile (Wang et al., ICCV 2019, eq. 1-11), the paper's own form.

Because the gate is element-wise, one D x D product a region and a word stays for every pair: that is the model's own
cost, and the rest is kept small beside it. Keys, and the share of an item's own vectors in its attention logits, are
made once an item; residuals are added after pooling, since sum a (f + own) = sum a f + sum a own. One caption meets all
images of the tile at a time: no padding, no masks, and temporaries of I x R x D numbers that stay in cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from camp_bench.machine.product import product, product_relu
from camp_bench.machine.threads import spread
from camp_bench.models.camp.plain import WHOLE, CampForm
from camp_bench.models.norms import row_cosine, word_mask
from camp_bench.models.recompute import score_tile
from camp_bench.models.similarity import added_similarity
from camp_bench.shapes import Bool, Float, Int

__all__ = ["camp_tile"]

GROUP = 8
"""Captions whose pooled vectors go through the scorer together."""


def camp_tile(
    images: Float[Tensor, "I R D"],
    image_keys: Float[Tensor, "I R H"],
    captions: Float[Tensor, "C L D"],
    caption_keys: Float[Tensor, "C L H"],
    lengths: Int[Tensor, " C"],
    weights: dict[str, Tensor],
    form: CampForm = WHOLE,
) -> Float[Tensor, "I C"]:
    """Return the match score of every pair; `weights` and scores as in `camp_plain`, `lengths` best on the CPU.

    Equal to `camp_plain` up to rounding, gradients included.
    """
    used = {name: weight for name, weight in weights.items() if not name.startswith("key_")}

    def tile(images: Sequence[Tensor], captions: Sequence[Tensor], shared: Sequence[Tensor]) -> Tensor:
        named = dict(zip(used, shared, strict=True))
        (regions, region_keys), (words, keys, lengths) = images, captions
        own_logits = _own_logits(regions, named, "image", form)

        def some(start: int) -> Tensor:
            pooled = []
            for row in range(start, min(start + GROUP, len(words))):
                one, real = slice(row, row + 1), slice(int(lengths[row]))
                said = words[one, real], keys[one, real]
                pooled.append(_pooled(regions, region_keys, own_logits, *said, None, named, form))
            image, text = (torch.stack(side, 1).flatten(0, 1) for side in zip(*pooled, strict=True))
            return _score(image, text, named, form).view(-1, len(pooled))

        return torch.cat(list(spread(some, range(0, len(words), GROUP), words.device)), 1)

    def pairs(images: Sequence[Tensor], captions: Sequence[Tensor], shared: Sequence[Tensor]) -> Tensor:
        named = dict(zip(used, shared, strict=True))
        (regions, region_keys), (words, keys, lengths) = images, captions
        mask = word_mask(lengths.to(words.device), words.shape[1])
        own_logits = _own_logits(regions, named, "image", form)
        return _score(*_pooled(regions, region_keys, own_logits, words, keys, mask, named, form), named, form)

    return score_tile(tile, pairs, (images, image_keys), (captions, caption_keys, lengths), tuple(used.values()))


def _score(
    image: Float[Tensor, "P E"], text: Float[Tensor, "P E"], weights: dict[str, Tensor], form: CampForm
) -> Float[Tensor, " P"]:
    """Score the pooled vectors of pairs, as `_pooled` gives them."""
    if form.score == "cosine":
        return row_cosine(image, text)
    agreement = None
    if form.similarity == "agreement":  # their last numbers
        agreement = image[:, -1], text[:, -1]
        image, text = image[:, :-1], text[:, :-1]
    hidden = product_relu(image + text, weights["hidden"].T, weights["hidden_bias"])
    logit = hidden @ weights["out"] + weights["out_bias"]
    if form.similarity == "none":
        return logit
    return logit + added_similarity(weights["similarity"], image, text, agreement)


def _pooled(
    images: Float[Tensor, "P R D"],
    image_keys: Float[Tensor, "P R H"],
    image_logits: Float[Tensor, "P R"] | None,
    words: Float[Tensor, "N L D"],
    word_keys: Float[Tensor, "N L H"],
    mask: Bool[Tensor, "P L"] | None,
    weights: dict[str, Tensor],
    form: CampForm,
) -> tuple[Float[Tensor, "P E"], Float[Tensor, "P E"]]:
    """Pool both sides of P images with one caption each (N = P), or all with the same one (N = 1, no mask).

    Where the scorer wants it, the agreement with the messages stands behind each pooled vector: D + 1 numbers.
    """
    if form.attention:
        to_regions, to_words = _attend(images, image_keys, words, word_keys, mask)
    else:
        shares = _even(mask, words)
        to_regions = torch.bmm(shares.expand(len(words), 1, -1), words).expand(images.shape)
        to_words = images.mean(1, keepdim=True).expand(-1, words.shape[1], -1)
    image = _fuse(images, to_regions, image_logits, None, weights, "image", form)
    text = _fuse(words, to_words, _own_logits(words, weights, "text", form), mask, weights, "text", form)
    return image, text


def _own_logits(
    own: Float[Tensor, "N K D"], weights: dict[str, Tensor], side: str, form: CampForm
) -> Float[Tensor, "N K"] | None:
    """Return the share of the residual in the logits of the attention that pools, None where there is none."""
    return own @ weights[f"attend_{side}"] if form.residual and form.pooling == "attention" else None


def _attend(
    images: Float[Tensor, "P R D"],
    image_keys: Float[Tensor, "P R H"],
    words: Float[Tensor, "N L D"],
    word_keys: Float[Tensor, "N L H"],
    mask: Bool[Tensor, "P L"] | None,
) -> tuple[Float[Tensor, "P R D"], Float[Tensor, "P L D"]]:
    """Return the message to each region and to each word."""
    pairs, regions, dim = images.shape
    scaled = word_keys * word_keys.shape[2] ** -0.5
    if mask is None:
        table = product(scaled[0], image_keys.flatten(0, 1)).view(-1, pairs, regions)
        to_regions = product(table.softmax(0).flatten(1).T, words[0].T).view(pairs, regions, dim)
        return to_regions, table.softmax(2).transpose(0, 1) @ images
    table = scaled @ image_keys.transpose(1, 2)
    real = table.masked_fill(~mask[:, :, None], -torch.inf)
    return real.softmax(1).transpose(1, 2) @ words, table.softmax(2) @ images


def _fuse(
    own: Float[Tensor, "N K D"],
    message: Float[Tensor, "P K D"],
    own_logits: Float[Tensor, "N K"] | None,
    mask: Bool[Tensor, "P K"] | None,
    weights: dict[str, Tensor],
    side: str,
    form: CampForm,
) -> Float[Tensor, "P E"]:
    """Gate, fuse, transform, add the residual and pool."""
    pairs, places, dim = message.shape
    mixed = _mix(own, message, form)
    fused = product_relu(mixed.flatten(0, 1), weights[f"fuse_{side}"].T, weights[f"fuse_{side}_bias"])
    if form.pooling == "attention":
        logits = (fused @ weights[f"attend_{side}"]).view(pairs, places)
        logits = (logits if own_logits is None else logits + own_logits) * dim**-0.5
        share = (logits if mask is None else logits.masked_fill(~mask, -torch.inf)).softmax(1)
    else:
        share = _even(mask, message)[:, 0].expand(pairs, places)
    pooled = torch.bmm(share[:, None], fused.view(pairs, places, dim))[:, 0]
    if form.residual:
        pooled = pooled + (share @ own[0] if len(own) < pairs else torch.bmm(share[:, None], own)[:, 0])
    if form.similarity != "agreement":
        return pooled
    return torch.cat((pooled, (share * row_cosine(own, message)).sum(1, keepdim=True)), 1)


def _mix(own: Tensor, message: Tensor, form: CampForm) -> Tensor:
    """Return what goes into the fusing layer, (P, K, D), or (P, K, 2 D) for concat."""
    if form.gates == "element" and form.fusion == "sum":
        gated: Tensor = _Gate.apply(own, message)  # type: ignore[no-untyped-call]
        return gated
    if form.fusion == "concat":
        mixed = torch.cat((own.expand(message.shape), message), 2)
    else:
        mixed = own * message if form.fusion == "product" else own + message
    if form.gates == "none":
        return mixed
    if form.gates == "scalar":
        return mixed * (own * message).sum(2, keepdim=True).sigmoid()
    gate = (own * message).sigmoid()
    return mixed * (torch.cat((gate, gate), 2) if form.fusion == "concat" else gate)


def _even(mask: Bool[Tensor, "P K"] | None, items: Float[Tensor, "N K D"]) -> Float[Tensor, "_ 1 K"]:
    """Return equal shares of the real places, (P, 1, K), or (1, 1, K) where all are real."""
    if mask is None:
        return items.new_full((1, 1, items.shape[1]), 1 / items.shape[1])
    real = mask.to(items.dtype)
    return (real / real.sum(1, keepdim=True))[:, None]


class _Gate(torch.autograd.Function):
    """sigmoid(own * message) * (own + message), in as few passes as it goes; dimension 0 of own may be 1."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, message: Tensor) -> Tensor:
        gate = (own * message).sigmoid_()
        ctx.save_for_backward(own, message, gate)
        return (own + message).mul_(gate)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        own, message, gate = ctx.saved_tensors
        through_gate = torch.ops.aten.sigmoid_backward((own + message).mul_(gradient), gate)
        through_sum = gradient * gate
        to_own = torch.addcmul(through_sum, through_gate, message)
        return to_own.sum_to_size(own.shape), through_sum.addcmul_(through_gate, own)
