"""How the pairs of a model and a split are scored tile by tile: the grid, and items encoded when a tile needs them.

The grid alone decides which items share a batch, so it alone decides the last bits of a score. What is encoded is kept
as far as the budget allows and else encoded again, which changes no bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.config import Settings
from camp_bench.data.batches import pad_tokens
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.data.dataset import Split
from camp_bench.machine.timing import timed
from camp_bench.models.base import PairModel, Prepared
from camp_bench.ranking.grid import build_grid, fit_tile
from camp_bench.ranking.holding import Held, bytes_of
from camp_bench.shapes import Float

__all__ = ["Numbers", "OnScores", "SplitTiles", "Tiling", "fitted", "prepare_caption_tile", "prepare_image_tile"]

Numbers: TypeAlias = npt.NDArray[np.int64]
OnScores: TypeAlias = Callable[[Numbers, Numbers, npt.NDArray[np.float32]], None]
"""Who is told of scores: images (I,), captions (C,) and the scores (I, C) of all their pairs."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """The largest tile, and the bytes that scoring may take. adapt: half of them where memory runs out, and again."""

    images: int
    captions: int
    budget_bytes: int
    adapt: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Tiling:
        """Return what settings ask for."""
        budget = settings.memory_budget_bytes
        return cls(settings.tile_images, settings.tile_captions, budget, settings.adapt)

    @classmethod
    def joint(cls, parts: Sequence[Tiling | None]) -> Tiling | None:
        """Return the largest tile and the smallest budget of several rankings, None where one has no tiling."""
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        images, captions = max(part.images for part in known), max(part.captions for part in known)
        return cls(images, captions, min(part.budget_bytes for part in known), known[0].adapt)


def fitted(tiling: Tiling, model: PairModel, items: TokenizedSplit) -> Tiling:
    """Return the same with the largest tile that half of the budget holds; ConfigError if that is none."""
    words = math.ceil(sum(len(ids) for ids in items.token_ids) / len(items.token_ids))
    images, captions = fit_tile(
        items.split.n_images,
        items.split.n_captions,
        tile_images=tiling.images,
        tile_captions=tiling.captions,
        tile_bytes=lambda images, captions: model.tile_bytes(images, captions, items.split.n_regions, words),
        budget_bytes=tiling.budget_bytes // 2,
    )
    return replace(tiling, images=images, captions=captions)


def prepare_image_tile(model: PairModel, split: Split, rows: range, device: torch.device) -> Prepared:
    """Encode and prepare a range of images."""
    features = torch.from_numpy(split.gather(np.arange(rows.start, rows.stop))).to(device)
    return model.prepare_images(model.encode_images(features))


def prepare_caption_tile(
    model: PairModel, token_ids: Sequence[Sequence[int]], columns: Numbers, device: torch.device
) -> Prepared:
    """Encode and prepare captions, by their numbers."""
    tokens, lengths = pad_tokens([token_ids[i] for i in columns])
    return model.prepare_captions(model.encode_captions(tokens.to(device), lengths), lengths)


class SplitTiles:
    """The tiles of one split. tiling: as it is used, fitted to the budget.

    A half of the budget is for a tile with its temporaries, a quarter each for encoded images and captions.
    """

    def __init__(
        self,
        model: PairModel,
        items: TokenizedSplit,
        device: torch.device,
        tiling: Tiling,
        on_scores: OnScores | None = None,
    ) -> None:
        self._model, self._split, self._token_ids, self._on_scores = model, items.split, items.token_ids, on_scores
        self.device = device
        self.tiling = fitted(tiling, model, items)
        self.grid = build_grid(
            items.split.image_of,
            items.split.n_images,
            tile_images=self.tiling.images,
            tile_captions=self.tiling.captions,
            lengths=np.array([len(ids) for ids in items.token_ids]),
            texts=[tuple(ids) for ids in items.token_ids],
        )
        self.encode_seconds = 0.0
        self._images = Held(self._prepare_images, tiling.budget_bytes // 4, latest=True)
        self._captions = Held(self._prepare_captions, tiling.budget_bytes // 4)

    def strip(self) -> int:
        """Return how many image tiles are kept encoded together."""
        return max(1, self.tiling.budget_bytes // 4 // bytes_of(self._images(0)))

    def score(self, i: int, t: int) -> Float[Tensor, "rows columns"]:
        """Return the scores of (image tile i, caption tile t)."""
        scores = self._model.score_tile(self._images(i), self._captions(t))
        if scores.dtype in (torch.bfloat16, torch.float16):
            scores = scores.float()
        if self._on_scores is not None:
            rows = self.grid.image_tiles[i]
            found = scores.float().cpu().numpy()[:, self.grid.expand[t]]
            self._on_scores(np.arange(rows.start, rows.stop), self.grid.answers[t], found)
        return scores

    def _prepare_images(self, number: int) -> Prepared:
        with timed(self.device) as encoding:
            prepared = prepare_image_tile(self._model, self._split, self.grid.image_tiles[number], self.device)
        self.encode_seconds += encoding.seconds
        return prepared

    def _prepare_captions(self, number: int) -> Prepared:
        with timed(self.device) as encoding:
            columns = self.grid.caption_tiles[number]
            prepared = prepare_caption_tile(self._model, self._token_ids, columns, self.device)
        self.encode_seconds += encoding.seconds
        return prepared
