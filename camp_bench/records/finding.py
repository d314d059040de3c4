"""The one search for run records, whatever command asks: any depth, links followed, nothing left out in silence."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from camp_bench.errors import RecordError
from camp_bench.records.run import RECORD_NAME

__all__ = ["find_records", "list_records"]

Unread = Callable[[Path, RecordError], object]
"""Told of a path below a folder that can't be looked into, and of what to raise for it."""


def _refuse(_path: Path, error: RecordError) -> None:
    raise error


def find_records(places: Sequence[str | Path], *, on_unread: Unread = _refuse) -> list[Path]:
    """Return the record files of the runs that `places` name, each once, those of a folder in the order of their paths.

    places: folders that are runs or hold them at any depth, or record files themselves. Links are followed; a run that
    several paths lead to counts once. Hidden folders, runs that aren't finished, are passed over. on_unread: goes on
    where it returns; by default what can't be looked into is raised. Raises RecordError for a place that isn't there
    or holds no run, so that a misspelt one is never "nothing to complain of".
    """
    found: dict[str, Path] = {}
    for place in map(Path, places):
        unread: list[Path] = []

        def note(path: Path, error: RecordError, unread: list[Path] = unread) -> None:
            unread.append(path)
            on_unread(path, error)

        try:
            files = _below(place, note) if stat.S_ISDIR(place.stat().st_mode) else [place]
        except OSError as error:
            told = "no such folder or file" if error.errno == errno.ENOENT else f"can't be read ({error.strerror})"
            raise RecordError(f"{place}: {told}; expected a run's folder or a folder of runs") from None
        if not files and not unread:
            raise RecordError(f"{place}: no run in it; expected a run's folder or a folder of runs")
        for file in files:
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def list_records(results: str | Path) -> list[Path]:
    """Return the folders of the runs under `results`, by their paths; none where there is no such folder.

    They are found as `find_records` finds them. Raises RecordError where something below can't be looked into.
    """
    results = Path(results)
    return [file.parent for file in _below(results, _refuse)] if results.exists() else []


def _below(folder: Path, on_unread: Unread) -> list[Path]:
    """Return the record files in a folder and below, in the order of their paths."""
    found: dict[str, Path] = {}
    seen: set[str] = set()
    folders: list[Path] = [folder]
    links: list[Path] = []
    while folders or links:  # links last, so that a run is named by its own path where both lead to it
        place = folders.pop() if folders else links.pop(0)
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(place) as entries:
                children = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            on_unread(place, _unreadable(place, "can't be read", error))
            continue
        for entry in children:
            path = place / entry.name
            if entry.name == RECORD_NAME:
                found.setdefault(os.path.realpath(path), path)
            elif not entry.name.startswith("."):
                try:
                    if entry.is_symlink():
                        links += [path] if stat.S_ISDIR(path.stat().st_mode) else []
                    elif entry.is_dir():
                        folders.append(path)
                except OSError as error:  # a link to nothing, or to what may not be looked into
                    on_unread(path, _unreadable(path, "a link that can't be followed", error))
    return sorted(found.values())


def _unreadable(path: Path, what: str, error: OSError) -> RecordError:
    return RecordError(
        f"{path}: {what} ({error.strerror}), so runs may be missing; let it be read, or name the runs one by one"
    )
