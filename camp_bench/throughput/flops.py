"""What a computation costs, without a clock: FLOPs of matrix products, bytes that operations move.

FLOPs are exact and the same on every machine, bytes wherever torch takes the same kernels. Additions, exponentials and
the like are no FLOPs here, as in torch's own counter: for the scorers of this package products are nearly all of the
arithmetic, and the only part that a machine's matrix-product rate says something about. Bytes are what all operations
read and write, views excepted, as if nothing stayed in a cache: an upper bound of the memory traffic, and what a leaner
program has less of. What compiled loops do is not seen: of SCAN on a CPU, how it reads its affinities, and its products
with small Gram tables, 1 to 3.5 % of its FLOPs at D = 1024.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["Work", "count_work", "use_threads"]

_NO_COPY = {torch.ops.aten._unsafe_view.default, torch.ops.aten._reshape_alias.default}
"""Views in all but name: they hand on the memory that they were given."""


@dataclass(frozen=True, slots=True)
class Work:
    """FLOPs of all matrix products, and bytes that all operations read and write."""

    flops: int
    traffic_bytes: int


def count_work(compute: Callable[[], object]) -> Work:
    """Run `compute` once and count what it does; uncompiled and in one thread, since only that one is watched."""
    counter = FlopCounterMode(display=False, custom_mapping=_LEFT_OUT)
    with use_threads(1), torch.compiler.set_stance("force_eager"), counter, _Traffic() as traffic:
        compute()
    return Work(int(counter.get_total_flops()), traffic.total)


@contextmanager
def use_threads(threads: int) -> Iterator[None]:
    """Let torch use so many threads inside the block; 0 changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _matrix_vector(matrix: Any, *_rest: Any, **_named: Any) -> int:
    return 2 * int(matrix[0]) * int(matrix[1])


def _added_matrix_vector(_added: Any, matrix: Any, *_rest: Any, **_named: Any) -> int:
    return 2 * int(matrix[0]) * int(matrix[1])


def _vector_vector(vector: Any, *_rest: Any, **_named: Any) -> int:
    return 2 * int(vector[0])


def _linear(rows: Any, weight: Any, *_rest: Any, **_named: Any) -> int:
    return int(2 * math.prod(rows) * weight[0])


_LEFT_OUT: dict[Any, Callable[..., int]] = {
    torch.ops.aten.mv: _matrix_vector,
    torch.ops.aten.addmv: _added_matrix_vector,
    torch.ops.aten.dot: _vector_vector,
}
"""Products that torch's counter leaves out; it hands over shapes."""
if hasattr(torch.ops.mkldnn, "_linear_pointwise"):
    _LEFT_OUT[torch.ops.mkldnn._linear_pointwise] = _linear


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves the class untyped
    """Adds up the bytes of every operation's arguments and results."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and func not in _NO_COPY:
            self.total += sum(_bytes(leaf) for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor))
        return result


def _bytes(tensor: Tensor) -> int:
    """Return the bytes behind a tensor, what it repeats by a stride of 0 once."""
    numbers = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        numbers *= size if stride else min(size, 1)
    return numbers * tensor.element_size()
