"""Ranking losses over the score matrix of a batch, as the three papers define them.

A batch holds B (image, caption) pairs; `scores[i, j]` is image i with caption j, the diagonal the positives.
`same[i, j]` says that caption j was written for image i's picture: such pairs are never negatives of each other. All
losses are sums over the batch, as in the papers' programs; the all-negatives cross-entropy takes a mean over the
negatives of each query first.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

from camp_bench.shapes import Bool, Float

__all__ = ["CLAMP", "cross_entropy_loss", "matching_loss", "same_image", "triplet_loss"]

CLAMP = 1e-6
"""CAMP's released program keeps the arguments of its logarithms in [1e-6, 1 - 1e-6]."""


def same_image(images: Tensor) -> Bool[Tensor, "batch batch"]:
    """Return which pairs of a batch share an image, from the image number of each pair, (batch,)."""
    return images[:, None] == images[None, :]


def triplet_loss(
    scores: Float[Tensor, "batch batch"], same: Bool[Tensor, "batch batch"], *, margin: float, hardest: bool
) -> Float[Tensor, ""]:
    """Hinge loss with the hardest negative of each query (VSE++ eq. 6), or with all negatives (eq. 5, "VSE0")."""
    positive = scores.diagonal()
    for_image = (margin + scores - positive[:, None]).clamp_min(0).masked_fill(same, 0)
    for_caption = (margin + scores - positive[None, :]).clamp_min(0).masked_fill(same, 0)
    if hardest:
        return for_image.amax(1).sum() + for_caption.amax(0).sum()
    return for_image.sum() + for_caption.sum()


def cross_entropy_loss(
    scores: Float[Tensor, "batch batch"], same: Bool[Tensor, "batch batch"], *, hardest: bool, logits: bool = False
) -> Float[Tensor, ""]:
    """CAMP's binary cross-entropy over match probabilities m (section 3.5), or over their logits.

    With `hardest`: -2 log m(i, i) - log(1 - hardest caption) - log(1 - hardest image), summed over the batch. (The
    paper prints other signs; this is the form its author confirmed and its program computes.) Otherwise the mean over
    all negatives each way stands in place of the hardest, still weighted by the batch, so that both forms agree on a
    constant scorer: 4 B ln 2.

    Given as it is, m is clamped to [1e-6, 1 - 1e-6] as in the authors' program, and has no gradient beyond. Of logits
    the logarithms are finite by themselves, so those are not clamped: the same value inside, a gradient everywhere.
    """
    if logits:
        positive, cost = -2 * functional.logsigmoid(scores.diagonal()), functional.softplus(scores)
    else:
        inside = scores.clamp(CLAMP, 1 - CLAMP)
        positive, cost = -2 * inside.diagonal().log(), -(1 - inside).log()
    # No negative costs less than the 0 of own pairs, so those are never the hardest.
    negative = cost.masked_fill(same, 0)
    if hardest:
        return (positive + negative.amax(1) + negative.amax(0)).sum()
    others = ~same
    rows = negative.sum(1) / others.sum(1).clamp_min(1)
    columns = negative.sum(0) / others.sum(0).clamp_min(1)
    return (positive + rows + columns).sum()


def matching_loss(
    scores: Float[Tensor, "batch batch"],
    same: Bool[Tensor, "batch batch"],
    *,
    logits: bool,
    kind: Literal["cross_entropy", "triplet"],
    margin: float,
    hardest: bool,
) -> Float[Tensor, ""]:
    """Return CAMP's loss over cosines, or logits of match probabilities: the cross-entropy, or the triplet loss of the
    cosines or probabilities in its place.
    """
    if kind == "triplet":
        return triplet_loss(scores.sigmoid() if logits else scores, same, margin=margin, hardest=hardest)
    return cross_entropy_loss(scores, same, hardest=hardest, logits=logits)
