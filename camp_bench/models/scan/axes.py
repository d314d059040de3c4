"""What is reduced in a table of affinities, (G, R, W): the regions of each image, or the words of each caption.

Each axis knows how to sum over its items, how to find their greatest entry, and how to give such results back to every
item. So a scorer with two directions is written once.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

from camp_bench.machine.product import product
from camp_bench.shapes import Bool, Float, Int

__all__ = ["Axis", "PackedAxis", "PaddedAxis", "RegionAxis"]


class RegionAxis:
    """Dimension 1, all of it. Results are (G, 1, W)."""

    def __init__(self, regions: int) -> None:
        self.count: int | Tensor = regions

    def sum(self, table: Float[Tensor, "G R W"]) -> Float[Tensor, "G 1 W"]:
        return table.sum(1, keepdim=True)

    def amax(self, table: Float[Tensor, "G R W"]) -> Float[Tensor, "G 1 W"]:
        return table.amax(1, keepdim=True)

    def spread(self, results: Float[Tensor, "G 1 W"]) -> Float[Tensor, "G 1 W"]:
        return results

    def hide(self, table: Float[Tensor, "G R W"]) -> Float[Tensor, "G R W"]:
        return table


class PaddedAxis:
    """Dimension 2 of one pair each, (P, R, L), where `mask`, (P, L), says which words are real. Results: (P, R, 1).

    Sums are over what is there: entries that are not real have to be zero, or hidden, which makes them -infinity.
    """

    def __init__(self, mask: Bool[Tensor, "P L"]) -> None:
        self._blank = ~mask[:, None]
        self.count = mask.sum(1)[:, None, None]

    def sum(self, table: Float[Tensor, "P R L"]) -> Float[Tensor, "P R 1"]:
        return table.sum(2, keepdim=True)

    def amax(self, table: Float[Tensor, "P R L"]) -> Float[Tensor, "P R 1"]:
        return self.hide(table).amax(2, keepdim=True)

    def spread(self, results: Float[Tensor, "P R 1"]) -> Float[Tensor, "P R 1"]:
        return results

    def hide(self, table: Float[Tensor, "P R L"]) -> Float[Tensor, "P R L"]:
        return table.masked_fill(self._blank, -torch.inf)


class PackedAxis:
    """Dimension 2, (G, R, W), where the words of C captions lie side by side. Results: (G, R, C).

    owner: the caption, below `captions` = C, of each word. Sums are products with a table of zeros and ones, which is
    what a processor does fastest with runs as short as sentences; they give exact copies on the way back.
    """

    def __init__(self, owner: Int[Tensor, " W"], captions: int, dtype: torch.dtype) -> None:
        self._owner = owner
        self._member = (torch.arange(captions, device=owner.device)[:, None] == owner).to(dtype)
        self.count = self._member.sum(1)

    def sum(self, table: Float[Tensor, "G R W"]) -> Float[Tensor, "G R C"]:
        return product(table.flatten(0, 1), self._member).view(*table.shape[:2], -1)

    def amax(self, table: Float[Tensor, "G R W"]) -> Float[Tensor, "G R C"]:
        lowest = table.new_full((*table.shape[:2], len(self._member)), -torch.inf)
        return lowest.scatter_reduce(2, self._owner.expand(table.shape), table, "amax")

    def spread(self, results: Float[Tensor, "G R C"]) -> Float[Tensor, "G R W"]:
        return product(results.flatten(0, 1), self._member.T).view(*results.shape[:2], -1)

    def hide(self, table: Float[Tensor, "G R W"]) -> Float[Tensor, "G R W"]:
        return table


Axis: TypeAlias = RegionAxis | PaddedAxis | PackedAxis
