"""Memory that a computation takes at its peak, and whether there is enough for what it needs."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import torch

from camp_bench.errors import DeviceError
from camp_bench.machine.environment import peak_memory_bytes

__all__ = ["peak_bytes", "require_memory"]

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"
"""What Linux takes in clear_refs for "forget the largest resident memory so far" (proc(5))."""


def peak_bytes(device: torch.device, compute: Callable[[], object]) -> int | None:
    """Return the most memory that `compute` took above what was held before; None where the system doesn't tell.

    On a GPU that is memory of tensors, elsewhere resident memory of the process, to a page or so a thread; what the
    allocator kept of earlier work and couldn't be made to give back is not seen.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        compute()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with suppress(OSError, AttributeError):  # memory that is free but kept would hide what compute takes
        ctypes.CDLL(None).malloc_trim(0)
    try:
        if sys.platform != "linux":
            raise OSError
        _CLEAR.write_text(_RESET_PEAK)
        before = int(re.findall(r"^VmRSS:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)[0]) * 1024
    except (OSError, IndexError):
        compute()
        return None
    compute()
    peak = peak_memory_bytes()
    return None if peak is None else max(peak - before, 0)


def require_memory(needed: int, device: torch.device, what: str, remedy: str) -> None:
    """Raise DeviceError where the device hasn't that much memory free."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    if needed > free:
        raise DeviceError(
            f"{what} would need {needed / 1e9:,.1f} GB or more, and {device} has {free / 1e9:,.1f} GB free; {remedy}"
        )
