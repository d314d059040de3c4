"""Ranks from one vector an item, read from arrays that may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.errors import DataError, NumericError
from camp_bench.machine.product import product
from camp_bench.ranking.grid import build_grid, fit_tile
from camp_bench.ranking.holding import Held
from camp_bench.ranking.matrix import as_slice
from camp_bench.ranking.tiles import TOP, Ranks, rank_tiles

__all__ = ["rank_embeddings"]

MEASURES = ("cosine", "dot")
TILE = 1000, 2500
"""The largest tile: 10 MB of scores, which stay in a cache while they are ranked."""

Vectors = npt.NDArray[np.floating[Any]]


def rank_embeddings(
    images: Vectors,
    captions: Vectors,
    image_of: npt.NDArray[np.int64],
    *,
    measure: Literal["cosine", "dot"] = "cosine",
    memory_budget: int = 10**9,
    top: int = TOP,
    ends: bool = False,
    device: torch.device | str = "cpu",
    on_tile: Callable[[int, int], None] | None = None,
) -> Ranks:
    """Rank (N, D) images and (M, D) captions, memory-mapped or not, of float16, float32 or float64, in float32.

    image_of: (M,) the image of each caption. measure: of similarity. memory_budget: bytes for tiles of scores and
    vectors in float32; beside them counts and top lists take (N + M) x 16 x `top` bytes or a little more. The grid
    depends on the shapes and the budget alone. ends, on_tile: as in `rank_tiles`.
    Raises DataError for arrays that don't fit each other, ConfigError for a budget that holds no pair, and
    NumericError, naming the item, for a vector that is not finite or, under `cosine`, zero.
    """
    _check(images, captions, image_of, measure)
    n, m = len(images), len(captions)
    height, width = fit_tile(
        n,
        m,
        tile_images=TILE[0],
        tile_captions=TILE[1],
        tile_bytes=lambda rows, columns: 8 * rows * columns + 8 * (rows + columns) * images.shape[1],
        budget_bytes=memory_budget // 2,
    )
    grid = build_grid(image_of, n, tile_images=height, tile_captions=width)

    def rows_of(number: int) -> dict[str, Tensor]:
        rows = grid.image_tiles[number]
        return {"vectors": _vectors("image", images, np.arange(rows.start, rows.stop), measure, device)}

    def columns_of(number: int) -> dict[str, Tensor]:
        return {"vectors": _vectors("caption", captions, grid.caption_tiles[number], measure, device)}

    image_tile = Held(rows_of, memory_budget // 4, latest=True)
    caption_tile = Held(columns_of, memory_budget // 4)
    return rank_tiles(
        grid,
        lambda i, t: product(image_tile(i)["vectors"], caption_tile(t)["vectors"]),
        device=device,
        top=top,
        ends=ends,
        strip=max(1, memory_budget // 4 // (4 * height * images.shape[1])),
        on_tile=on_tile,
    )


def _vectors(
    side: str, source: Vectors, items: npt.NDArray[np.int64], measure: str, device: torch.device | str
) -> Tensor:
    vectors = torch.from_numpy(np.array(source[as_slice(items)])).to(device=device, dtype=torch.float32)
    length = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    wrong = ~length.isfinite() | ((length == 0) if measure == "cosine" else False)
    if bool(wrong.any()):
        place = int(wrong[:, 0].nonzero()[0, 0])
        what = "zero, which has no direction" if float(length[place]) == 0 else "not made of finite numbers"
        named = {side: int(items[place])}
        raise NumericError(f"{side} {{{side}}}: its vector is {what}; mend or remove it", **named)
    return vectors.div_(length) if measure == "cosine" else vectors


def _check(images: Vectors, captions: Vectors, image_of: npt.NDArray[np.int64], measure: str) -> None:
    if measure not in MEASURES:
        raise DataError(f"measure: got '{measure}', expected {' or '.join(MEASURES)}")
    for name, array in (("images", images), ("captions", captions)):
        if array.ndim != 2 or 0 in array.shape or array.dtype not in (np.float16, np.float32, np.float64):
            raise DataError(
                f"{name}: shape {array.shape} of {array.dtype}; expected (items, size) of float16, float32 or float64"
            )
    if images.shape[1] != captions.shape[1]:
        raise DataError(f"vectors of size {images.shape[1]} (images) and {captions.shape[1]} (captions); expected one")
    if image_of.shape != (len(captions),) or image_of.dtype.kind not in "iu":
        raise DataError(
            f"image_of: shape {image_of.shape} of {image_of.dtype} for {len(captions):,} captions; expected the number "
            f"of an image for each"
        )
    if image_of.min() < 0 or image_of.max() >= len(images):
        raise DataError(
            f"image_of: numbers from {image_of.min()} to {image_of.max()} for {len(images):,} images; expected 0 to "
            f"{len(images) - 1}"
        )
