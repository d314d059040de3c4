"""Which device computes, in which precision, and whether it can promise the same digits twice."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from camp_bench.errors import ConfigError, DeviceError, nearest

__all__ = [
    "DEVICES",
    "PRECISIONS",
    "autocast",
    "describe_device",
    "explained_memory",
    "float32_on_cpu",
    "nondeterminism",
    "peak_device_bytes",
    "require_precision",
    "resolve_device",
    "strict_numerics",
]

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
    """Make float32 mean float32 (no TF32 anywhere) and kernels deterministic where they can be; restore both after.

    Deterministic kernels are all it takes: that torch would then also fill the memory of every new tensor before it is
    written, for programs that read it unwritten, costs a training step 5 % and is left out.
    """
    # cuBLAS is deterministic only with it, and reads it at its first use
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    changed: list[tuple[Any, str]] = []
    for part in _precision_settings():
        if (before := part.fp32_precision) != "ieee":
            changed.append((part, before))
            part.fp32_precision = "ieee"
    torch.use_deterministic_algorithms(device.type != "mps", warn_only=True)
    fills: Any = torch.utils.deterministic  # its one attribute is declared nowhere
    filled, fills.fill_uninitialized_memory = fills.fill_uninitialized_memory, False
    try:
        yield
    finally:
        for part, before in reversed(changed):
            part.fp32_precision = before
        fills.fill_uninitialized_memory = filled
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def _precision_settings() -> tuple[Any, ...]:
    """Return all that hold a float32 precision, the general one first: the others follow it unless set themselves."""
    backends: Any = torch.backends  # torch declares no types for these attributes
    cudnn, mkldnn = backends.cudnn, backends.mkldnn
    parts = (cudnn, cudnn.conv, cudnn.rnn, mkldnn, mkldnn.conv, mkldnn.rnn, mkldnn.matmul)
    return backends, *parts, backends.cuda.matmul


@contextmanager
def nondeterminism(device: torch.device | None = None) -> Iterator[list[str]]:
    """Collect, in the list it yields, what torch says about kernels without a deterministic form, and if none has."""
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
    if device is not None and device.type == "mps":
        reasons.append("the mps device has no deterministic mode")


PRECISIONS = ("fp32", "bf16", "fp16")


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Return the context in which a model's forward pass runs in the precision asked for: `fp32`, `bf16` or `fp16`."""
    half = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, half, enabled=precision != "fp32")


def require_precision(device: torch.device, precision: str) -> None:
    """Raise ConfigError for a precision that doesn't exist, DeviceError for one that the device doesn't compute in."""
    if precision not in PRECISIONS:
        hint = nearest(precision, PRECISIONS)
        raise ConfigError(f"precision: got '{precision}'{hint}, expected one of {', '.join(PRECISIONS)}")
    lacks = device.type == "cpu" and precision == "fp16"
    if device.type == "cuda" and precision == "bf16":
        lacks = not torch.cuda.is_bf16_supported(including_emulation=False)
    if lacks:
        other = "bf16" if device.type == "cpu" else "fp16"
        raise DeviceError(f"precision: {device} doesn't compute in {precision}; expected fp32 or {other}")


def describe_device(device: torch.device) -> str:
    """Return the name of a GPU, or "" for a device that the environment describes already."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else ""


def peak_device_bytes(device: torch.device) -> int | None:
    """Return the most memory that tensors have taken on a GPU since it was last asked for; None on other devices."""
    if device.type != "cuda":
        return None
    peak = torch.cuda.max_memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    return peak


@contextmanager
def explained_memory(remedy: str) -> Iterator[None]:
    """Turn any form of "out of memory" inside the block into a DeviceError that ends with `remedy`."""
    try:
        yield
    except DeviceError:  # which names its remedy already
        raise
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "DefaultCPUAllocator" in text:
            first = text.splitlines()[0] if text else "the machine has no memory left"
            raise DeviceError(f"out of memory ({first}); {remedy}") from None
        raise


def float32_on_cpu(*tensors: Tensor) -> bool:
    """Tell whether all are float32 on a CPU and will be taken as such, which is not so under autocast."""
    usual = all(tensor.dtype == torch.float32 and tensor.device.type == "cpu" for tensor in tensors)
    return usual and not torch.is_autocast_enabled("cpu")
