"""How this process uses threads and memory, settled once before torch is loaded.

On a CPU a training step makes temporaries of many megabytes. glibc hands blocks that large back to the system when
they are freed, so each step pays for their pages again; and OpenMP threads spin while they wait, which starves whoever
shares their cores. Both are settings of the process, so only the command line calls this; a library must not.
"""

from __future__ import annotations

import ctypes
import os
import sys

__all__ = ["prepare_process"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_MMAP_BYTES, _TRIM_BYTES = 32 << 20, 1 << 30
"""Smaller blocks come from the heap (32 MiB is the most that glibc accepts), and so much may lie free at its end."""


def prepare_process() -> None:
    """Let idle OpenMP threads sleep and the allocator keep freed memory; what the environment says stays.

    Takes effect only before torch is loaded. Does nothing where the C library is not glibc.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if sys.platform != "linux" or "MALLOC_MMAP_THRESHOLD_" in os.environ or "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has none
        return
    mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)
    mallopt(_TRIM_THRESHOLD, _TRIM_BYTES)
