"""Seconds of scoring all pairs of prepared items, at D = 1024, 36 regions and 12 words.

Measured is `score_tile` over all tiles, nothing else. Its ceiling is the machine's matrix-product rate on the FLOPs
that `camp-bench throughput` counts. VSE++ at 5,000 x 25,000 includes the ranks; its ceiling is the same product and one
look at every score.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from camp_bench.models.base import PairModel, Prepared
from camp_bench.ranking.grid import build_grid
from camp_bench.throughput.items import Gallery
from camp_bench.throughput.workload import random_lengths

REGIONS, WORDS, DIM = 36, 12.0, 1024
CPU = torch.device("cpu")


def gallery(model: PairModel, images: int, captions: int) -> Gallery:
    """Return random encoded items, prepared in the grid of the model: encoding so many for real would take minutes."""
    generator = torch.Generator().manual_seed(0)
    image = model.encode_images(torch.rand(1, REGIONS, model.shape.feature_size)).shape[1:]
    caption = model.encode_captions(torch.ones(1, 1, dtype=torch.int64), torch.tensor([1])).shape[1:]
    lengths = random_lengths(captions, WORDS)
    grid = build_grid(
        np.arange(captions) * images // captions,
        images,
        tile_images=model.settings.tile_images,
        tile_captions=model.settings.tile_captions,
        lengths=lengths,
    )

    def some_images(rows: range) -> Prepared:
        return model.prepare_images(unit_vectors((len(rows), *image), generator))

    def some_captions(columns: np.ndarray) -> Prepared:
        own = torch.from_numpy(lengths[columns])
        if len(caption) == 1:
            return model.prepare_captions(unit_vectors((len(columns), *caption), generator), own)
        longest = int(own.max())
        words = unit_vectors((len(columns), longest, *caption[1:]), generator)
        words[torch.arange(longest)[None, :] >= own[:, None]] = 0
        return model.prepare_captions(words, own)

    size = model.settings.tile_images, model.settings.tile_captions
    return Gallery(
        model, grid, size, [*map(some_images, grid.image_tiles)], [*map(some_captions, grid.caption_tiles)], CPU
    )


def unit_vectors(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(shape, generator=generator), dim=-1)


@pytest.mark.parametrize(
    ("name", "images", "captions"),
    [
        ("vsepp", 1000, 5000),
        ("scan:t2i-lse", 100, 500),
        ("scan:i2t-avg", 100, 500),
        ("camp", 16, 80),
        ("camp:gate_fusion_new", 16, 80),
    ],
)
@torch.no_grad()
def test_scoring(
    benchmark: BenchmarkFixture, model: Callable[[str, int], PairModel], name: str, images: int, captions: int
) -> None:
    items = gallery(model(name, DIM), images, captions)
    benchmark.extra_info["pairs"] = images * captions
    benchmark.pedantic(items.score, rounds=7, warmup_rounds=2)


@torch.no_grad()
def test_evaluation_of_vsepp(benchmark: BenchmarkFixture, model: Callable[[str, int], PairModel]) -> None:
    items = gallery(model("vsepp", DIM), 5000, 25000)
    benchmark.extra_info["pairs"] = 5000 * 25000
    benchmark.pedantic(items.evaluate, rounds=3, warmup_rounds=1)
