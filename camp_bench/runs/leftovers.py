"""What runs that were stopped have left below a results folder, and its removal."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from camp_bench.config import format_bytes
from camp_bench.errors import OutputError, RecordError
from camp_bench.records import WORK_NAME, claim, is_claimed, list_records
from camp_bench.runs.journal import list_journals

__all__ = ["Leftover", "count_finished", "find_leftovers", "remove_leftover"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """told: one line on it. claimed: a process works on it now."""

    path: Path
    told: str
    claimed: bool


def count_finished(results: Path) -> int:
    """Return how many finished runs there are; RecordError where there is no such folder."""
    if not results.is_dir():
        raise RecordError(f"{results}: no such folder; expected a folder of runs")
    return len(list_records(results))


def find_leftovers(results: Path) -> list[Leftover]:
    """Return what isn't finished: jobs that were begun, and hidden folders of runs that were being written.

    Raises RecordError where there is no such folder, and OutputError where it can't be read.
    """
    if not results.is_dir():
        raise RecordError(f"{results}: no such folder; expected a folder of runs")
    try:
        return [*_jobs(results), *_scratches(results)]
    except OSError as error:
        raise OutputError(f"{results}: can't be read ({error.strerror})") from None


def remove_leftover(results: Path, leftover: Leftover) -> bool:
    """Remove it; False where a process works on it now. Raises OutputError where that can't be."""
    try:
        with claim(results, _claimed_as(leftover.path)) as mine:
            if mine:
                shutil.rmtree(leftover.path)
        return mine
    except OSError as error:
        raise OutputError(f"{leftover.path}: can't be removed ({error.strerror or error})") from None


def _jobs(results: Path) -> list[Leftover]:
    found = []
    for kept in list_journals(results):
        what = "a job that can't be read" if kept.entry is None else f"{kept.entry.model} seed {kept.entry.seed}"
        on = "" if kept.entry is None else f" on {kept.entry.data}"
        place = f"epoch {kept.epoch} of {kept.epochs}" if kept.epochs else "no state"
        now = ", being worked on" if kept.claimed else ""
        size = format_bytes(kept.size_bytes)
        found.append(Leftover(kept.folder, f"{kept.folder}: {what}{on}, {place}, {size}{now}", kept.claimed))
    return found


def _scratches(results: Path) -> list[Leftover]:
    found = []
    for path in sorted(results.iterdir()):
        if path.name.startswith(".") and path.name.endswith(".partial"):
            claimed = is_claimed(results, _claimed_as(path))
            now = ", being worked on" if claimed else ""
            found.append(Leftover(path, f"{path}: a run that was being written{now}", claimed))
    return found


def _claimed_as(path: Path) -> str:
    """Return the name under which a process claims it."""
    if path.parent.name == WORK_NAME:
        return path.name
    return os.fspath(path.name).removeprefix(".").removesuffix(".partial")
