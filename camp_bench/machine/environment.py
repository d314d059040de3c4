"""Collects where a run takes place: versions, machine, threads, commit."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from camp_bench.records import Environment

__all__ = ["collect_environment", "peak_memory_bytes"]

PACKAGES = ("torch", "numpy", "scipy", "safetensors", "nltk", "msgspec")
VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG", "CUDA_VISIBLE_DEVICES")


def collect_environment(*, device: str, device_name: str, threads: int) -> Environment:
    """Return the environment of this process; `threads` is how many the numeric library uses."""
    return Environment(
        camp_bench=version("camp-bench"),
        commit=_commit(),
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := _version(name)) is not None},
        system=platform.platform(),
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_bytes=int(psutil.virtual_memory().total),
        device=device,
        device_name=device_name,
        threads=threads,
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
    )


def peak_memory_bytes() -> int | None:
    """Return the largest resident memory of this process so far, or None where the system does not tell."""
    # Linux counts the peak of whoever started this process into ru_maxrss, but not into VmHWM.
    if (kibibytes := re.search(r"^VmHWM:\s*(\d+) kB$", _read(Path("/proc/self/status")), re.MULTILINE)) is not None:
        return int(kibibytes[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    name = re.search(r"^model name\s*:\s*(.*\S)", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    return name[1] if name is not None else platform.processor() or platform.machine()


def _read(file: Path) -> str:
    """Return the text of a file of Linux's /proc, empty on other systems."""
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _commit() -> str | None:
    """Return the commit of the checkout that this package runs from, `+changes` where files differ.

    None when installed or where git can't tell.
    """
    checkout = Path(__file__).resolve().parent.parent
    if not (checkout / ".git").exists():
        return None
    try:
        head = _git(checkout, "rev-parse", "HEAD")
        return head + ("+changes" if _git(checkout, "status", "--porcelain", "--", "camp_bench") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(checkout: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(checkout), *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
