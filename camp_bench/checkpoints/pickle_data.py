"""Reads a pickle by Python's own machine, which is given inert classes for the few names that it may use.

Whatever else a pickle names is refused by `find_class` before it could be imported, so there is nothing to call. What
is left are pickles that are short and take for ever, or all memory: their steps are looked through first, and those
that no program writes are refused.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable, Mapping
from typing import Any, Final

from camp_bench.errors import CheckpointError

__all__ = ["FAILURES", "Inert", "damaged", "read_pickle"]

MOST_STEPS: Final = 5_000_000
"""A vocabulary of 100,000 words takes 0.7 million."""
MOST_COPIES: Final = 100_000_000
"""Of calls times steps, since a call may copy all that there is. An honest checkpoint of 30 weights has 0.1 million."""
TUPLES: Final = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
PUTS: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
GETS: Final = frozenset({"GET", "BINGET", "LONG_BINGET"})
CALLS: Final = frozenset({"REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "INST", "OBJ"})
UNUSUAL: Final = frozenset({"DUP", "POP", "POP_MARK", "FROZENSET", "PERSID", "EXT1", "EXT2", "EXT4", "BYTEARRAY8"})
"""Steps that stand in no such file, and could serve to build much from little."""
FAILURES: Final = (
    *(pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError),
    *(EOFError, OverflowError, MemoryError, RuntimeError, ImportError),
)
"""What Python's or torch's reader raises where a file is damaged."""


class Inert:
    """Stands for an object of another program: its attributes are kept, and nothing else of it is here."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments


def damaged(where: str, reason: str) -> CheckpointError:
    """Return the error of a file that isn't whole."""
    return CheckpointError(f"{where}: damaged or cut short ({' '.join(reason.split())[:100]}); get the file again")


def read_pickle(
    stream: io.BytesIO,
    where: str,
    known: Mapping[tuple[str, str], Any],
    persistent: Callable[[Any], Any] | None = None,
) -> Any:
    """Read one pickle of a stream and return its content, with what `known` has for the names in it.

    Byte strings of Python 2 become text, in UTF-8. persistent: is given each reference to data beside the pickle; where
    it is None they are refused. Raises CheckpointError, which begins with `where`, for a pickle that is damaged or
    asks for more than data.
    """
    start = stream.tell()
    try:
        _look_through(stream, where)
        stream.seek(start)
        return _Reader(stream, where, known, persistent).load()
    except CheckpointError:
        raise
    except RecursionError:
        raise damaged(where, "nested too deeply") from None
    except FAILURES as error:
        raise damaged(where, str(error) or "its steps don't fit each other") from None


class _Reader(pickle.Unpickler):
    def __init__(
        self,
        stream: io.BytesIO,
        where: str,
        known: Mapping[tuple[str, str], Any],
        persistent: Callable[[Any], Any] | None,
    ) -> None:
        super().__init__(stream, fix_imports=False, encoding="utf-8", errors="surrogateescape")
        self._where, self._known, self._persistent = where, known, persistent

    def find_class(self, module: str, name: str, /) -> Any:
        found = self._known.get((module, name))
        if found is None:
            raise CheckpointError(
                f"{self._where}: names {module[:40]}.{name[:40]}, which no checkpoint or vocabulary needs; "
                f"nothing was run; don't trust this file"
            )
        return found

    def persistent_load(self, key: Any, /) -> Any:
        if self._persistent is None:
            raise ValueError("it refers to data beside it")
        return self._persistent(key)


def _look_through(stream: io.BytesIO, where: str) -> None:
    """Refuse steps that would take for ever or too much memory, by their kinds alone."""
    steps = calls = 0
    tuples: set[int] = (
        set()
    )  # where in the memo tuples are: of one used twice, another is made that takes twice as long
    memo = 0
    on_top = False
    argument: Any
    for opcode, argument, _ in pickletools.genops(stream):
        steps, calls, kind = steps + 1, calls + (opcode.name in CALLS), opcode.name
        if steps > MOST_STEPS or calls * steps > MOST_COPIES:
            raise CheckpointError(f"{where}: a pickle of more steps than any checkpoint needs; expected a smaller one")
        if kind in UNUSUAL:
            raise CheckpointError(f"{where}: holds a pickle step ({kind}) that no checkpoint needs; not used")
        if kind in PUTS:
            place = memo if kind == "MEMOIZE" else int(argument)
            memo += 1
            if place > steps:  # the memo makes room for all places below
                raise CheckpointError(f"{where}: holds a pickle that numbers more values than it has; not used")
            (tuples.add if on_top else tuples.discard)(place)
        elif kind in GETS and int(argument) in tuples:
            raise CheckpointError(f"{where}: holds a pickle that uses a tuple twice, as no checkpoint does; not used")
        else:
            on_top = kind in TUPLES
