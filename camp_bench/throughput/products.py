"""The machine's own limit: FLOP/s of one large matrix product, in whichever way of using the cores is faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from camp_bench.machine.threads import spread
from camp_bench.throughput.sampling import Job

__all__ = ["Product", "make_product"]

SIDE = {"cpu": 2048, "mps": 4096, "cuda": 8192}
"""Rows and columns: large enough for the highest rate, whatever sizes a model's own products have."""
ROWS = 256
"""Rows that a core takes at a time where each works for itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Product:
    """A float32 matrix product of `shape` (rows, inner, columns), and the ways in which it can be run."""

    shape: tuple[int, int, int]
    ways: dict[str, Job]

    @property
    def flops(self) -> int:
        rows, inner, columns = self.shape
        return 2 * rows * inner * columns


def make_product(inner: int, device: torch.device) -> Product:
    """Return a product over `inner`, the D of a model, whose rate no scorer of that D can pass.

    Running it is nothing but the product: operands are there and warm. Its ceiling is the arithmetic of the cores. A
    CPU has several ways: all cores share the product, or each takes blocks of rows for itself, as `workers` has
    them work; with the kernel that torch takes by itself, or with oneDNN's. The rate is that of the fastest.
    """
    side = SIDE[device.type]
    generator = torch.Generator().manual_seed(0)
    left = torch.rand(side, inner, generator=generator).to(device)
    right = torch.rand(side, inner, generator=generator).to(device)
    blocks = torch.split(left, ROWS)
    ways: dict[str, Job] = {}
    for name, multiply in _kernels(device).items():
        ways[f"product, {name}"] = partial(multiply, left, right)
        if device.type == "cpu":
            ways[f"product by rows, {name}"] = partial(_by_rows, multiply, blocks, right)
    return Product((side, inner, side), ways)


def _kernels(device: torch.device) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Return ways to multiply a and the transpose of b."""
    found: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"torch": lambda a, b: a @ b.T}
    linear: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # of torch.compile's code, not public
    if device.type == "cpu" and linear is not None:
        found["oneDNN"] = lambda a, b: linear(a, b, None, "none", [], "")
    return found


def _by_rows(multiply: Callable[[Tensor, Tensor], Tensor], blocks: Sequence[Tensor], right: Tensor) -> list[Tensor]:
    return list(spread(lambda block: multiply(block, right), blocks, right.device))
