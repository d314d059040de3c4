"""The machine's own limit: FLOP/s of one large matrix product, in whichever way of using the cores is faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from camp_bench.scoring.workers import spread
from camp_bench.timing import timed

__all__ = ["Product", "best_product"]

SIDE = {"cpu": 2048, "mps": 4096, "cuda": 8192}
"""Rows and columns: large enough for the highest rate, whatever sizes a model's products have."""
TRIALS = 3
_EDGE = 256
"""Rows that a core takes at a time where each works for itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A matrix product that can be run again. shape: (rows, inner, columns)."""

    shape: tuple[int, int, int]
    run: Callable[[], object]

    @property
    def flops(self) -> int:
        rows, inner, columns = self.shape
        return 2 * rows * inner * columns


@torch.no_grad()
def best_product(inner: int, device: torch.device) -> Product:
    """Return a float32 product over `inner`, the D of a model, as fast as the device does it.

    Measured is nothing but the product: operands and result are there and warm. Its ceiling is the arithmetic of the
    cores, and a model whose useful FLOP/s come near has nothing left to gain but fewer FLOPs. On a CPU two ways are
    tried: all cores in one product, and blocks of rows for each core alone, as `scoring.workers` shares out its work.
    """
    side = SIDE[device.type]
    generator = torch.Generator().manual_seed(0)
    left = torch.rand(side, inner, generator=generator).to(device)
    right = torch.rand(inner, side, generator=generator).to(device)
    out = torch.empty(side, side, device=device)
    blocks = list(zip(torch.split(left, _EDGE), torch.split(out, _EDGE), strict=True))

    def together() -> object:
        return torch.mm(left, right, out=out)

    def alone() -> object:
        return list(spread(lambda block: torch.mm(block[0], right, out=block[1]), blocks, device))

    ways: list[Callable[[], object]] = [together, alone] if device.type == "cpu" else [together]
    seconds = []
    for way in ways:
        way()
        trials = []
        for _ in range(TRIALS):
            with timed(device) as elapsed:
                way()
            trials.append(elapsed.seconds)
        seconds.append(min(trials))
    return Product((side, inner, side), ways[seconds.index(min(seconds))])
