"""From a model and a split to ranks and metrics: encode once, score tile by tile, rank as the tiles come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from camp_bench.data.batches import pad_tokens
from camp_bench.data.dataset import Split
from camp_bench.metrics import retrieval_metrics
from camp_bench.models.base import PairModel, Prepared
from camp_bench.ranking import Ranks, TileGrid, build_grid, rank_tiles
from camp_bench.timing import timed

__all__ = ["Evaluation", "evaluate_split"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Ranks of a split, the metrics derived from them, and the seconds of encoding and of scoring with ranking."""

    ranks: Ranks
    metrics: dict[str, float]
    encode_seconds: float
    score_seconds: float


def evaluate_split(
    model: PairModel,
    split: Split,
    token_ids: Sequence[Sequence[int]],
    device: torch.device,
    *,
    on_tile: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Rank all images and captions of a split against each other, in float32 and in the grid of the model's settings.

    token_ids: the split's captions in the model's vocabulary. on_tile: told (tiles done, tiles in all).
    Raises NumericError where a score is NaN.
    """
    grid = build_grid(
        split.image_of,
        split.n_images,
        tile_images=model.settings.tile_images,
        tile_captions=model.settings.tile_captions,
        lengths=np.array([len(ids) for ids in token_ids]),
        texts=[tuple(ids) for ids in token_ids],
    )
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            with timed(device) as encoding:
                images, captions = _prepare(model, split, token_ids, grid, device)
            with timed(device) as scoring:
                ranks = rank_tiles(
                    grid, lambda i, t: model.score_tile(images[i], captions[t]), device=device, on_tile=on_tile
                )
    finally:
        model.train(was_training)
    metrics = retrieval_metrics(ranks.i2t.counts, ranks.t2i.counts)
    return Evaluation(ranks, metrics, encoding.seconds, scoring.seconds)


def _prepare(
    model: PairModel, split: Split, token_ids: Sequence[Sequence[int]], grid: TileGrid, device: torch.device
) -> tuple[list[Prepared], list[Prepared]]:
    """Encode by tile: the grid alone decides which items share a batch, so it alone decides the last bits."""
    images = []
    for rows in grid.image_tiles:
        features = torch.from_numpy(split.gather(np.arange(rows.start, rows.stop))).to(device)
        images.append(model.prepare_images(model.encode_images(features)))
    captions = []
    for columns in grid.caption_tiles:
        tokens, lengths = pad_tokens([token_ids[i] for i in columns])
        captions.append(model.prepare_captions(model.encode_captions(tokens.to(device), lengths), lengths))
    return images, captions
