"""Order embeddings: how far a caption lies above its image in the order of the cone (Vendrov et al., ICLR 2016).

VSE++ offers it as a second measure. Nothing can be made once an item here: the difference is cut at zero a pair.
"""

from __future__ import annotations

import torch
from torch import Tensor

from camp_bench.models.norms import norm_from_square
from camp_bench.shapes import Float

__all__ = ["order_plain", "order_tile"]

CHUNK = 1 << 22
"""Numbers in the largest temporary while no gradient is needed; a fixed one, since float sums depend on it."""


def order_tile(images: Float[Tensor, "I D"], captions: Float[Tensor, "C D"]) -> Float[Tensor, "I C"]:
    """Return -|max(0, caption - image)|_2 of every pair; the gradient at a norm of zero is zero."""
    if torch.is_grad_enabled():
        return _order(images, captions)
    rows = max(1, CHUNK // captions.numel())
    return torch.cat([_order(part, captions) for part in torch.split(images, rows)])


def _order(images: Float[Tensor, "I D"], captions: Float[Tensor, "C D"]) -> Float[Tensor, "I C"]:
    above = (captions[None] - images[:, None]).relu()
    return -norm_from_square((above * above).sum(2))


def order_plain(images: Float[Tensor, "I D"], captions: Float[Tensor, "C D"]) -> Float[Tensor, "I C"]:
    """Return the same, one caption at a time."""
    columns = [torch.linalg.vector_norm((caption - images).clamp_min(0), dim=1) for caption in captions]
    return -torch.stack(columns, 1)
