"""Seconds from the scores of 5,000 images x 25,000 captions to exact ranks both ways, top lists included.

Measured is `rank_tiles` on tiles that are there already. Its ceiling is reading every score once, measured beside it.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from camp_bench.ranking import build_grid, rank_tiles

IMAGES, CAPTIONS = 5000, 25000
TILE_IMAGES, TILE_CAPTIONS = 500, 2500


@pytest.fixture(scope="module")
def scores() -> torch.Tensor:
    return torch.rand(IMAGES, CAPTIONS, generator=torch.Generator().manual_seed(0))


@pytest.mark.benchmark(group="ranking")
def test_ranks_from_given_tiles(benchmark: BenchmarkFixture, scores: torch.Tensor) -> None:
    image_of = np.arange(CAPTIONS) * IMAGES // CAPTIONS
    grid = build_grid(image_of, IMAGES, tile_images=TILE_IMAGES, tile_captions=TILE_CAPTIONS)
    width = CAPTIONS // len(grid.caption_tiles)  # without lengths the captions of a tile lie side by side

    def tile(i: int, t: int) -> torch.Tensor:
        rows = grid.image_tiles[i]
        return scores[rows.start : rows.stop, t * width : (t + 1) * width]

    assert all(np.array_equal(c, np.arange(t * width, (t + 1) * width)) for t, c in enumerate(grid.caption_tiles))
    benchmark.pedantic(rank_tiles, args=(grid, tile), rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="ranking")
def test_reading_the_scores_once(benchmark: BenchmarkFixture, scores: torch.Tensor) -> None:
    benchmark.pedantic(scores.amax, rounds=5, warmup_rounds=1)
