"""The folder of a run: hidden while it is being written, renamed when it is complete, never overwritten."""

from __future__ import annotations

import datetime as dt
import errno
import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from camp_bench.errors import OutputError
from camp_bench.records.claims import claim
from camp_bench.records.files import flush_to_disk

__all__ = ["new_folder", "new_run_folder", "require_writable", "unwritable"]

MAX_ID = 120
"""Characters of a run id at most: file systems take 255 bytes."""


def require_writable(results: Path) -> None:
    """Raise OutputError where it shows already that nothing can be written into `results`; makes nothing."""
    place = results
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        if place == results:
            with tempfile.TemporaryFile(dir=results):
                pass
        elif not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES) if place.is_dir() else "not a folder")
    except OSError as error:
        raise unwritable(place, error) from None


@contextmanager
def new_run_folder(results: Path, started: dt.datetime, *words: str) -> Iterator[tuple[str, Path]]:
    """Yield a run id and an empty hidden folder, which becomes `results/run_id` if the block ends well, else vanishes.

    The id is `YYYYmmdd-HHMMSS-` and the words, numbered where another run, finished or not, has it already.
    Raises OutputError where `results` can't be written.
    """
    with ExitStack() as held:
        try:
            results.mkdir(parents=True, exist_ok=True)
            run_id, scratch = _make(results, "-".join([started.strftime("%Y%m%d-%H%M%S"), *words]))
            held.callback(shutil.rmtree, scratch, ignore_errors=True)
            held.enter_context(claim(results, run_id))  # tells what is being written from what was left
        except OSError as error:
            raise unwritable(results, error) from None
        with _becoming(scratch, results / run_id):
            yield run_id, scratch


@contextmanager
def new_folder(place: Path) -> Iterator[Path]:
    """Yield an empty hidden folder, which becomes `place` if the block ends well, else vanishes.

    Raises OutputError where `place` can't be written or is there already.
    """
    scratch = place.parent / f".{place.name}.partial"
    try:
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, "is there already")
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch.mkdir()
    except OSError as error:
        raise unwritable(place, error) from None
    with _becoming(scratch, place):
        yield scratch


@contextmanager
def _becoming(scratch: Path, place: Path) -> Iterator[None]:
    """Rename the folder `scratch` to `place` if the block ends well and all is on the disk, else remove it."""
    try:
        yield
        try:
            for path in (*scratch.rglob("*"), scratch):
                flush_to_disk(path)
            scratch.rename(place)
            flush_to_disk(place.parent)
        except OSError as error:
            raise unwritable(place, error) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _make(results: Path, wanted: str) -> tuple[str, Path]:
    """Make the hidden folder of the first id that is free; making it is what claims the id."""
    stem = re.sub(r"[^\w.-]+", "-", wanted, flags=re.ASCII)[:MAX_ID]
    for number in itertools.count(1):
        run_id = stem if number == 1 else f"{stem}-{number}"
        scratch = results / f".{run_id}.partial"
        with suppress(FileExistsError):
            scratch.mkdir()
            if not os.path.lexists(results / run_id):
                return run_id, scratch
            scratch.rmdir()
    raise AssertionError  # the count has no end


def unwritable(path: Path, error: OSError) -> OutputError:
    """Return what to raise where a path can't be written."""
    return OutputError(f"{path}: can't be written ({error.strerror or error}); mend that or name another folder")
