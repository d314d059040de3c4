"""Loops that are compiled to machine code when they are first called.

numpy and torch pass over all numbers once for every operation; where a scorer or a ranking needs many cheap operations
on each number, those passes are what it costs. A compiled loop does them all while a number is in a register.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba

__all__ = ["compiled"]

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R], **options: Any) -> Callable[P, R]:
    """Return the function compiled for this processor, and run without Python's lock, so that threads run it at once.

    Compiling takes about a second for each kind of arguments; the result is kept for later processes where some folder
    can be written to, and renewed when the function's file changes: so a compiled function calls only those of its own
    file. options: numba's, such as `fastmath`.
    """
    bare = inspect.unwrap(function)  # without what checks arguments at every call, as our tests do
    settings = {"nogil": True, "error_model": "numpy", **options}
    found: Callable[P, R]
    try:
        found = numba.njit(cache=True, **settings)(bare)
    except RuntimeError:  # neither the package's folder nor the user's can be written to
        found = numba.njit(**settings)(bare)
    return found
