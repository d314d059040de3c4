"""The one way in which camp-bench takes time on any device."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

__all__ = ["Elapsed", "synchronize", "timed"]


@dataclass(slots=True)
class Elapsed:
    """Seconds of a timed block, there once the block has ended."""

    seconds: float = 0.0


def synchronize(device: torch.device) -> None:
    """Wait until all work queued on the device is done (nothing to wait for on a CPU)."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


@contextmanager
def timed(device: torch.device) -> Iterator[Elapsed]:
    """Time a block in seconds, from idle device to idle device: CUDA events on a GPU, the monotonic clock elsewhere."""
    elapsed = Elapsed()
    synchronize(device)
    if device.type == "cuda":
        # torch leaves the constructor untyped
        begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        begin.record(torch.cuda.current_stream(device))
        yield elapsed
        end.record(torch.cuda.current_stream(device))
        synchronize(device)
        elapsed.seconds = begin.elapsed_time(end) / 1000
        return
    start = time.perf_counter()
    yield elapsed
    synchronize(device)
    elapsed.seconds = time.perf_counter() - start
