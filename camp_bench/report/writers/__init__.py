"""A format a file: `write(document)` returns a text, on the terminal something for rich to draw."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from camp_bench.errors import ConfigError, nearest
from camp_bench.report.document import Document
from camp_bench.report.writers import csv, html, json, latex, markdown

__all__ = ["FORMATS", "WRITERS", "format_of"]

WRITERS: dict[str, Callable[[Document], str]] = {
    "markdown": markdown.write,
    "latex": latex.write,
    "csv": csv.write,
    "json": json.write,
    "html": html.write,
}
FORMATS = ("table", *WRITERS)
SUFFIXES = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".json": "json", ".html": "html", ".txt": "table"}


def format_of(wanted: str | None, output: Path | None) -> str:
    """Return the format: the one asked for, else what the file's suffix tells, else `table`.

    Raises ConfigError for another format, and for a suffix that tells none.
    """
    if wanted is None:
        suffix = output.suffix.lower() if output else ""
        if suffix in ("", ".txt"):
            return "table"
        if suffix not in SUFFIXES:
            known = ", ".join(name for name in SUFFIXES if name != ".txt")
            raise ConfigError(f"-o {output}: '{suffix}' is no format; expected {known} or .txt, or give --format")
        return SUFFIXES[suffix]
    if wanted not in FORMATS:
        raise ConfigError(f"--format: got '{wanted}', expected one of {', '.join(FORMATS)}{nearest(wanted, FORMATS)}")
    return wanted
