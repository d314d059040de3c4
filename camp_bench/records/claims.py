"""Who works on what below a results folder: a lock each, which the system takes back from a process that ended.

results/.work/<name>.lock   held by the process that works on it, removed with it
results/.work/<job>/        what a job has kept so far, see `runs.journal`
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["WORK_NAME", "claim", "is_claimed", "locked"]

WORK_NAME = ".work"


@contextmanager
def claim(results: Path, name: str, *, wait: bool = False) -> Iterator[bool]:
    """Yield whether `name` is this process's alone within the block. wait: until it is.

    Raises OSError where no lock can be made.
    """
    work = results / WORK_NAME
    try:
        with locked(work / f"{name}.lock", wait=wait) as mine:
            yield mine
    finally:
        with suppress(OSError):  # holds something still, as it mostly does
            work.rmdir()


@contextmanager
def locked(file: Path, *, wait: bool = False) -> Iterator[bool]:
    """Yield whether this process alone holds a lock within the block. file: of the lock, which vanishes with it.

    wait: until it does. Raises OSError where the file can't be made.
    """
    from filelock import FileLock, Timeout  # takes longer to import than most commands

    lock = FileLock(file, timeout=-1 if wait else 0)
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
            break
        except FileNotFoundError:  # another process has just swept the folder
            continue
        except Timeout:
            yield False
            return
    try:
        yield True
    finally:
        with suppress(OSError):
            file.unlink()
        lock.release()


def is_claimed(results: Path, name: str) -> bool:
    """Return whether another process, or this one, works on `name` now."""
    if not (results / WORK_NAME / f"{name}.lock").exists():
        return False
    with claim(results, name) as mine:
        return not mine
