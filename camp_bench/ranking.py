"""Exact ranks of both directions from tiles of the score matrix, without ever holding the matrix.

The grid puts each caption into the block of its image and sorts by length within the block, so a tile pads little and
the positives lie in few tiles. Those tiles are scored first and kept (tile_images x captions numbers); their positives
are the thresholds against which one pass over the grid then counts, for every row and column at once, what beats and
what ties. A positive's score is thus read from the very tile in which it is compared. Identical captions are scored
once and share the column.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.errors import DataError, NumericError
from camp_bench.shapes import Float, Int

__all__ = ["TOP", "DirectionRanks", "Ranks", "TileGrid", "build_grid", "rank_matrix", "rank_tiles"]

TOP = 100
"""How many of the best candidates a query keeps."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TileGrid:
    """How N images x M captions are cut into tiles.

    image_tiles: ranges of images, in order.
    caption_tiles: for each tile the captions that are scored, one for each distinct text, (columns,) int64.
    expand: for each caption tile the column of every caption that it answers for, (captions,) int64.
    answers: for each caption tile the captions that it answers for, (captions,) int64.
    image_of: (M,) int64.
    """

    image_tiles: tuple[range, ...]
    caption_tiles: tuple[Ints, ...]
    expand: tuple[Ints, ...]
    answers: tuple[Ints, ...]
    image_of: Ints

    @property
    def n_images(self) -> int:
        return self.image_tiles[-1].stop

    def positive_tiles(self) -> list[tuple[int, int]]:
        """Return the (image tile, caption tile) pairs that hold a positive, in order."""
        height = len(self.image_tiles[0])
        return [(int(i), t) for t, own in enumerate(self.answers) for i in np.unique(self.image_of[own] // height)]


def build_grid(
    image_of: Ints,
    n_images: int,
    *,
    tile_images: int,
    tile_captions: int,
    lengths: Ints | None = None,
    texts: Sequence[Hashable] | None = None,
) -> TileGrid:
    """Cut the score matrix into tiles of at most tile_images x tile_captions.

    image_of: (M,) image of each caption. lengths: (M,) words of each caption, for sorting within a block of images.
    texts: M values that are equal where captions are; such captions share one column.
    """
    n_captions = len(image_of)
    length = np.zeros(n_captions, dtype=np.int64) if lengths is None else lengths
    first: dict[Hashable, int] = {}
    scored = [first.setdefault(key, i) for i, key in enumerate(range(n_captions) if texts is None else texts)]
    share: dict[int, list[int]] = {}
    for caption, leader in enumerate(scored):
        share.setdefault(leader, []).append(caption)
    leaders = np.fromiter(share, dtype=np.int64, count=len(share))
    block = image_of[leaders] // tile_images
    order = np.lexsort((leaders, length[leaders], block))
    leaders, block = leaders[order], block[order]
    caption_tiles, expand, answers = [], [], []
    for b in np.unique(block):
        inside = leaders[block == b]
        for start in range(0, len(inside), tile_captions):
            columns = inside[start : start + tile_captions]
            caption_tiles.append(columns)
            expand.append(np.repeat(np.arange(len(columns)), [len(share[int(c)]) for c in columns]))
            answers.append(np.concatenate([np.asarray(share[int(c)], dtype=np.int64) for c in columns]))
    image_tiles = tuple(range(s, min(s + tile_images, n_images)) for s in range(0, n_images, tile_images))
    numbers = np.asarray(image_of, dtype=np.int64)
    return TileGrid(image_tiles, tuple(caption_tiles), tuple(expand), tuple(answers), numbers)


@dataclass(frozen=True, slots=True, eq=False)
class DirectionRanks:
    """One entry a query: b negatives above the best positive, n tied with it, p positives tied (the best included).

    top_ids, top_scores: (queries, min(TOP, candidates)), best first, equal scores by lower id.
    """

    b: Ints
    n: Ints
    p: Ints
    top_ids: npt.NDArray[np.int32]
    top_scores: npt.NDArray[np.float32]

    @property
    def counts(self) -> tuple[Ints, Ints, Ints]:
        return self.b, self.n, self.p


@dataclass(frozen=True, slots=True)
class Ranks:
    """Ranks of all images as queries for captions (i2t) and of all captions as queries for images (t2i)."""

    i2t: DirectionRanks
    t2i: DirectionRanks


def rank_tiles(
    grid: TileGrid,
    score: Callable[[int, int], Float[Tensor, "rows columns"]],
    *,
    device: torch.device | str = "cpu",
    on_tile: Callable[[int, int], None] | None = None,
) -> Ranks:
    """Rank every query of both directions in one pass over the grid.

    score: gives the tile of (image tile, caption tile), scores on `device`; each is asked for exactly once.
    on_tile: told (tiles done, tiles in all), for progress.
    Memory beside the tiles: O(N + M) counts and top lists, and tile_images x M scores for the tiles with positives.
    Raises NumericError naming the tile where a score is NaN.
    """
    n, m = grid.n_images, len(grid.image_of)
    total, done = len(grid.image_tiles) * len(grid.caption_tiles), 0
    image_of = torch.from_numpy(grid.image_of).to(device)
    expand = [
        None if len(columns) == len(tile_captions) else torch.from_numpy(columns).to(device)
        for columns, tile_captions in zip(grid.expand, grid.caption_tiles, strict=True)
    ]
    answers = [torch.from_numpy(a).to(device) for a in grid.answers]

    def tile(i: int, t: int) -> Tensor:
        nonlocal done
        scores = score(i, t)
        if bool(torch.isnan(scores).any()):
            rows, columns = grid.image_tiles[i], grid.caption_tiles[t]
            row, column = (int(x) for x in torch.isnan(scores).nonzero()[0])
            raise NumericError(
                f"score is NaN for image {rows[row]} and caption {columns[column]} (tile {i}, {t} of the grid); "
                "NaN has no rank: check the features and the weights, or lower the learning rate"
            )
        done += 1
        if on_tile is not None:
            on_tile(done, total)
        columns_of = expand[t]
        return scores if columns_of is None else scores[:, columns_of]

    kept: dict[tuple[int, int], Tensor] = {}
    positive: Tensor | None = None
    for i, t in grid.positive_tiles():
        scores = kept[i, t] = tile(i, t)
        if positive is None:
            positive = torch.empty(m, dtype=scores.dtype, device=device)
        rows, own = grid.image_tiles[i], answers[t]
        here = (image_of[own] >= rows.start) & (image_of[own] < rows.stop)
        positive[own[here]] = scores[image_of[own[here]] - rows.start, here.nonzero()[:, 0]]
    assert positive is not None  # every caption has an image
    lowest = torch.full((n,), -torch.inf, dtype=positive.dtype, device=device)
    best = lowest.scatter_reduce(0, image_of, positive, "amax")
    tied = torch.zeros(n, dtype=torch.int64, device=device).index_add(0, image_of, (positive == best[image_of]).long())

    counts = [torch.zeros(size, dtype=torch.int64, device=device) for size in (n, n, m, m)]
    above_image, equal_image, above_caption, equal_caption = counts
    image_top, caption_top = _TopList(n, m, device), _TopList(m, n, device)
    for i, rows in enumerate(grid.image_tiles):
        images = slice(rows.start, rows.stop)
        ids = torch.arange(rows.start, rows.stop, device=device)
        for t, own in enumerate(answers):
            scores = kept.pop((i, t)) if (i, t) in kept else tile(i, t)
            above_image[images] += (scores > best[images, None]).sum(1)
            equal_image[images] += (scores == best[images, None]).sum(1)
            above_caption[own] += (scores > positive[own]).sum(0)
            equal_caption[own] += (scores == positive[own]).sum(0)
            image_top.update(ids, scores, own)
            caption_top.update(own, scores.T, ids)
    one = torch.ones_like(above_caption)
    return Ranks(
        i2t=_direction(above_image, equal_image - tied, tied, image_top),
        t2i=_direction(above_caption, equal_caption - one, one, caption_top),
    )


def rank_matrix(scores: Float[Tensor, "images captions"], image_of: Ints) -> Ranks:
    """Rank a score matrix that is already there. image_of: (captions,) image of each caption.

    Top lists order float64 scores as float32; counts don't. Raises DataError where the two don't fit each other.
    """
    if scores.ndim != 2 or not scores.is_floating_point():
        raise DataError(f"scores: {tuple(scores.shape)} {scores.dtype}, expected floats of shape (images, captions)")
    n, m = scores.shape
    if image_of.shape != (m,) or m == 0 or image_of.min() < 0 or image_of.max() >= n:
        raise DataError(
            f"image_of: shape {image_of.shape} for scores of {n} images x {m} captions; expected the image of each "
            f"caption, numbers from 0 to {n - 1}"
        )
    grid = build_grid(image_of, n, tile_images=n, tile_captions=m)
    order = torch.from_numpy(grid.caption_tiles[0]).to(scores.device)
    return rank_tiles(grid, lambda _i, _t: scores[:, order], device=scores.device)


def _direction(b: Tensor, n: Tensor, p: Tensor, top: _TopList) -> DirectionRanks:
    ids, scores = top.result()
    return DirectionRanks(b.cpu().numpy(), n.cpu().numpy(), p.cpu().numpy(), ids, scores)


class _TopList:
    """The TOP best candidates of every query, whatever the order in which they come.

    A candidate is one int64: its float32 score, mapped to an integer of the same order, above its inverted id. Keys are
    unique, so which of two equal scores stays never depends on tiles or on how topk breaks ties.
    """

    def __init__(self, queries: int, candidates: int, device: torch.device | str) -> None:
        self._size = min(TOP, candidates)
        self._keys = torch.full((queries, self._size), torch.iinfo(torch.int64).min, dtype=torch.int64, device=device)

    def update(self, queries: Int[Tensor, " q"], scores: Float[Tensor, "q c"], candidates: Int[Tensor, " c"]) -> None:
        bits = (scores.float() + 0.0).contiguous().view(torch.int32)  # + 0.0 makes -0.0 the 0.0 that it equals
        ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
        keys = (ordered << 32) + (0xFFFFFFFF - candidates)
        old = self._keys[queries]
        self._keys[queries] = torch.cat((old, keys), 1).topk(self._size, dim=1).values

    def result(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        keys = self._keys.cpu()
        ids = (0xFFFFFFFF - (keys & 0xFFFFFFFF)).to(torch.int32)
        ordered = (keys >> 32).to(torch.int32)
        bits = torch.where(ordered < 0, ordered ^ 0x7FFFFFFF, ordered)
        return ids.numpy(), bits.view(torch.float32).numpy()
