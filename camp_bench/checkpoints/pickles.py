"""Reads a pickle as data: nothing is imported, called or built that the pickle names.

A pickle is a program for a small stack machine. Python's machine imports what the program names and calls it. This one
has no such steps: a name stays a name, an object of some class becomes a `Record` of the class's name and its fields,
and a call is kept as a `Record` where checkpoints need it (`CALLS`) and refused everywhere else. So there is nothing
that a crafted file could run, and no list of dangerous names that could miss one. What is kept has about the
size of the file: lengths that a file declares are held against the bytes that it has.
"""

from __future__ import annotations

import pickletools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from camp_bench.errors import CheckpointError

__all__ = ["CALLS", "BoundedStream", "Name", "Record", "read_pickle"]

MOST_STEPS: Final = 5_000_000
"""A vocabulary of 100,000 words takes 0.7 million."""


@dataclass(frozen=True, slots=True)
class Name:
    """What a pickle says of a class or function: where it would be imported from."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"[:80]


@dataclass(slots=True, eq=False)
class Record:
    """An object that was not built. arguments: of the call that would make it. fields: its attributes and items."""

    of: Name
    arguments: tuple[Any, ...] = ()
    fields: dict[Any, Any] = field(default_factory=dict)


ORDERED = Name("collections", "OrderedDict")
RECONSTRUCT = Name("copyreg", "_reconstructor")
PERSISTENT = Name("pickle", "persistent_id")
"""Stands for data that lie beside the pickle: in torch's files, the numbers of a tensor."""

CALLS: Final = {
    *(Name("torch._utils", f"_rebuild_{kind}") for kind in ("tensor", "tensor_v2", "parameter")),
    *(Name("torch", kind) for kind in ("Size", "device")),
    *(Name(f"numpy.{core}.multiarray", kind) for core in ("core", "_core") for kind in ("scalar", "_reconstruct")),
    Name("numpy", "dtype"),
    Name("numpy", "ndarray"),
    Name("types", "SimpleNamespace"),
    Name("_codecs", "encode"),
}
"""Calls that stand in honest files and are kept, not made."""

STANDARD: Final = {
    ORDERED,
    RECONSTRUCT,
    Name("argparse", "Namespace"),
    Name("optparse", "Values"),
    Name("builtins", "object"),
    Name("builtins", "dict"),
}
"""All else of Python's own library that options are made of."""

RENAMED: Final = {"__builtin__": "builtins", "copy_reg": "copyreg"}
"""Modules of Python 2."""


@runtime_checkable
class Readable(Protocol):
    """The part of a binary file that pickles are read through."""

    def read(self, size: int, /) -> bytes: ...

    def readline(self, size: int, /) -> bytes: ...


class BoundedStream:
    """`read` and `readline` of a file for as many bytes as it has left, so that a declared length allocates nothing."""

    def __init__(self, file: Readable, left: int) -> None:
        self._file, self.left = file, left

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes; ValueError where there are fewer."""
        if size > self.left:
            raise ValueError(f"{size:,} bytes declared, {self.left:,} there")
        self.left -= size
        return self._file.read(size)

    def readline(self) -> bytes:
        """Return what is left of the line."""
        line = self._file.readline(self.left)
        self.left -= len(line)
        return line


def read_pickle(stream: BoundedStream, where: str, persistent: list[Record] | None = None) -> Any:
    """Read one pickle of any protocol up to its end and return its content as plain values, `Name` and `Record`.

    Byte strings of Python 2 become text, in UTF-8. persistent: takes in all references to data beside the pickle; where
    it is None they are refused. Raises CheckpointError, which begins with `where`, for a pickle that is damaged or
    asks for more than data.
    """
    machine = _Machine(where, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(stream):  # type: ignore[arg-type]  # it has what is used of it
            machine.spend(1)
            machine.step(opcode.name, argument)
        return machine.pop()
    except (ValueError, IndexError, KeyError, TypeError, OverflowError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = str(error)[:100] if type(error) is ValueError else "its steps don't fit each other"
        raise CheckpointError(f"{where}: damaged or cut short ({reason}); get the file again") from None


class _Machine:
    """The stack, its marks and the memo of one pickle."""

    def __init__(self, where: str, persistent: list[Record] | None) -> None:
        self.where, self.persistent = where, persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.spent = 0

    def spend(self, steps: int) -> None:
        """Count steps, and what a step copies as so many: else a short pickle could copy without end."""
        self.spent += steps
        if self.spent > MOST_STEPS:
            raise CheckpointError(f"{self.where}: a pickle of more than {MOST_STEPS:,} steps; expected a smaller one")

    def pop(self) -> Any:
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def step(self, opcode: str, argument: Any) -> None:
        if opcode in _VALUES:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode]())
        elif opcode in ("STRING", "BINSTRING", "SHORT_BINSTRING"):
            # Bytes that are no UTF-8 stay recognisable, and whoever needs a text refuses them.
            self.stack.append(argument.encode("latin-1").decode("utf-8", "surrogateescape"))
        elif opcode in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif opcode == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif opcode in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif (do := _STEPS.get(opcode)) is not None:
            do(self, argument)
        elif opcode not in ("PROTO", "FRAME", "STOP"):
            raise CheckpointError(f"{self.where}: holds a pickle step ({opcode}) that no checkpoint needs; not used")

    def refuse(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"{self.where}: {what}, which no checkpoint or vocabulary needs; nothing was run; don't trust this file"
        )

    def name(self, module: str, name: str) -> Name:
        """Return a name if it can be that of an option class, or of what `CALLS` and `STANDARD` list."""
        found = Name(RENAMED.get(module, module), name)
        package = found.module.partition(".")[0]
        if found in CALLS or found in STANDARD or package == "__main__":
            return found
        if name.endswith("Storage") and found.module in ("torch", "torch.cuda"):
            return found
        if found.module.startswith("torch.nn."):
            raise CheckpointError(f"{self.where}: holds a whole module ({found}); expected its state_dict() alone")
        if package in ("torch", "numpy") or package in sys.stdlib_module_names:
            raise self.refuse(f"names {found}")
        return found

    def call(self, what: Any, arguments: Any) -> Any:
        """Return what stands for a call."""
        if not isinstance(what, Name) or not isinstance(arguments, tuple):
            raise self.refuse("calls what another call returned")
        if what == ORDERED:  # with a list of pairs from Python 2
            pairs = arguments[0] if arguments else ()
            self.spend(len(pairs))
            return dict(self.item(*pair) for pair in pairs)
        if what == RECONSTRUCT and arguments and isinstance(arguments[0], Name):
            return Record(arguments[0])
        if what not in CALLS:
            raise self.refuse(f"calls {what}")
        return Record(what, arguments)

    def build(self, what: Any, arguments: Any) -> Record | dict[Any, Any]:
        """Return what stands for a new object of a class."""
        if what == ORDERED:
            return {}
        if not isinstance(what, Name) or what in CALLS:
            raise self.refuse("builds an object of what is no class")
        if arguments:
            raise self.refuse(f"gives arguments to {what}")
        return Record(what)

    def item(self, key: Any, value: Any) -> tuple[Any, Any]:
        if not isinstance(key, str | int | float | bytes | None):  # the hash of nested tuples can take for ever
            raise ValueError(f"a key is a {type(key).__name__}")
        return key, value

    def fill(self, target: Any, items: list[Any]) -> None:
        into = target.fields if isinstance(target, Record) else target
        if not isinstance(into, dict):
            raise ValueError(f"items for a {type(target).__name__}")
        if len(items) % 2:
            raise ValueError("a key without a value")
        into.update(self.item(*pair) for pair in zip(items[::2], items[1::2], strict=True))

    def extend(self, target: Any, items: list[Any]) -> None:
        if not isinstance(target, list):
            raise ValueError(f"items for a {type(target).__name__}")
        target.extend(items)

    def state(self, target: Any, state: Any) -> None:
        """Take in the attributes of an object; those of a dict (torch's `_metadata`) are of no use."""
        parts = state if isinstance(state, tuple) else (state,)
        self.spend(len(parts))
        for part in parts:
            if isinstance(target, Record) and isinstance(part, dict):
                self.spend(len(part))
                target.fields.update(part)
            elif not isinstance(target, Record | dict):
                raise ValueError(f"attributes for a {type(target).__name__}")

    def reference(self, key: Any) -> Record:
        if self.persistent is None or not isinstance(key, tuple):
            raise ValueError("it refers to data beside it")
        found = Record(PERSISTENT, key)
        self.persistent.append(found)
        return found


_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": list,
}


def _tuple(machine: _Machine, size: int) -> None:
    items = [machine.pop() for _ in range(size)]
    machine.stack.append(tuple(reversed(items)))


def _two(act: Callable[[_Machine, Any, Any], Any]) -> Callable[[_Machine, Any], None]:
    """Return the step that takes two from the stack and puts the result of `act` there."""

    def step(machine: _Machine, _: Any) -> None:
        second, first = machine.pop(), machine.pop()
        machine.stack.append(act(machine, first, second))

    return step


def _onto(act: Callable[[_Machine, Any, list[Any]], None], count: int | None) -> Callable[[_Machine, Any], None]:
    """Return the step that adds the `count` topmost, or all since the mark, to what lies below them."""

    def step(machine: _Machine, _: Any) -> None:
        items = machine.since_mark() if count is None else [machine.pop() for _ in range(count)][::-1]
        act(machine, machine.stack[-1], items)

    return step


def _gathered(make: Callable[[_Machine, list[Any]], Any]) -> Callable[[_Machine, Any], None]:
    """Return the step that makes one value of all since the mark."""
    return lambda machine, _: machine.stack.append(make(machine, machine.since_mark()))


def _dict(machine: _Machine, items: list[Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    machine.fill(made, items)
    return made


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": lambda machine, _: machine.pop(),
    "POP_MARK": lambda machine, _: machine.since_mark().clear(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "TUPLE1": lambda machine, _: _tuple(machine, 1),
    "TUPLE2": lambda machine, _: _tuple(machine, 2),
    "TUPLE3": lambda machine, _: _tuple(machine, 3),
    "TUPLE": _gathered(lambda _, items: tuple(items)),
    "FROZENSET": _gathered(lambda _, items: tuple(items)),
    "LIST": _gathered(lambda _, items: items),
    "DICT": _gathered(_dict),
    "APPEND": _onto(_Machine.extend, 1),
    "APPENDS": _onto(_Machine.extend, None),
    "ADDITEMS": _onto(_Machine.extend, None),
    "SETITEM": _onto(_Machine.fill, 2),
    "SETITEMS": _onto(_Machine.fill, None),
    "GLOBAL": lambda machine, pair: machine.stack.append(machine.name(*pair.split(" ", 1))),
    "STACK_GLOBAL": _two(lambda machine, module, name: machine.name(_text(module), _text(name))),
    "REDUCE": _two(_Machine.call),
    "NEWOBJ": _two(_Machine.build),
    "OBJ": _gathered(lambda machine, items: machine.build(items[0], items[1:])),
    "INST": lambda machine, pair: machine.stack.append(
        machine.build(machine.name(*pair.split(" ", 1)), machine.since_mark())
    ),
    "BUILD": lambda machine, _: machine.state(machine.stack[-2], machine.pop()),
    "BINPERSID": lambda machine, _: machine.stack.append(machine.reference(machine.pop())),
}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a name is no text")
    return value
