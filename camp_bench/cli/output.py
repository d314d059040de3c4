"""What commands that print tables share: lists in options, and text that goes to the terminal or into a file."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import typer
from rich.console import Console

from camp_bench.errors import ConfigError
from camp_bench.report.foreign_text import PlainConsole, visible

__all__ = ["FILE_WIDTH", "NARROWEST", "names_of", "say", "show", "whole_numbers", "write_text"]

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


def show(draw: Callable[[Console], None], output: Path | None) -> None:
    """Let `draw` print on the terminal, or as plain text into a file."""
    if output is None:
        console = PlainConsole()
        console.width = max(console.width, NARROWEST)
        draw(console)
        return
    buffer = io.StringIO()
    draw(PlainConsole(file=buffer, width=FILE_WIDTH))
    write_text("".join(f"{line.rstrip()}\n" for line in buffer.getvalue().splitlines()), output)


def say(*lines: str, err: bool = False) -> None:
    """Print lines that may hold names, paths or what others wrote. err: to standard error."""
    for line in lines:
        typer.echo(visible(line), err=err)


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
