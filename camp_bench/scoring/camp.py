"""CAMP's message passing for all pairs of a tile (Wang et al., ICCV 2019, eq. 1-11), the paper's own form.

Because the gate is element-wise, one D x D product a region and a word stays for every pair: that is the model's own cost,
and the rest is kept small beside it. Keys, and the share of an item's own vectors in its attention logits, are made once an
item; residuals are added after pooling, since sum a (f + own) = sum a f + sum a own. One caption meets all images of the
tile at a time: no padding, no masks, and temporaries of I x R x D numbers that stay in cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from camp_bench.scoring.recompute import score_tile
from camp_bench.shapes import Float, Int

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

    def score(images: Sequence[Tensor], captions: Sequence[Tensor], shared: Sequence[Tensor]) -> Tensor:
        named = dict(zip(weights, shared, strict=True))
        words, keys, lengths = captions
        own_logits = images[0] @ named["attend_image"]
        columns = [
            _score_caption(images[0], images[1], own_logits, words[row, :length], keys[row, :length], named)
            for row, length in enumerate(lengths.tolist())
        ]
        return torch.stack(columns, 1)

    return score_tile(score, (images, image_keys), (captions, caption_keys, lengths), tuple(weights.values()))


def _score_caption(
    images: Float[Tensor, "I R D"],
    image_keys: Float[Tensor, "I R H"],
    image_logits: Float[Tensor, "I R"],
    words: Float[Tensor, "L D"],
    word_keys: Float[Tensor, "L H"],
    weights: dict[str, Tensor],
) -> Float[Tensor, " I"]:
    (n_images, regions, dim), n_words = images.shape, len(words)
    scaled = word_keys * word_keys.shape[1] ** -0.5
    table = scaled @ image_keys.reshape(n_images * regions, -1).T  # (L, I R): both softmaxes run along long rows
    to_regions = (table.softmax(0).T @ words).view(n_images, regions, dim)
    to_words = table.view(n_words, n_images, regions).softmax(2).transpose(0, 1) @ images  # (I, L, D)
    fused_image, share_image = _fuse(images, to_regions, image_logits, weights, "image")
    fused_text, share_text = _fuse(words, to_words, words @ weights["attend_text"], weights, "text")
    own = torch.bmm(share_image[:, None], images)[:, 0] + share_text @ words
    hidden = torch.addmm(weights["hidden_bias"], fused_image + fused_text + own, weights["hidden"]).relu_()
    return hidden @ weights["out"] + weights["out_bias"]


def _fuse(
    own: Tensor, message: Float[Tensor, "I P D"], own_logits: Tensor, weights: dict[str, Tensor], side: str
) -> tuple[Float[Tensor, "I D"], Float[Tensor, "I P"]]:
    """Gate, fuse, transform and pool, but for the residual; return the pooled vectors and the attention that pooled."""
    places, dim = message.shape[1:]
    gated: Tensor = _Gate.apply(own, message)
    fused = torch.addmm(weights[f"fuse_{side}_bias"], gated.view(-1, dim), weights[f"fuse_{side}"]).relu_()
    logits = (fused @ weights[f"attend_{side}"]).view(-1, places) + own_logits
    share = (logits * dim**-0.5).softmax(1)
    return torch.bmm(share[:, None], fused.view(-1, places, dim))[:, 0], share


class _Gate(torch.autograd.Function):
    """sigmoid(own * message) * (own + message), which keeps no more than its arguments; own may lack dimension 0."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, message: Tensor) -> Tensor:
        ctx.save_for_backward(own, message)
        return (own * message).sigmoid_().mul_(own + message)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        own, message = ctx.saved_tensors
        gate = (own * message).sigmoid_()
        through_sum = gradient * gate
        through_gate = (1 - gate).mul_(own + message).mul_(through_sum)
        to_own = torch.addcmul(through_sum, through_gate, message)
        return to_own.sum_to_size(own.shape), through_sum.addcmul_(through_gate, own)
