"""Whether a pair's score depends on what else is in the gallery.

A model that sees other test queries when it scores a pair uses them, knowingly or not: its recalls can't stand beside
those of models that don't. That shows when the gallery is put in another order or cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from camp_bench.data.batches import pad_tokens
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.models.base import PairModel
from camp_bench.shapes import Float

__all__ = ["depends_on_gallery", "gallery_scores", "is_transductive"]

IMAGES, CAPTIONS = 3, 6
"""How many are looked at: enough for a dependence to show, few enough to cost nothing."""
TOLERANCE = 1e-3
"""Of the largest score: float sums depend on the shape of a batch, by far less than this."""


def depends_on_gallery(model: PairModel, whole: TokenizedSplit, device: torch.device) -> bool:
    """Return whether scores of the first few pairs change when the gallery is permuted or cut, in `eval` mode.

    A score that isn't a number tells nothing and counts as no change.
    """
    images = list(range(min(IMAGES, whole.split.n_images)))
    captions = list(range(min(CAPTIONS, whole.split.n_captions)))
    scores = gallery_scores(model, whole, images, captions, device)
    near = TOLERANCE * float(scores.nan_to_num(0, 0, 0).abs().max())
    turned = gallery_scores(model, whole, images[::-1], captions[::-1], device).flip(0, 1)
    half, quarter = images[: (len(images) + 1) // 2], captions[: (len(captions) + 1) // 2]
    cut = gallery_scores(model, whole, half, quarter, device)
    changes = (turned - scores, cut - scores[: len(half), : len(quarter)])
    return any(bool((change.nan_to_num(0, 0, 0).abs() > near).any()) for change in changes)


def is_transductive(model: PairModel, whole: TokenizedSplit, device: torch.device) -> bool:
    """Return whether a model says that its scores depend on the gallery, or they do."""
    return model.transductive or depends_on_gallery(model, whole, device)


@torch.no_grad()
def gallery_scores(
    model: PairModel, whole: TokenizedSplit, images: Sequence[int], captions: Sequence[int], device: torch.device
) -> Float[Tensor, "I C"]:
    """Return the scores of these images with these captions as one gallery, from the raw inputs, on the CPU."""
    was_training = model.training
    model.eval()
    features = torch.from_numpy(whole.split.gather(np.array(images))).to(device)
    tokens, lengths = pad_tokens([whole.token_ids[c] for c in captions])
    scores = model(features, tokens.to(device), lengths)
    model.train(was_training)
    result: Tensor = scores.float().cpu()
    return result
