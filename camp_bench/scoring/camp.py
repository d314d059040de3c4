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

from camp_bench.scoring.common import word_mask
from camp_bench.scoring.recompute import score_tile
from camp_bench.shapes import Bool, Float, Int

__all__ = ["camp_tile"]


def camp_tile(
    images: Float[Tensor, "I R D"],
    image_keys: Float[Tensor, "I R H"],
    captions: Float[Tensor, "C L D"],
    caption_keys: Float[Tensor, "C L H"],
    lengths: Int[Tensor, " C"],
    weights: dict[str, Tensor],
) -> Float[Tensor, "I C"]:
    """Return the logit of the match score of every pair; `weights` as in `camp_plain`, `lengths` best on the CPU.

    Equal to `camp_plain` up to rounding, gradients included.
    """
    used = {name: weight for name, weight in weights.items() if not name.startswith("key_")}

    def tile(images: Sequence[Tensor], captions: Sequence[Tensor], shared: Sequence[Tensor]) -> Tensor:
        named = dict(zip(used, shared, strict=True))
        words, keys, lengths = captions
        own_logits = images[0] @ named["attend_image"]
        columns = [
            _score(images[0], images[1], own_logits, words[row : row + 1, :n], keys[row : row + 1, :n], None, named)
            for row, n in enumerate(lengths.tolist())
        ]
        return torch.stack(columns, 1)

    def pairs(images: Sequence[Tensor], captions: Sequence[Tensor], shared: Sequence[Tensor]) -> Tensor:
        named = dict(zip(used, shared, strict=True))
        words, keys, lengths = captions
        mask = word_mask(lengths.to(words.device), words.shape[1])
        return _score(images[0], images[1], images[0] @ named["attend_image"], words, keys, mask, named)

    return score_tile(tile, pairs, (images, image_keys), (captions, caption_keys, lengths), tuple(used.values()))


def _score(
    images: Float[Tensor, "P R D"],
    image_keys: Float[Tensor, "P R H"],
    image_logits: Float[Tensor, "P R"],
    words: Float[Tensor, "N L D"],
    word_keys: Float[Tensor, "N L H"],
    mask: Bool[Tensor, "P L"] | None,
    weights: dict[str, Tensor],
) -> Float[Tensor, " P"]:
    """Score P images with one caption each (N = P), or all with the same one (N = 1, no mask)."""
    pairs, regions, dim = images.shape
    scaled = word_keys * word_keys.shape[2] ** -0.5
    if mask is None:
        table = (scaled[0] @ image_keys.reshape(pairs * regions, -1).T).view(-1, pairs, regions)
        to_regions = (table.softmax(0).flatten(1).T @ words[0]).view(pairs, regions, dim)
        to_words = table.softmax(2).transpose(0, 1) @ images
    else:
        table = scaled @ image_keys.transpose(1, 2)
        real = table.masked_fill(~mask[:, :, None], -torch.inf)
        to_regions, to_words = real.softmax(1).transpose(1, 2) @ words, table.softmax(2) @ images
    fused_image, share_image = _fuse(images, to_regions, image_logits, None, weights, "image")
    fused_text, share_text = _fuse(words, to_words, words @ weights["attend_text"], mask, weights, "text")
    own_text = share_text @ words[0] if mask is None else torch.bmm(share_text[:, None], words)[:, 0]
    pooled = fused_image + fused_text + torch.bmm(share_image[:, None], images)[:, 0] + own_text
    hidden = torch.addmm(weights["hidden_bias"], pooled, weights["hidden"]).relu_()
    return hidden @ weights["out"] + weights["out_bias"]


def _fuse(
    own: Tensor,
    message: Float[Tensor, "P K D"],
    own_logits: Tensor,
    mask: Tensor | None,
    weights: dict[str, Tensor],
    side: str,
) -> tuple[Float[Tensor, "P D"], Float[Tensor, "P K"]]:
    """Gate, fuse, transform and pool, but for the residual; return the pooled vectors and the attention that pooled."""
    places, dim = message.shape[1:]
    gated: Tensor = _Gate.apply(own, message)  # type: ignore[no-untyped-call]
    fused = torch.addmm(weights[f"fuse_{side}_bias"], gated.view(-1, dim), weights[f"fuse_{side}"]).relu_()
    logits = (fused @ weights[f"attend_{side}"]).view(-1, places) + own_logits
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    share = (logits * dim**-0.5).softmax(1)
    return torch.bmm(share[:, None], fused.view(-1, places, dim))[:, 0], share


class _Gate(torch.autograd.Function):
    """sigmoid(own * message) * (own + message), which keeps no more than its arguments; own may be 1 long in dimension 0."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, message: Tensor) -> Tensor:
        ctx.save_for_backward(own, message)
        return (own * message).sigmoid_().mul_(own + message)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        own, message = ctx.saved_tensors
        gate = (own * message).sigmoid_()
        through_sum = gradient * gate
        through_gate = (1 - gate).mul_(own + message).mul_(through_sum)
        to_own = torch.addcmul(through_sum, through_gate, message)
        return to_own.sum_to_size(own.shape), through_sum.addcmul_(through_gate, own)
