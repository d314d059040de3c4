"""From a model and a split to ranks and metrics: score tile by tile, rank as the tiles come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from camp_bench.config import format_bytes
from camp_bench.config.protocols import find_protocol, fold_images
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.data.dataset import Split
from camp_bench.errors import DeviceError, NumericError
from camp_bench.evaluation.tiles import Numbers, OnScores, SplitTiles, tile_size
from camp_bench.machine.devices import autocast, explained_memory
from camp_bench.machine.timing import Elapsed, timed
from camp_bench.models.base import PairModel
from camp_bench.ranking.metrics import chance_metrics, retrieval_metrics
from camp_bench.ranking.tiles import TOP, DirectionRanks, Ranks, rank_tiles

__all__ = [
    "Evaluation",
    "evaluate_folds",
    "evaluate_split",
    "folds_of",
    "join_folds",
    "told_of_whole",
    "within_budget",
]

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Ranks of a split, the metrics derived from them, and the seconds of encoding and of scoring with ranking.

    Where there are folds, each query was ranked within its own, ids count over the whole split, and metrics are means
    over the folds. chance_rsum: that of a constant scorer on the same folds. tile_images, tile_captions: of the largest
    tile, fitted to memory_budget_bytes.
    """

    ranks: Ranks
    metrics: dict[str, float]
    chance_rsum: float
    encode_seconds: float
    score_seconds: float
    tile_images: int
    tile_captions: int
    memory_budget_bytes: int


def evaluate_split(
    model: PairModel,
    split: Split,
    token_ids: Sequence[Sequence[int]],
    device: torch.device,
    *,
    on_tile: Callable[[int, int], None] | None = None,
    on_scores: OnScores | None = None,
    top: int = TOP,
    ends: bool = False,
    precision: str = "fp32",
) -> Evaluation:
    """Rank all images and captions of a split against each other, in the grid that the settings give.

    token_ids: the split's captions in the model's vocabulary. on_tile: told (tiles done, tiles in all). on_scores: told
    the images (I,), captions (C,) and scores (I, C) of every tile. top: length of the top lists. ends: count what ties
    with their last, as `rank_tiles` does. precision: of encoding and scoring, as `autocast` takes it; ranks are counted
    on what it gives.
    Raises NumericError where a score is NaN, and what `within_budget` raises.
    """

    def rank(budget: int) -> tuple[Ranks, SplitTiles, Elapsed]:
        tiles = SplitTiles(model, split, token_ids, device, budget, on_scores)
        with timed(device) as whole:
            ranks = rank_tiles(
                tiles.grid, tiles.score, device=device, top=top, ends=ends, strip=tiles.strip(), on_tile=on_tile
            )
        return ranks, tiles, whole

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), autocast(device, precision):
            (ranks, tiles, whole), budget = within_budget(rank, model, split, token_ids, device)
    except NumericError as error:
        raise error.within(split.name) from None
    finally:
        model.train(was_training)
    return Evaluation(
        ranks=ranks,
        metrics=retrieval_metrics(ranks.i2t.counts, ranks.t2i.counts),
        chance_rsum=chance_metrics(split.image_of, split.n_images)["rsum"],
        encode_seconds=tiles.encode_seconds,
        score_seconds=whole.seconds - tiles.encode_seconds,
        tile_images=tiles.size[0],
        tile_captions=tiles.size[1],
        memory_budget_bytes=budget,
    )


def within_budget(
    work: Callable[[int], _Found],
    model: PairModel,
    split: Split,
    token_ids: Sequence[Sequence[int]],
    device: torch.device,
) -> tuple[_Found, int]:
    """Return what `work` finds within a budget of bytes, and the budget: the settings' own, or what `adapt` made of it.

    Raises ConfigError for a budget that holds no pair and DeviceError, saying which budget to pass, where memory runs
    out; with `adapt` among the settings the work starts again with half the budget instead.
    """
    budget = model.settings.memory_budget_bytes
    while True:
        images, captions = tile_size(model, split, token_ids, budget)
        half = format_bytes(budget // 2)
        remedy = f"pass --memory-budget {half} or less (it was scoring {images} x {captions} pairs), or --adapt"
        try:
            with explained_memory(remedy):
                return work(budget), budget
        except DeviceError:
            if not model.settings.adapt:
                raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
        budget //= 2


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
    on_scores: OnScores | None = None,
    top: int = TOP,
    ends: bool = False,
    precision: str = "fp32",
) -> Evaluation:
    """Evaluate each fold of images with its captions by itself.

    folds: images of each, together all of the split. on_tile, on_scores, top, ends, precision: as in `evaluate_split`;
    top and ends only where there is one fold.
    """
    if len(folds) == 1:
        return evaluate_split(
            model,
            whole.split,
            whole.token_ids,
            device,
            on_tile=on_tile,
            on_scores=on_scores,
            top=top,
            ends=ends,
            precision=precision,
        )
    parts: list[Evaluation] = []
    captions: list[npt.NDArray[np.int64]] = []
    for fold in folds:
        part, own = whole.subset(fold)
        captions.append(own)
        with told_of_whole(fold, own):
            found = evaluate_split(
                model,
                part.split,
                part.token_ids,
                device,
                on_tile=on_tile,
                on_scores=_of_whole(on_scores, fold, own),
                precision=precision,
            )
        parts.append(found)
    return join_folds(parts, folds, captions)


@contextmanager
def told_of_whole(images: Numbers, captions: Numbers) -> Iterator[None]:
    """Let a NumericError of the block name images and captions by their numbers in the split, not in the fold.

    images, captions: of the fold, by their numbers in the split.
    """
    try:
        yield
    except NumericError as error:
        raise error.of_whole(images.tolist(), captions.tolist()) from None


def join_folds(
    parts: Sequence[Evaluation],
    folds: Sequence[npt.NDArray[np.int64]],
    captions: Sequence[npt.NDArray[np.int64]],
) -> Evaluation:
    """Return the evaluation of a whole split from those of its folds; captions: of each fold, by their numbers."""
    if len(parts) == 1:
        return parts[0]
    return Evaluation(
        ranks=Ranks(
            i2t=_join([part.ranks.i2t for part in parts], folds, captions),
            t2i=_join([part.ranks.t2i for part in parts], captions, folds),
        ),
        metrics={name: float(np.mean([part.metrics[name] for part in parts])) for name in parts[0].metrics},
        chance_rsum=float(np.mean([part.chance_rsum for part in parts])),
        encode_seconds=sum(part.encode_seconds for part in parts),
        score_seconds=sum(part.score_seconds for part in parts),
        tile_images=max(part.tile_images for part in parts),
        tile_captions=max(part.tile_captions for part in parts),
        memory_budget_bytes=min(part.memory_budget_bytes for part in parts),
    )


def _of_whole(told: OnScores | None, images: Numbers, captions: Numbers) -> OnScores | None:
    """Return who is told of a fold's scores by the numbers in the whole split."""
    if told is None:
        return None
    return lambda rows, columns, scores: told(images[rows], captions[columns], scores)


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
