"""CAMP's message passing for all pairs of a tile at once (Wang et al., ICCV 2019, eq. 1-11), the paper's own form.

Keys are made once an item. Because the gate is element-wise, one D x D product a region and a word stays for every pair: that is the model's own
cost, and all else is small beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from camp_bench.shapes import Bool, Float

__all__ = ["camp_tile"]


def camp_tile(
    images: Float[Tensor, "I R D"],
    image_keys: Float[Tensor, "I R H"],
    captions: Float[Tensor, "C L D"],
    caption_keys: Float[Tensor, "C L H"],
    mask: Bool[Tensor, "C L"],
    weights: dict[str, Tensor],
) -> Float[Tensor, "I C"]:
    """Return the logit of the match score of every pair; `weights` as in `camp_plain`, `mask` says which words are real."""
    (n_images, regions, dim), (n_captions, words, _) = images.shape, captions.shape
    table = torch.einsum("irh,clh->icrl", image_keys, caption_keys) / image_keys.shape[2] ** 0.5
    absent = ~mask[None, :, None, :]
    to_regions = table.masked_fill(absent, -torch.inf).softmax(3) @ captions  # (I, C, R, D)
    over_regions = table.softmax(2).permute(0, 1, 3, 2).reshape(n_images, n_captions * words, regions)
    to_words = (over_regions @ images).view(n_images, n_captions, words, dim)
    own_image, own_text = images[:, None], captions[None]
    fused_image = _fuse(own_image, to_regions, weights, "image")
    fused_text = _fuse(own_text, to_words, weights, "text")
    share_image = (fused_image @ weights["attend_image"] / dim**0.5).softmax(2)
    share_text = (fused_text @ weights["attend_text"] / dim**0.5).masked_fill(~mask[None], -torch.inf).softmax(2)
    pooled = (share_image[:, :, None] @ fused_image)[:, :, 0] + (share_text[:, :, None] @ fused_text)[:, :, 0]
    hidden = functional.linear(pooled, weights["hidden"].T, weights["hidden_bias"]).relu()
    return hidden @ weights["out"] + weights["out_bias"]


def _fuse(own: Tensor, message: Tensor, weights: dict[str, Tensor], side: str) -> Float[Tensor, "I C P D"]:
    """Gate, fuse, transform and add the residual."""
    gated = (own * message).sigmoid() * (own + message)
    return functional.linear(gated, weights[f"fuse_{side}"].T, weights[f"fuse_{side}_bias"]).relu() + own
