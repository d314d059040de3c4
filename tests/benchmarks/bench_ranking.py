"""Seconds from the scores of 5,000 images x 25,000 captions to exact ranks both ways, with top lists and without.

Measured is `rank_tiles` on tiles that are there already. Its ceiling is reading every score once, measured beside it;
an argsort both ways is what it saves.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from camp_bench.ranking.grid import TileGrid, build_grid
from camp_bench.ranking.tiles import TOP, rank_tiles

IMAGES, CAPTIONS = 5000, 25000
TILE_IMAGES, TILE_CAPTIONS = 500, 2500


Tiles = tuple[TileGrid, list[list[torch.Tensor]]]


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    """Return a grid and its tiles of random scores, each in a stretch of memory of its own, as a scorer makes them."""
    image_of = np.arange(CAPTIONS) * IMAGES // CAPTIONS
    grid = build_grid(image_of, IMAGES, tile_images=TILE_IMAGES, tile_captions=TILE_CAPTIONS)
    generator = torch.Generator().manual_seed(0)
    return grid, [
        [torch.rand(len(rows), len(columns), generator=generator) for columns in grid.caption_tiles]
        for rows in grid.image_tiles
    ]


@pytest.mark.benchmark(group="ranking")
@pytest.mark.parametrize("top", [TOP, 0], ids=["with-top-lists", "counts-alone"])
def test_ranks_from_given_tiles(benchmark: BenchmarkFixture, tiles: Tiles, top: int) -> None:
    grid, scores = tiles
    benchmark.pedantic(
        rank_tiles, args=(grid, lambda i, t: scores[i][t]), kwargs={"top": top}, rounds=5, warmup_rounds=1
    )


@pytest.mark.benchmark(group="ranking")
def test_reading_the_scores_once(benchmark: BenchmarkFixture, tiles: Tiles) -> None:
    benchmark.pedantic(lambda: [tile.amax() for row in tiles[1] for tile in row], rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="ranking")
def test_sorting_both_ways(benchmark: BenchmarkFixture, tiles: Tiles) -> None:
    """What ranks are commonly read from: the order of all candidates of every query."""
    whole = torch.cat([torch.cat(row, 1) for row in tiles[1]])
    benchmark.pedantic(lambda: (whole.argsort(1), whole.T.argsort(1)), rounds=1)
