"""Small pieces that every scorer shares: norms that are safe at zero, masks from lengths."""

from __future__ import annotations

import torch
from torch import Tensor

from camp_bench.shapes import Bool, Float, Int

__all__ = ["EPSILON", "even_lengths", "l2norm", "norm_from_square", "row_cosine", "unit", "word_mask"]

EPSILON = 1e-8
"""SCAN's and CAMP's guard in every division by a norm."""


def l2norm(x: Float[Tensor, "..."], dim: int = -1) -> Float[Tensor, "..."]:
    """Return x / (|x| + 1e-8), as SCAN and CAMP normalise; a zero vector stays zero, with zero gradient."""
    length: Tensor = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return x / (length + EPSILON).masked_fill(length == 0, torch.inf)  # by 1e-8 alone, the gradient would be 1e8


def even_lengths(x: Float[Tensor, "... D"], rms: float) -> Float[Tensor, "... D"]:
    """Return vectors of the length rms x sqrt(D) each, so that `rms` is the root mean square of their numbers; zeros
    stay.
    """
    even: Tensor = rms * x.shape[-1] ** 0.5 * l2norm(x)
    return even


def unit(x: Float[Tensor, "..."], dim: int = -1) -> Float[Tensor, "..."]:
    """Return x / |x|, as VSE++ normalises: NaN for a zero vector, which ranking then reports."""
    length: Tensor = torch.linalg.vector_norm(x, dim=dim, keepdim=True)
    return x / length


def norm_from_square(square: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return the square root where `square` is positive and 0 elsewhere, with gradient 0 there (not infinity)."""
    positive = square > 0
    return torch.where(positive, square, 1).sqrt() * positive


def word_mask(lengths: Int[Tensor, " captions"], longest: int) -> Bool[Tensor, "captions words"]:
    """Return which of `longest` positions hold a word of each caption."""
    return torch.arange(longest, device=lengths.device)[None, :] < lengths[:, None]


def row_cosine(a: Float[Tensor, "*#rows D"], b: Float[Tensor, "*#rows D"]) -> Float[Tensor, "*rows"]:
    """Return the cosine of each row with its partner, 0 where one of them is zero."""
    norms = torch.linalg.vector_norm(a, dim=-1) * torch.linalg.vector_norm(b, dim=-1)
    cosine: Tensor = (a * b).sum(-1) / norms.clamp_min(EPSILON)
    return cosine
