"""How the pairs of a model and a split are scored tile by tile: the grid, and items encoded when a tile needs them.

The grid alone decides which items share a batch, so it alone decides the last bits of a score. What is encoded is kept
as far as the budget allows and else encoded again, which changes no bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.data.batches import pad_tokens
from camp_bench.data.dataset import Split
from camp_bench.machine.timing import timed
from camp_bench.models.base import PairModel, Prepared
from camp_bench.ranking.grid import build_grid, fit_tile
from camp_bench.ranking.holding import Held, bytes_of
from camp_bench.shapes import Float

__all__ = ["Numbers", "OnScores", "SplitTiles", "prepare_caption_tile", "prepare_image_tile", "tile_size"]

Numbers: TypeAlias = npt.NDArray[np.int64]
OnScores: TypeAlias = Callable[[Numbers, Numbers, npt.NDArray[np.float32]], None]
"""Who is told of scores: images (I,), captions (C,) and the scores (I, C) of all their pairs."""


def tile_size(model: PairModel, split: Split, token_ids: Sequence[Sequence[int]], budget: int) -> tuple[int, int]:
    """Return images and captions of the largest tile that half of `budget` bytes hold; ConfigError if that is none."""
    words = math.ceil(sum(len(ids) for ids in token_ids) / len(token_ids))
    return fit_tile(
        split.n_images,
        split.n_captions,
        tile_images=model.settings.tile_images,
        tile_captions=model.settings.tile_captions,
        tile_bytes=lambda images, captions: model.tile_bytes(images, captions, split.n_regions, words),
        budget_bytes=budget // 2,
    )


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
    """The tiles of one split. size: images and captions of the largest. budget: in bytes.

    A half of the budget is for a tile with its temporaries, a quarter each for encoded images and captions.
    """

    def __init__(
        self,
        model: PairModel,
        split: Split,
        token_ids: Sequence[Sequence[int]],
        device: torch.device,
        budget: int,
        on_scores: OnScores | None = None,
    ) -> None:
        self._model, self._split, self._token_ids, self._on_scores = model, split, token_ids, on_scores
        self.device, self.budget = device, budget
        self.size = tile_size(model, split, token_ids, budget)
        self.grid = build_grid(
            split.image_of,
            split.n_images,
            tile_images=self.size[0],
            tile_captions=self.size[1],
            lengths=np.array([len(ids) for ids in token_ids]),
            texts=[tuple(ids) for ids in token_ids],
        )
        self.encode_seconds = 0.0
        self._images = Held(self._prepare_images, budget // 4, latest=True)
        self._captions = Held(self._prepare_captions, budget // 4)

    def strip(self) -> int:
        """Return how many image tiles are kept encoded together."""
        return max(1, self.budget // 4 // bytes_of(self._images(0)))

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
