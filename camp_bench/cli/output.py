"""What commands that print tables share: lists in options, and documents that go to the terminal or into a file."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import typer

from camp_bench.errors import ConfigError, OutputError
from camp_bench.report import WRITERS, Document, format_of
from camp_bench.report.foreign_text import PlainConsole, visible, without_commands

__all__ = [
    "FILE_WIDTH",
    "NARROWEST",
    "Show",
    "names_of",
    "say",
    "tell_skipped",
    "whole_numbers",
    "write_file_beside",
    "write_text",
]

NARROWEST = 80
"""In less than that a table would be dots."""
FILE_WIDTH = 120
"""Of tables in a file, where there is no terminal to ask."""


def names_of(text: str | None, option: str) -> tuple[str, ...] | None:
    """Split `a,b` into names, commas within brackets apart; None for no option, ConfigError where none is named."""
    if text is None:
        return None
    names = tuple(dict.fromkeys(part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip()))
    if not names:
        raise ConfigError(f"{option}: names nothing; expected one or more, parted by commas")
    return names


def whole_numbers(text: str, option: str) -> tuple[int, ...]:
    """Split `1,5,10` into numbers; ConfigError where a part is none."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(re.fullmatch(r"[0-9]{1,9}", part, re.ASCII) for part in parts):
        raise ConfigError(f"{option}: got '{text}', expected whole numbers parted by commas, such as 1,5,10")
    return tuple(map(int, parts))


class Show:
    """Shows documents as `--format` and `-o` say. Raises what is wrong with these before any work is done."""

    def __init__(self, form: str | None, output: Path | None) -> None:
        from camp_bench.records.throughput import require_output

        self.form, self.output = format_of(form, output), output
        if output is not None:
            require_output(output)

    def __call__(self, document: Document) -> None:
        if self.form != "table":
            write_text(WRITERS[self.form](document), self.output)
            return
        from camp_bench.report.writers import terminal

        if self.output is None:
            console = PlainConsole()
            console.width = max(console.width, NARROWEST)
            with console.capture() as captured:
                console.print(terminal.write(document), crop=False)
            console.file.write(without_commands(captured.get()))
            console.file.flush()
            return
        buffer = io.StringIO()
        PlainConsole(file=buffer, width=FILE_WIDTH).print(terminal.write(document), crop=False)
        write_text("".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines()), self.output)


def say(*lines: str, err: bool = False) -> None:
    """Print lines that may hold names, paths or what others wrote. err: to standard error."""
    for line in lines:
        typer.echo(visible(line), err=err)


def tell_skipped(reasons: Iterable[str]) -> None:
    """Name on standard error what --skip-bad went without."""
    for reason in reasons:
        say(f"skipped: {' '.join(reason.split())}", err=True)


def write_text(text: str, output: Path | None) -> None:
    """Print a text, or put it into a file, whole or not at all; OutputError where that is not possible.

    A file or another program gets every letter of it, a terminal nothing that it would act on.
    """
    if output is None:
        typer.echo(visible(text, keep="\n\t") if sys.stdout.isatty() else text, nl=False)
        return
    from camp_bench.records.throughput import write_output

    write_output(output, text.encode("utf-8", "backslashreplace"))
    say(f"wrote {output}", err=True)


def write_file_beside(path: Path, text: str) -> None:
    """Write a report over an older one; to $GITHUB_STEP_SUMMARY, which steps share, it is added.

    Raises OutputError where that can't be.
    """
    from camp_bench.records.throughput import write_output

    content = text.encode("utf-8", "backslashreplace")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if str(path) == os.environ.get("GITHUB_STEP_SUMMARY"):
            with path.open("ab") as stream:
                stream.write(content)
            return
    except OSError as error:
        raise OutputError(f"{path}: can't be written ({error.strerror or error})") from None
    write_output(path, content)
