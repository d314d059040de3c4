"""What the commands that work through many rows or pictures show: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from camp_bench.report.foreign_text import PlainColumn, PlainConsole

__all__ = ["counted"]

QUIET_SECONDS = 30.0
"""A line log says something at least this often."""


@contextmanager
def counted(unit: str = "") -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function to be told what is being done, and how much of how much is done; all goes to standard error.

    unit: of what is counted, to show how many a second; what was done before the first call doesn't count for that.
    """
    console = PlainConsole(stderr=True)
    if not console.is_terminal:
        yield _Lines(console, unit)
        return
    columns = (
        PlainColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        PlainColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, expand=True, transient=True) as progress:
        yield _Bar(progress, unit)


class _Rate:
    """How many a second since a label was first seen."""

    def __init__(self, unit: str) -> None:
        self._unit, self._label = unit, ""
        self._first, self._start = 0, 0.0

    def begins(self, label: str, done: int) -> bool:
        if label == self._label:
            return False
        self._label, self._first, self._start = label, done, time.perf_counter()
        return True

    def text(self, done: int) -> str:
        seconds = time.perf_counter() - self._start
        return f"{(done - self._first) / seconds:,.1f} {self._unit}/s" if self._unit and seconds > 0 else ""


class _Lines:
    """A line where something begins, where it ends, and half a minute."""

    def __init__(self, console: PlainConsole, unit: str) -> None:
        self._console, self._rate, self._last, self._ended = console, _Rate(unit), 0.0, False

    def __call__(self, label: str, done: int, total: int) -> None:
        now = time.perf_counter()
        began = self._rate.begins(label, done)
        ends = done == total and (began or not self._ended)
        if not (began or ends or now - self._last > QUIET_SECONDS):
            return
        self._last, self._ended = now, ends
        rate = "" if began else self._rate.text(done)
        with suppress(OSError):  # a full disk or a reader that went away must not end the work
            self._console.print(f"{label}: {done:,} of {total:,}{rate and f', {rate}'}", soft_wrap=True)


class _Bar:
    """One bar, for what is being done now."""

    def __init__(self, progress: Progress, unit: str) -> None:
        self._progress, self._rate = progress, _Rate(unit)
        self._task = progress.add_task("", visible=False, rate="")

    def __call__(self, label: str, done: int, total: int) -> None:
        if self._rate.begins(label, done):
            self._progress.reset(self._task, total=total, description=label, visible=True, rate="")
        self._progress.update(self._task, completed=done, total=total, rate=self._rate.text(done))
