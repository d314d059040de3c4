"""The matrix products that scorers spend their time in, by the fastest kernel at hand that computes in full precision.

On a CPU, torch hands float32 products to MKL, which leaves half the speed of an AVX-512 processor by AMD unused; the
kernels of oneDNN, which torch has too, don't. Measured there: 116 and 265 GFLOP/s a core.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from camp_bench.machine.devices import float32_on_cpu
from camp_bench.shapes import Float

__all__ = ["product", "product_relu"]

SMALL = 1 << 16
"""Multiplications below which the other kernel's call would cost more than it gains."""

# torch.compile's code calls this operator too, but it isn't public: where it is gone, all works without it
_onednn: Any = (
    getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if torch.backends.cpu.get_cpu_capability() == "AVX512"
    else None
)


def product(
    a: Float[Tensor, "M K"], b: Float[Tensor, "N K"], bias: Float[Tensor, " N"] | None = None
) -> Float[Tensor, "M N"]:
    """Return a @ b.T, plus the bias if there is one; it can be differentiated once."""
    if not _suits(a, b):
        return functional.linear(a, b, bias)
    return _multiply(a, b, bias, "none")


def product_relu(a: Float[Tensor, "M K"], b: Float[Tensor, "N K"], bias: Float[Tensor, " N"]) -> Float[Tensor, "M N"]:
    """Return max(0, a @ b.T + bias); it can be differentiated once."""
    if not _suits(a, b):
        return functional.linear(a, b, bias).relu_()
    return _multiply(a, b, bias, "relu")


def _multiply(a: Tensor, b: Tensor, bias: Tensor | None, last: str) -> Tensor:
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (a, b, bias)):
        found: Tensor = _Product.apply(a, b, bias, last)  # type: ignore[no-untyped-call]
        return found
    return _onednn(_dense(a), _dense(b), bias, last, [], "")  # type: ignore[no-any-return]


def _dense(x: Tensor) -> Tensor:
    """Return a matrix without gaps between its rows, or its columns: oneDNN is slow with any other."""
    return x if x.is_contiguous() or x.T.is_contiguous() else x.contiguous()


def _suits(a: Tensor, b: Tensor) -> bool:
    """Tell whether oneDNN's kernel can multiply these, and is worth it."""
    return _onednn is not None and len(a) * len(b) * a.shape[1] >= SMALL and float32_on_cpu(a, b)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, bias: Tensor | None, last: str) -> Tensor:
        found = _multiply(a, b, bias, last)
        ctx.save_for_backward(a, b, *([found] if last == "relu" else []))
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        a, b, *found = ctx.saved_tensors
        if found:
            gradient = torch.ops.aten.threshold_backward(gradient, found[0], 0)
        return (
            product(gradient, b.T) if ctx.needs_input_grad[0] else None,
            product(gradient.T, a.T) if ctx.needs_input_grad[1] else None,
            gradient.sum(0) if ctx.needs_input_grad[2] else None,
            None,
        )
