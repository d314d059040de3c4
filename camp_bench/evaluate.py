"""From a model and a split to ranks and metrics: encode once, score tile by tile, rank as the tiles come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from camp_bench.data.batches import pad_tokens
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.data.dataset import Split
from camp_bench.errors import NumericError
from camp_bench.metrics import chance_metrics, retrieval_metrics
from camp_bench.models.base import PairModel, Prepared
from camp_bench.protocols import find_protocol, fold_images
from camp_bench.ranking import DirectionRanks, Ranks, TileGrid, build_grid, rank_tiles
from camp_bench.timing import timed

__all__ = [
    "Evaluation",
    "evaluate_folds",
    "evaluate_split",
    "folds_of",
    "prepare_caption_tile",
    "prepare_image_tile",
]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Ranks of a split, the metrics derived from them, and the seconds of encoding and of scoring with ranking.

    Where there are folds, each query was ranked within its own, ids count over the whole split, and metrics are means
    over the folds. chance_rsum: that of a constant scorer on the same folds.
    """

    ranks: Ranks
    metrics: dict[str, float]
    chance_rsum: float
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
    except NumericError as error:
        raise NumericError(f"{split.name}: {error}") from None
    finally:
        model.train(was_training)
    metrics = retrieval_metrics(ranks.i2t.counts, ranks.t2i.counts)
    chance = chance_metrics(split.image_of, split.n_images)["rsum"]
    return Evaluation(ranks, metrics, chance, encoding.seconds, scoring.seconds)


def folds_of(split: Split, protocol: str) -> list[npt.NDArray[np.int64]]:
    """Return the images of each fold that a protocol makes of a split; raises as `fold_images` does."""
    return fold_images(find_protocol(protocol), split.n_images, split.n_captions, split.name)


def evaluate_folds(
    model: PairModel,
    whole: TokenizedSplit,
    folds: Sequence[npt.NDArray[np.int64]],
    device: torch.device,
    *,
    on_tile: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Evaluate each fold of images with its captions by itself. folds: images of each, together all of the split."""
    if len(folds) == 1:
        return evaluate_split(model, whole.split, whole.token_ids, device, on_tile=on_tile)
    parts: list[Evaluation] = []
    captions: list[npt.NDArray[np.int64]] = []
    for fold in folds:
        part, own = whole.subset(fold)
        captions.append(own)
        parts.append(evaluate_split(model, part.split, part.token_ids, device, on_tile=on_tile))
    return Evaluation(
        ranks=Ranks(
            i2t=_join([part.ranks.i2t for part in parts], folds, captions),
            t2i=_join([part.ranks.t2i for part in parts], captions, folds),
        ),
        metrics={name: float(np.mean([part.metrics[name] for part in parts])) for name in parts[0].metrics},
        chance_rsum=float(np.mean([part.chance_rsum for part in parts])),
        encode_seconds=sum(part.encode_seconds for part in parts),
        score_seconds=sum(part.score_seconds for part in parts),
    )


def _join(
    parts: Sequence[DirectionRanks],
    queries: Sequence[npt.NDArray[np.int64]],
    candidates: Sequence[npt.NDArray[np.int64]],
) -> DirectionRanks:
    """Put the queries of all folds back in the order of the split, with the split's own candidate ids."""
    order = np.argsort(np.concatenate(queries))
    width = min(part.top_ids.shape[1] for part in parts)
    tops = [own[part.top_ids[:, :width]].astype(np.int32) for part, own in zip(parts, candidates, strict=True)]
    return DirectionRanks(
        b=np.concatenate([part.b for part in parts])[order],
        n=np.concatenate([part.n for part in parts])[order],
        p=np.concatenate([part.p for part in parts])[order],
        top_ids=np.concatenate(tops)[order],
        top_scores=np.concatenate([part.top_scores[:, :width] for part in parts])[order],
    )


def prepare_image_tile(model: PairModel, split: Split, rows: range, device: torch.device) -> Prepared:
    """Encode and prepare a range of images."""
    features = torch.from_numpy(split.gather(np.arange(rows.start, rows.stop))).to(device)
    return model.prepare_images(model.encode_images(features))


def prepare_caption_tile(
    model: PairModel, token_ids: Sequence[Sequence[int]], columns: npt.NDArray[np.int64], device: torch.device
) -> Prepared:
    """Encode and prepare captions, by their numbers."""
    tokens, lengths = pad_tokens([token_ids[i] for i in columns])
    return model.prepare_captions(model.encode_captions(tokens.to(device), lengths), lengths)


def _prepare(
    model: PairModel, split: Split, token_ids: Sequence[Sequence[int]], grid: TileGrid, device: torch.device
) -> tuple[list[Prepared], list[Prepared]]:
    """Encode by tile: the grid alone decides which items share a batch, so it alone decides the last bits."""
    images = [prepare_image_tile(model, split, rows, device) for rows in grid.image_tiles]
    captions = [prepare_caption_tile(model, token_ids, columns, device) for columns in grid.caption_tiles]
    return images, captions
