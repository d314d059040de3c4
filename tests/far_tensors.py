"""Tensors that say they lie on another device, so that mixing devices fails on a machine that has a CPU only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map


class Far(Tensor):
    """A CPU tensor, `inner`, that passes for one on the device meta: a CPU tensor refuses it as an index."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Far:
        far: Far = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.shape, dtype=inner.dtype, device="meta", strides=inner.stride()
        )
        far.inner = inner.detach()
        return far

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = dict(kwargs or {})
        home = function is torch.ops.aten._to_copy.default and torch.device(given.get("device", "meta")).type == "cpu"
        if "device" in given:
            given["device"] = "cpu"
        tensors: list[Tensor] = []
        tree_map(lambda value: tensors.append(value) if isinstance(value, Tensor) else None, (args, given))
        if not isinstance(tensors[0], Far) and function is torch.ops.aten.index.Tensor:
            raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
        bare = lambda value: value.inner if isinstance(value, Far) else value
        found = function(*tree_map(bare, args), **tree_map(bare, given))
        if home:
            return found
        return tree_map(lambda value: Far(value) if isinstance(value, Tensor) else value, found)
