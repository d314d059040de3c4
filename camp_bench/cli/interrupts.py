"""Ctrl-C, wherever it comes: it ends the program with 130 and is never swallowed.

A KeyboardInterrupt that is raised while a module is imported can be lost: in a callback of the import system, where
Python prints and forgets it, or in a library that catches everything. So an import is let through to its end first.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["STOPPED", "interruptible", "starting"]

STOPPED = 130
AGAIN_SECONDS = 0.05
LONGEST_IMPORTS = 600
"""How often an interrupt waits for imports, half a minute in all: a module of the user's may never end."""


@contextmanager
def starting() -> Iterator[None]:
    """End the process at once where Ctrl-C comes within the block, the imports of a start, which leave nothing."""
    with _handled(lambda *_: os._exit(STOPPED)):
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt in the block, after an import that is under way, and never into nowhere."""
    waits = 0
    waiting: list[threading.Timer] = []  # the one that interrupts again, if any

    def later() -> None:
        waiting[:] = [threading.Timer(AGAIN_SECONDS, _thread.interrupt_main)]
        waiting[0].daemon = True
        waiting[0].start()

    def interrupt(_number: int, frame: FrameType | None) -> None:
        nonlocal waits
        if _importing(frame) and waits < LONGEST_IMPORTS:
            waits += 1
            later()
            return
        waits = 0
        waiting.clear()
        raise KeyboardInterrupt

    def unraisable(found: Any) -> None:
        if found.exc_type is not None and issubclass(found.exc_type, KeyboardInterrupt):
            later()  # a destructor or a callback had it
        else:
            before(found)

    before, sys.unraisablehook = sys.unraisablehook, unraisable
    try:
        with _handled(interrupt):
            try:
                yield
            finally:
                if waiting:  # all was done before it came again
                    waiting[0].cancel()
                    raise KeyboardInterrupt
    finally:
        sys.unraisablehook = before


def _importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__") == "importlib._bootstrap":
            return True
        frame = frame.f_back
    return False


@contextmanager
def _handled(handler: Any) -> Iterator[None]:
    """Handle SIGINT so within the block, where this is the main thread and Ctrl-C isn't ignored."""
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
