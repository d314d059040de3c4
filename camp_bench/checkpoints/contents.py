"""What stands in a checkpoint of the authors' programs: state dicts, each weight taken once, and the options `opt`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor

from camp_bench.checkpoints.torch_file import Namespace
from camp_bench.errors import CheckpointError, nearest

__all__ = ["Options", "Plain", "StateDict", "plain_count", "plain_number"]

Plain = bool | int | float | str | None
_Kind = TypeVar("_Kind")

MOST_OPTIONS: Final = 300
"""How many values of `opt` are looked at; the programs have about 40."""
LONGEST_TEXT: Final = 500


class StateDict:
    """One state dict of a checkpoint, by names without the `module.` of torch's DataParallel."""

    def __init__(self, path: Path, what: str, content: Any) -> None:
        self._path, self.where = path, f"{path}: {what}"
        if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
            raise CheckpointError(f"{self.where} is no state dict; expected weights by name")
        self._left: dict[str, Any] = {name.removeprefix("module."): value for name, value in content.items()}
        if len(self._left) != len(content):
            raise CheckpointError(f"{self.where} has weights both with and without 'module.'; expected one of them")
        self.names = frozenset(self._left)

    @property
    def left(self) -> list[str]:
        """The names that were not taken yet, in the order of the file."""
        return list(self._left)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the size of a weight that was not taken yet."""
        return tuple(self._tensor(self._left[name], name).shape)

    def take(self, name: str, *shape: int | None) -> Tensor:
        """Return a weight as float32, of that shape (None: any size), and count it as used.

        Raises CheckpointError where it is missing, of another shape or type, or not finite.
        """
        if name not in self._left:
            raise CheckpointError(f"{self.where} lacks {name}{nearest(name, self._left)}")
        found = self._tensor(self._left.pop(name), name)
        fits = len(found.shape) == len(shape) and all(b in (a, None) for a, b in zip(found.shape, shape, strict=True))
        if not fits or not found.is_floating_point():
            expected = " x ".join("any" if size is None else f"{size}" for size in shape) or "one number"
            got = " x ".join(map(str, found.shape)) or "one number"
            raise CheckpointError(f"{self.where}: {name} is {got} of {found.dtype}; expected {expected} floats")
        weight = found.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        if not bool(torch.isfinite(weight).all()):
            raise CheckpointError(f"{self.where}: {name} holds NaN or infinity; expected finite weights")
        return weight

    def _tensor(self, value: Any, name: str) -> Tensor:
        if not isinstance(value, Tensor):
            raise CheckpointError(f"{self._path}: {name} is a {type(value).__name__}; expected a tensor")
        return value.detach()

    def refuse_rest(self, model: str) -> None:
        """Raise CheckpointError where weights are left that the model has no use for."""
        if self._left:
            names = ", ".join(name[:60] for name in list(self._left)[:3])
            raise CheckpointError(
                f"{self.where} has {len(self._left)} weights that {model} has no place for "
                f"({names}); expected a checkpoint of VSE++, SCAN or CAMP as released"
            )


class Options:
    """The options that a program stored with its weights. plain: its plain values, those in tables by dotted name."""

    def __init__(self, where: str, opt: Any) -> None:
        values = vars(opt) if isinstance(opt, Namespace) else opt
        if not isinstance(values, dict):
            raise CheckpointError(f"{where}: no options 'opt'; expected those that the program was started with")
        self.where = where
        self.plain: dict[str, Plain] = {}
        self._looked = 0
        self._gather("", values, depth=0)

    def _gather(self, start: str, values: dict[Any, Any], depth: int) -> None:
        for key, value in values.items():
            self._looked += 1
            if self._looked > MOST_OPTIONS:
                return
            inner = vars(value) if isinstance(value, Namespace) else value
            if not _is_text(key):
                continue
            if isinstance(inner, dict) and depth < 3:
                self._gather(f"{start}{key}.", inner, depth + 1)
            elif _is_plain(value):
                self.plain[f"{start}{key}"] = value

    def get(self, name: str) -> Plain:
        """Return an option by its name, or by the last part of it where only one is called so; None for none."""
        found = [value for dotted, value in self.plain.items() if dotted.rpartition(".")[2] == name]
        return self.plain.get(name, found[0] if len(found) == 1 else None)

    def flag(self, name: str) -> bool:
        """Return whether an option is set; one that isn't there is not."""
        return bool(self.get(name))

    def number(self, name: str) -> float:
        """Return a number; CheckpointError where it is missing or none."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise CheckpointError(f"{self.where}: opt.{name} is {value!r:.60}; expected a number")
        return float(value)

    def choice(self, name: str, known: Mapping[str, _Kind]) -> _Kind:
        """Return what the option's value stands for; CheckpointError where it is missing or another."""
        value = self.get(name)
        if not isinstance(value, str) or value not in known:
            raise CheckpointError(f"{self.where}: opt.{name} is {value!r:.60}; expected one of {', '.join(known)}")
        return known[value]


def plain_count(value: Any) -> int | None:
    """Return a whole number of 0 or more, or None for anything else."""
    return value if type(value) is int and 0 <= value < 2**63 else None


def plain_number(value: Any) -> float | None:
    """Return a finite number, or None for anything else."""
    return float(value) if type(value) in (int, float) and _is_plain(value) else None


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, int) and abs(value) < 2**63)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_TEXT and value.isprintable()
