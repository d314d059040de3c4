"""From a model and a split to ranks and metrics: score tile by tile, rank as the tiles come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from camp_bench.config import format_bytes
from camp_bench.config.protocols import find_protocol, fold_images
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.data.dataset import Split
from camp_bench.errors import DeviceError, NumericError
from camp_bench.evaluation.tiles import Numbers, OnScores, SplitTiles, Tiling, fitted
from camp_bench.machine.devices import autocast, explained_memory
from camp_bench.machine.timing import timed
from camp_bench.models.base import PairModel
from camp_bench.ranking.metrics import chance_metrics, retrieval_metrics
from camp_bench.ranking.tiles import TOP, DirectionRanks, Ranks, rank_tiles

__all__ = ["Asked", "Evaluated", "evaluate", "evaluate_folds", "folds_of", "within_budget"]

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a split is to be evaluated.

    protocol: what is ranked against what. precision: of encoding and scoring, as `autocast` takes it; ranks are counted
    on what it gives. tiling: None for what the model's settings say. top: length of the top lists; ends: count what
    ties with their last, as `rank_tiles` does; both only where all is ranked at once. on_tile: told (tiles done, tiles
    in all). on_scores: told the images (I,), captions (C,) and scores (I, C) of every tile.
    """

    device: torch.device
    protocol: str = "full"
    precision: str = "fp32"
    tiling: Tiling | None = None
    top: int = TOP
    ends: bool = False
    on_tile: Callable[[int, int], None] | None = None
    on_scores: OnScores | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """Ranks of a split, the metrics derived from them, and the seconds of encoding and of scoring with ranking.

    Where there are folds, each query was ranked within its own, ids count over the whole split, and metrics are means
    over the folds. chance_rsum: that of a constant scorer on the same folds. tiling: what was used, the largest tile
    fitted to the budget; None where the scores were there already.
    """

    split: Split
    protocol: str
    precision: str = "fp32"
    ranks: Ranks
    metrics: dict[str, float]
    chance_rsum: float
    encode_seconds: float = 0.0
    score_seconds: float
    tiling: Tiling | None = None

    @classmethod
    def of_ranks(
        cls, image_of: Numbers, n_images: int, ranks: Ranks, *, split: Split, score_seconds: float
    ) -> Evaluated:
        """Return the metrics of one gallery, whose captions (C,) have these images; it is part or all of the split."""
        return cls(
            split=split,
            protocol="full",
            ranks=ranks,
            metrics=retrieval_metrics(ranks.i2t.counts, ranks.t2i.counts),
            chance_rsum=chance_metrics(image_of, n_images)["rsum"],
            score_seconds=score_seconds,
        )


def evaluate(model: PairModel, items: TokenizedSplit, asked: Asked) -> Evaluated:
    """Rank the images and captions of a split against each other as a protocol says, in `eval` mode.

    items: the split in the model's vocabulary. Raises DataError for a split that doesn't fit the protocol, NumericError
    where a score is NaN, and what `within_budget` raises.
    """

    def of_fold(images: Numbers, captions: Numbers) -> Evaluated:
        if len(images) == items.split.n_images:
            return _rank(model, items, asked)
        return _rank(model, items.subset(images)[0], replace(asked, on_scores=_of_whole(asked, images, captions)))

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), autocast(asked.device, asked.precision):
            return evaluate_folds(items.split, asked.protocol, of_fold)
    except NumericError as error:
        raise error.within(items.split.name) from None
    finally:
        model.train(was_training)


def _rank(model: PairModel, items: TokenizedSplit, asked: Asked) -> Evaluated:
    """Rank all of a split against all of it."""
    tiling = asked.tiling or Tiling.of(model.settings)

    def rank(tiling: Tiling) -> Evaluated:
        tiles = SplitTiles(model, items, asked.device, tiling, asked.on_scores)
        with timed(asked.device) as whole:
            ranks = rank_tiles(
                tiles.grid,
                tiles.score,
                device=asked.device,
                top=asked.top,
                ends=asked.ends,
                strip=tiles.strip(),
                on_tile=asked.on_tile,
            )
        found = Evaluated.of_ranks(
            items.split.image_of,
            items.split.n_images,
            ranks,
            split=items.split,
            score_seconds=whole.seconds - tiles.encode_seconds,
        )
        return replace(found, precision=asked.precision, encode_seconds=tiles.encode_seconds, tiling=tiles.tiling)

    return within_budget(rank, model, items, asked.device, tiling)


def within_budget(
    work: Callable[[Tiling], _Found], model: PairModel, items: TokenizedSplit, device: torch.device, tiling: Tiling
) -> _Found:
    """Return what `work` finds within a tiling's budget.

    Raises ConfigError for a budget that holds no pair and DeviceError, saying which budget to pass, where memory runs
    out; a tiling that may adapt starts again with half the budget instead.
    """
    while True:
        tile = fitted(tiling, model, items)
        half = tiling.budget_bytes // 2
        pairs = f"{tile.images} x {tile.captions} pairs"
        remedy = f"pass --memory-budget {format_bytes(half)} or less (it was scoring {pairs}), or --adapt"
        try:
            with explained_memory(remedy):
                return work(tiling)
        except DeviceError:
            if not tiling.adapt:
                raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
        tiling = replace(tiling, budget_bytes=half)


def folds_of(split: Split, protocol: str) -> list[Numbers]:
    """Return the images of each fold that a protocol makes of a split; raises as `fold_images` does."""
    return fold_images(find_protocol(protocol), split.n_images, split.n_captions, split.name)


def evaluate_folds(split: Split, protocol: str, of_fold: Callable[[Numbers, Numbers], Evaluated]) -> Evaluated:
    """Return the evaluation of a whole split from that of each fold that a protocol makes of it.

    of_fold: gives that of some images with their captions, by their numbers in the split. Raises as `folds_of` does.
    """
    folds = folds_of(split, protocol)
    captions = [split.captions_of(fold)[0] for fold in folds]
    parts: list[Evaluated] = []
    for images, own in zip(folds, captions, strict=True):
        with _told_of_whole(images, own):
            parts.append(of_fold(images, own))
    if len(parts) == 1:
        return replace(parts[0], protocol=protocol)
    return Evaluated(
        split=split,
        protocol=protocol,
        precision=parts[0].precision,
        ranks=Ranks(
            i2t=_join([part.ranks.i2t for part in parts], folds, captions),
            t2i=_join([part.ranks.t2i for part in parts], captions, folds),
        ),
        metrics={name: float(np.mean([part.metrics[name] for part in parts])) for name in parts[0].metrics},
        chance_rsum=float(np.mean([part.chance_rsum for part in parts])),
        encode_seconds=sum(part.encode_seconds for part in parts),
        score_seconds=sum(part.score_seconds for part in parts),
        tiling=Tiling.joint([part.tiling for part in parts]),
    )


@contextmanager
def _told_of_whole(images: Numbers, captions: Numbers) -> Iterator[None]:
    """Let a NumericError of the block name images and captions by their numbers in the split, not in the fold.

    images, captions: of the fold, by their numbers in the split.
    """
    try:
        yield
    except NumericError as error:
        raise error.of_whole(images.tolist(), captions.tolist()) from None


def _of_whole(asked: Asked, images: Numbers, captions: Numbers) -> OnScores | None:
    """Return who is told of a fold's scores by the numbers in the whole split."""
    if (told := asked.on_scores) is None:
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
