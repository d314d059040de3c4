"""A cascade: a cheap model proposes candidates to each query, an expensive one scores only those.

What that costs in recall is measured, not assumed: the expensive model ranks everything as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from camp_bench.data.corpus import TokenizedSplit
from camp_bench.errors import NumericError
from camp_bench.evaluation.evaluate import Asked, Evaluated, evaluate, within_budget
from camp_bench.evaluation.tiles import Numbers, Tiling, fitted, prepare_caption_tile, prepare_image_tile
from camp_bench.machine.threads import spread
from camp_bench.machine.timing import Elapsed, timed
from camp_bench.models.base import PairModel, Prepared
from camp_bench.ranking.holding import Held, bytes_of
from camp_bench.ranking.rerank import rerank
from camp_bench.ranking.tiles import Ranks

__all__ = ["Cascade", "evaluate_cascade"]


@dataclass(frozen=True, slots=True)
class Cascade:
    """reranked: what the cascade gives. full: what the expensive model gives when it scores every pair.

    Of `reranked`, the tile is the larger of both rankings and the budget the smaller, where memory ran out in one.
    pairs_scored: by the expensive model in the cascade; pairs: of all images and all distinct captions. seconds: of the
    cascade, both models' encoding included; that of the full ranking stands in `full`.
    """

    reranked: Evaluated
    full: Evaluated
    pairs_scored: int
    pairs: int
    seconds: float


def evaluate_cascade(
    model: PairModel,
    proposer: PairModel,
    items: TokenizedSplit,
    cheap_items: TokenizedSplit,
    rerank_size: int,
    asked: Asked,
    cheap_tiling: Tiling | None = None,
) -> Cascade:
    """Evaluate `model` on what `proposer` proposes, and once more on everything.

    items, cheap_items: the split in each model's words. rerank_size: proposals a query, in each direction. asked: how;
    those who listen hear of the full ranking. cheap_tiling: of the proposer, None for its settings'.
    Raises NumericError where a score is NaN, and what `evaluate` raises.
    """
    split, device = items.split, asked.device
    cheap = evaluate(proposer, cheap_items, Asked(device=device, tiling=cheap_tiling, top=rerank_size))
    scored = _first_of_text(items)
    images_of, captions_of = cheap.ranks.t2i.top_ids, cheap.ranks.i2t.top_ids
    # a pair is one number, its caption first, so that the images of a caption lie together
    by_image = scored[captions_of] * split.n_images + np.arange(split.n_images)[:, None]
    by_caption = scored[:, None] * split.n_images + images_of
    wanted = np.unique(np.concatenate((by_image.ravel(), by_caption.ravel())))

    def score(tiling: Tiling) -> tuple[npt.NDArray[np.float32], Elapsed, Tiling]:
        tiling = fitted(tiling, model, items)
        with timed(device) as elapsed:
            return _score_pairs(model, items, wanted, device, tiling), elapsed, tiling

    tiling = asked.tiling or Tiling.of(model.settings)
    scores, scoring, used = within_budget(score, model, items, device, tiling)
    if np.isnan(scores).any():
        pair = int(wanted[np.flatnonzero(np.isnan(scores))[0]])
        raise NumericError(
            f"{split.name}: score is NaN for image {pair % split.n_images} and caption {pair // split.n_images}; "
            "NaN has no rank: check the features and the weights"
        )
    i2t = rerank(
        cheap.ranks.i2t,
        scores[np.searchsorted(wanted, by_image)],
        split.image_of[captions_of] == np.arange(split.n_images)[:, None],
    )
    t2i = rerank(cheap.ranks.t2i, scores[np.searchsorted(wanted, by_caption)], images_of == split.image_of[:, None])
    full = evaluate(model, items, asked)
    reranked = replace(
        Evaluated.of_ranks(
            split.image_of,
            split.n_images,
            Ranks(i2t, t2i),
            split=split,
            score_seconds=cheap.score_seconds + scoring.seconds,
        ),
        protocol=asked.protocol,
        encode_seconds=cheap.encode_seconds,
        tiling=Tiling.joint((used, full.tiling)),
    )
    pairs = split.n_images * len(np.unique(scored))
    return Cascade(reranked, full, len(wanted), pairs, reranked.encode_seconds + reranked.score_seconds)


def _first_of_text(items: TokenizedSplit) -> Numbers:
    """Return for each caption the first one that is the same to the model: (captions,)."""
    first: dict[tuple[int, ...], int] = {}
    return np.array([first.setdefault(tuple(ids), number) for number, ids in enumerate(items.token_ids)])


def _score_pairs(
    model: PairModel, items: TokenizedSplit, wanted: Numbers, device: torch.device, tiling: Tiling
) -> npt.NDArray[np.float32]:
    """Return the score of each pair. wanted: caption x images + image of each, rising.

    Items are encoded in tiles as elsewhere. A caption meets all its images of as many tiles as the budget holds.
    """
    n_images = items.split.n_images
    height, width, budget = tiling.images, tiling.captions, tiling.budget_bytes
    captions = np.unique(wanted // n_images)
    captions = captions[np.argsort([len(items.token_ids[int(c)]) for c in captions], kind="stable")]
    groups = [captions[start : start + width] for start in range(0, len(captions), width)]
    held = Held(lambda number: prepare_caption_tile(model, items.token_ids, groups[number], device), budget // 4)
    found = np.empty(len(wanted), dtype=np.float32)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for rows, images in _strips(model, items, height, budget // 4, device):
                for number, group in enumerate(groups):
                    ends = (group[:, None] * n_images + np.array([rows.start, rows.stop])).ravel()
                    bounds = np.searchsorted(wanted, ends).reshape(-1, 2).tolist()
                    places = [(place, slice(*bound)) for place, bound in enumerate(bounds) if bound[0] < bound[1]]
                    chosen = [(place, wanted[part] % n_images - rows.start) for place, part in places]
                    scores = spread(partial(_score_some, model, images, held(number)), chosen, device)
                    for (_, part), values in zip(places, scores, strict=True):
                        found[part] = values
    finally:
        model.train(was_training)
    return found


def _score_some(
    model: PairModel, images: Prepared, captions: Prepared, chosen: tuple[int, Numbers]
) -> npt.NDArray[np.float32]:
    """Score one of the captions with some of the images."""
    place, rows = chosen
    numbers = torch.from_numpy(rows)
    some = {name: tensor[numbers] for name, tensor in images.items()}
    one = {name: tensor[place : place + 1] for name, tensor in captions.items()}
    return np.asarray(model.score_tile(some, one)[:, 0].float().cpu().numpy())


def _strips(
    model: PairModel, items: TokenizedSplit, height: int, limit_bytes: int, device: torch.device
) -> Iterator[tuple[range, Prepared]]:
    """Yield ranges of images and these prepared, several tiles together as far as the limit allows."""
    start = 0
    tiles: list[Prepared] = []
    for first in range(0, items.split.n_images, height):
        rows = range(first, min(first + height, items.split.n_images))
        tiles.append(prepare_image_tile(model, items.split, rows, device))
        if sum(map(bytes_of, tiles)) + bytes_of(tiles[0]) > limit_bytes or rows.stop == items.split.n_images:
            yield range(start, rows.stop), {name: torch.cat([tile[name] for tile in tiles]) for name in tiles[0]}
            start = rows.stop
            tiles.clear()
