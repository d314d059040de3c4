"""Which device computes, in which precision, and whether it can promise the same digits twice."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from camp_bench.errors import DeviceError

__all__ = ["DEVICES", "autocast", "nondeterminism", "resolve_device", "strict_numerics"]

DEVICES = ("auto", "cpu", "cuda", "mps")


def resolve_device(name: str) -> torch.device:
    """Return the device called `name`: auto (the best there is), cpu, cuda, cuda:N or mps.

    Raises DeviceError where it isn't there, saying what is.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    there = ["cpu"] + [f"cuda:{i}" for i in range(torch.cuda.device_count() if cuda else 0)] + (["mps"] if mps else [])
    if name in there or (name == "cuda" and cuda):
        return torch.device(name)
    raise DeviceError(f"device '{name}' is not there; this machine has {', '.join(there)} (or pass --device auto)")


@contextmanager
def strict_numerics(device: torch.device) -> Iterator[None]:
    """Make float32 mean float32 (no TF32 anywhere) and kernels deterministic where the device has them; restore both after."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only with it; read at its first use
    before = (torch.backends.fp32_precision, torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled())
    torch.backends.fp32_precision = "ieee"
    torch.use_deterministic_algorithms(device.type != "mps", warn_only=True)
    try:
        yield
    finally:
        torch.backends.fp32_precision = before[0]
        torch.use_deterministic_algorithms(before[1], warn_only=before[2])


@contextmanager
def nondeterminism() -> Iterator[list[str]]:
    """Collect, in the list it yields, what torch says about kernels without a deterministic form."""
    reasons: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield reasons
    for item in caught:
        text = str(item.message)
        if "deterministic" in text:
            reasons.append(text.splitlines()[0])
        else:
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which a model's forward pass runs in the precision asked for, `fp32` or `bf16`."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
