"""How the score matrix is cut into tiles, so that the positives lie in few of them.

Each caption stands in the block of its image, sorted by length within the block, so a tile pads little. Identical
captions are scored once and share the column; where they belong to images of several blocks, the column stands in
the shared tiles at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from camp_bench.errors import ConfigError

__all__ = ["TileGrid", "build_grid", "fit_tile"]

Ints = npt.NDArray[np.int64]

WORTH = 0.8
"""Halving a side of a tile is worth it where no more of the memory than this part is left."""


@dataclass(frozen=True, slots=True, eq=False)
class TileGrid:
    """How N images x M captions are cut into tiles.

    image_tiles: ranges of images, in order.
    caption_tiles: for each tile the captions that are scored, one for each distinct text, (columns,) int64.
    expand: for each caption tile the column of every caption that it answers for, (captions,) int64: first all
        columns in order, each for the caption scored, then those of the captions that repeat one.
    answers: for each caption tile the captions that it answers for, (captions,) int64.
    image_of: (M,) int64.
    own: for each image tile the caption tiles of its block. shared: the caption tiles of no single block.
    """

    image_tiles: tuple[range, ...]
    caption_tiles: tuple[Ints, ...]
    expand: tuple[Ints, ...]
    answers: tuple[Ints, ...]
    image_of: Ints
    own: tuple[range, ...]
    shared: range

    @property
    def n_images(self) -> int:
        return self.image_tiles[-1].stop

    @property
    def n_tiles(self) -> int:
        return len(self.image_tiles) * len(self.caption_tiles)

    def positives_in(self, i: int, t: int) -> tuple[Ints, Ints, Ints]:
        """Return row, column and caption of every positive of the tile."""
        rows = self.image_tiles[i]
        image = self.image_of[self.answers[t]]
        here = np.flatnonzero((image >= rows.start) & (image < rows.stop))
        return image[here] - rows.start, self.expand[t][here], self.answers[t][here]

    def positive_tiles(self) -> list[tuple[int, int]]:
        """Return the (image tile, caption tile) pairs that hold a positive, in order of the image tiles."""
        height = len(self.image_tiles[0])
        shared = {t: set((self.image_of[self.answers[t]] // height).tolist()) for t in self.shared}
        return [(i, t) for i, own in enumerate(self.own) for t in (*own, *(t for t in self.shared if i in shared[t]))]


def build_grid(
    image_of: Ints,
    n_images: int,
    *,
    tile_images: int,
    tile_captions: int,
    lengths: Ints | None = None,
    texts: Sequence[Hashable] | None = None,
) -> TileGrid:
    """Cut the score matrix into tiles of at most tile_images x tile_captions, those of a block about equally wide.

    image_of: (M,) image of each caption. lengths: (M,) words of each caption, for sorting within a block of images.
    texts: M values that are equal where captions are; such captions share one column.
    """
    image_of = np.asarray(image_of, dtype=np.int64)
    image_tiles = tuple(range(s, min(s + tile_images, n_images)) for s in range(0, n_images, tile_images))
    everyone = np.arange(len(image_of))
    scored = everyone  # the caption whose column each one takes
    if texts is not None:
        first: dict[Hashable, int] = {}
        scored = np.fromiter((first.setdefault(text, i) for i, text in enumerate(texts)), np.int64, len(image_of))
    block = image_of // tile_images
    lowest = block.copy()
    np.minimum.at(lowest, scored, block)
    np.maximum.at(block, scored, block.copy())
    leaders = np.flatnonzero(scored == everyone)
    place = np.where(lowest == block, block, len(image_tiles))[leaders]
    length = np.zeros(len(leaders)) if lengths is None else lengths[leaders]
    order = np.lexsort((leaders, length, place))
    leaders = leaders[order]
    ends = np.searchsorted(place[order], np.arange(len(image_tiles) + 2))
    caption_tiles: list[Ints] = []
    blocks: list[range] = []
    for start, stop in pairwise(ends):
        before = len(caption_tiles)
        if stop > start:
            caption_tiles.extend(np.array_split(leaders[start:stop], -((start - stop) // tile_captions)))
        blocks.append(range(before, len(caption_tiles)))
    tile_of, column_of = np.zeros_like(image_of), np.zeros_like(image_of)
    for t, columns in enumerate(caption_tiles):
        tile_of[columns], column_of[columns] = t, np.arange(len(columns))
    repeats = np.flatnonzero(scored != everyone)
    repeats = repeats[np.argsort(tile_of[scored[repeats]], kind="stable")]
    cuts = np.searchsorted(tile_of[scored[repeats]], np.arange(1, len(caption_tiles)))
    again = np.split(repeats, cuts)
    expand = tuple(
        np.concatenate((np.arange(len(columns)), column_of[scored[more]]))
        for columns, more in zip(caption_tiles, again, strict=True)
    )
    answers = tuple(np.concatenate(both) for both in zip(caption_tiles, again, strict=True))
    return TileGrid(image_tiles, tuple(caption_tiles), expand, answers, image_of, tuple(blocks[:-1]), blocks[-1])


def fit_tile(
    n_images: int,
    n_captions: int,
    *,
    tile_images: int,
    tile_captions: int,
    tile_bytes: Callable[[int, int], int],
    budget_bytes: int,
) -> tuple[int, int]:
    """Return the largest tile, in images and captions, that fits a budget; it depends on nothing but the arguments.

    tile_images, tile_captions: the largest wanted. tile_bytes: what scoring a tile takes. The tiles of a block of
    images with its own captions are held together, which counts too. Raises ConfigError where one pair is too much.
    """
    each = -(-n_captions // n_images)

    def needed(size: tuple[int, int]) -> int:
        return tile_bytes(*size) + 4 * size[0] * each * size[0]

    size = min(tile_images, n_images), min(tile_captions, n_captions)
    while (bytes_needed := needed(size)) > budget_bytes:
        if size == (1, 1):
            raise ConfigError(
                f"memory budget: {2 * budget_bytes:,} bytes are too few for one pair, which takes {bytes_needed:,} of "
                f"half of them; pass --memory-budget {2 * bytes_needed + 1}B or more"
            )
        halved = (-(-size[0] // 2), size[1]), (size[0], -(-size[1] // 2))
        longer, shorter = halved if size[0] >= size[1] else halved[::-1]
        # the longer side gives way, unless it isn't what takes the memory
        size = longer if needed(longer) < WORTH * bytes_needed else min(longer, shorter, key=needed)
    return size
