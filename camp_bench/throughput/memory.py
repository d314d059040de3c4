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

from camp_bench.environment import peak_memory_bytes
from camp_bench.errors import DeviceError

__all__ = ["format_bytes", "free_bytes", "peak_bytes", "require_memory"]

_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")
_RESET_PEAK = "5"
"""What Linux takes in clear_refs for "forget the largest resident memory so far" (proc(5))."""


def peak_bytes(device: torch.device, compute: Callable[[], object]) -> int | None:
    """Return the most memory that `compute` took above what was held before; None where the system doesn't tell.

    On a GPU that is memory of tensors, elsewhere resident memory of the process, to a page or so a thread.
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


def free_bytes(device: torch.device) -> int:
    """Return how much memory could still be taken on the device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)


def require_memory(needed: int, device: torch.device, what: str, remedy: str) -> None:
    """Raise DeviceError where the device hasn't that much memory free."""
    if needed > (free := free_bytes(device)):
        raise DeviceError(
            f"{what} would need about {format_bytes(needed)}, and {device} has {format_bytes(free)} free; {remedy}"
        )


def format_bytes(count: float) -> str:
    """Return a size with a decimal unit, `1.5 GB`."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:,.3g} {unit}" if count < 1000 else f"{count:,.0f} {unit}"
