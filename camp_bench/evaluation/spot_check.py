"""Whether the scores that a run was ranked by are the model's own of each pair: some are scored again, one by one.

Checks on a few small galleries (`transductive`) miss what shows only in a run: a softmax over large tiles, centring by
large batches, noise that starts late, the place in a tile. So pairs of the stored top lists, positives first, are
scored alone by a model built anew from the same weights, and held against the stored scores. What is let pass is far
less than what would change the order: a tenth of the mean gap between neighbours of the top list, and float32's digits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from camp_bench.data.corpus import TokenizedSplit
from camp_bench.evaluation.transductive import gallery_scores
from camp_bench.models.base import PairModel
from camp_bench.ranking.tiles import DirectionRanks, Ranks
from camp_bench.records import ScoreCheck

__all__ = ["fresh_copy", "score_again"]

PAIRS = 48
"""Pairs that are scored again, a quarter each: positives and others, of images and of captions as queries."""
OF_GAP = 0.1
"""Of the mean gap between neighbours in a top list."""
DIGITS = 5e-5
"""Of the largest score in a top list: sums in another order differ by less."""


def fresh_copy(model: PairModel, device: torch.device) -> PairModel:
    """Return a model built anew with the same weights: whatever else the other has kept since is not in it."""
    made = type(model)(model.settings, model.options, model.shape)
    made.load_state_dict(model.state_dict())
    return made.to(device).eval()


def score_again(model: PairModel, whole: TokenizedSplit, ranks: Ranks, device: torch.device) -> ScoreCheck:
    """Score pairs of the top lists one by one with a fresh copy of the model and say how many differ, and how far."""
    fresh, rng = fresh_copy(model, device), np.random.default_rng(0)
    image_of = whole.split.image_of
    pairs = differing = 0
    largest = 0.0
    for way, own in (("i2t", ranks.i2t), ("t2i", ranks.t2i)):
        for query, place in _places(own, image_of, way, rng):
            candidate, scores = int(own.top_ids[query, place]), own.top_scores[query].astype(np.float64)
            image, caption = (query, candidate) if way == "i2t" else (candidate, query)
            again = float(gallery_scores(fresh, whole, [image], [caption], device)[0, 0])
            gap = float(scores.max() - scores.min()) / max(len(scores) - 1, 1)
            allowed = max(OF_GAP * gap, DIGITS * float(np.abs(scores).max()), float(np.finfo(np.float32).tiny))
            apart = abs(again - float(scores[place])) / allowed
            pairs, differing = pairs + 1, differing + (not apart <= 1.0)
            largest = max(largest, apart if np.isfinite(apart) else float(np.finfo(np.float32).max))
    return ScoreCheck(pairs=pairs, differing=differing, largest=largest)


def _places(
    ranks: DirectionRanks, image_of: npt.NDArray[np.int64], way: str, rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Yield queries with a place in their top lists: places of positives, then any."""
    ids = ranks.top_ids
    owner = np.arange(len(ids)) if way == "i2t" else image_of
    positive = (image_of[ids] if way == "i2t" else ids) == owner[:, None]
    for places in (np.argwhere(positive), np.argwhere(~positive)):
        chosen = rng.permutation(len(places))[: PAIRS // 4]
        yield from places[chosen].tolist()
