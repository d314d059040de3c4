"""Exact ranks of both directions from tiles of the score matrix, without ever holding the matrix.

`grid` cuts the matrix, `tiles` ranks whatever gives scores tile by tile, `stored` a matrix on disk; `counting` and
`toplists` are how, `holding` keeps what tiles are made of. `rerank` is the arithmetic of a cascade.
"""

from __future__ import annotations

from camp_bench.ranking.grid import TileGrid, build_grid, fit_tile
from camp_bench.ranking.holding import Held, bytes_of
from camp_bench.ranking.rerank import rerank
from camp_bench.ranking.stored import as_slice, rank_stored
from camp_bench.ranking.tiles import TOP, DirectionRanks, Ranks, rank_matrix, rank_tiles

__all__ = [
    "TOP",
    "DirectionRanks",
    "Held",
    "Ranks",
    "TileGrid",
    "as_slice",
    "build_grid",
    "bytes_of",
    "fit_tile",
    "rank_matrix",
    "rank_stored",
    "rank_tiles",
    "rerank",
]
