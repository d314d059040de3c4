"""Independent pieces of work on all cores, one core each.

A CPU's cores can share one operation, but then they wait for each other at its end. At the size of a cache that waiting
costs more than the operation, whether the threads sleep (waking takes 50 microseconds) or spin (which starves whoever
shares the cores). So each thread here takes whole pieces and runs their operations alone. Results don't depend on how
many threads there are.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import torch

__all__ = ["cut", "spread"]

T = TypeVar("T")
R = TypeVar("R")


def cut(length: int, parts: int) -> list[tuple[int, int]]:
    """Return where so many stretches of about the same length start and stop."""
    return list(pairwise(length * part // parts for part in range(parts + 1)))


def spread(work: Callable[[T], R], pieces: Iterable[T], device: torch.device) -> Iterator[R]:
    """Yield `work(piece)` in the order of the pieces; on a CPU, as many at a time as torch may use threads.

    Gradients are recorded as in the calling thread. Under autocast, which threads don't share, one after the other.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1 or torch.is_autocast_enabled("cpu"):
        return map(work, pieces)
    recorded = torch.is_grad_enabled()

    def alone(piece: T) -> R:
        with torch.set_grad_enabled(recorded):
            return work(piece)

    return _pool(threads).map(alone, pieces)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="scores", initializer=torch.set_num_threads, initargs=(1,))
