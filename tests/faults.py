"""Faults at the n-th thing that a program asks of its disk, as SQLite tests itself, and processes that are killed."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

KILL = 0
"""In place of an error number: the process is killed there."""


class Disk:
    """Counts what is asked of the disk; at the `at`-th time it fails so, and is well again after that."""

    def __init__(self, at: int, fault: int) -> None:
        self.asked, self._at, self._fault = 0, at, fault

    @property
    def failed(self) -> bool:
        return self.asked >= self._at

    def ask(self, path: Any = None) -> None:
        self.asked += 1
        if self.asked != self._at:
            return
        if self._fault == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(self._fault, os.strerror(self._fault), None if isinstance(path, int) else path)


@contextmanager
def failing_disk(at: int, fault: int) -> Iterator[Disk]:
    """Let the `at`-th of all files made, writes, fsyncs, renames and folders made fail within the block."""
    disk = Disk(at, fault)
    real_open, real_fdopen = os.open, os.fdopen

    def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            disk.ask(path)
        return real_open(path, flags, *rest, **options)

    def fdopened(handle: int, *rest: Any, **options: Any) -> Any:
        return _Stream(real_fdopen(handle, *rest, **options), disk)

    def asking(real: Callable[..., Any]) -> Callable[..., Any]:
        def ask(first: Any, *rest: Any, **options: Any) -> Any:
            disk.ask(first)
            return real(first, *rest, **options)

        return ask

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", opened)
        patch.setattr(os, "fdopen", fdopened)
        for name in ("fsync", "replace", "rename", "mkdir"):
            patch.setattr(os, name, asking(getattr(os, name)))
        yield disk


class _Stream:
    """A file whose writes are counted."""

    def __init__(self, stream: Any, disk: Disk) -> None:
        self._stream, self._disk = stream, disk

    def write(self, data: Any) -> Any:
        self._disk.ask()
        return self._stream.write(data)

    def __enter__(self) -> _Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


FAULTS = [pytest.param(errno.ENOSPC, id="full"), pytest.param(errno.EIO, id="broken"), pytest.param(KILL, id="killed")]


def start(act: Callable[[], int]) -> int:
    """Call `act` in a process of its own, which ends with what it returns, and return the id of that."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = act()
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        finally:
            os._exit(code)
    return child


def in_child(act: Callable[[], int]) -> int:
    """Call `act` in a process of its own and return its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(start(act), 0)[1])
