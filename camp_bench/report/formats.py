"""A comparison as a whole in each format but the terminal's."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from camp_bench.comparison import Comparison
from camp_bench.comparison.rows import FIELDS
from camp_bench.errors import ConfigError, nearest
from camp_bench.report.comparison import comparison_sheets, title_of
from camp_bench.report.document import Sheet
from camp_bench.report.prose import explain, verdict
from camp_bench.report.writers.latex import escape_latex, latex_sheet
from camp_bench.report.writers.markdown import escape_markdown, html_page, html_sheet, markdown_sheet

__all__ = ["FORMATS", "format_of", "render", "render_sheet"]

SUFFIXES = {".md": "markdown", ".tex": "latex", ".csv": "csv", ".json": "json", ".html": "html", ".txt": "table"}
FORMATS = ("table", "markdown", "latex", "csv", "json", "html")
PREAMBLE = r"% \usepackage[T1]{fontenc} \usepackage{booktabs}" + "\n"
ACTS = ("=", "+", "-", "@", "\t", "\r")
"""A text that starts with one of these is a formula to a spreadsheet."""


def format_of(wanted: str | None, output: Path | None) -> str:
    """Return the format: the one asked for, else what the file's suffix tells, else `table`.

    Raises ConfigError for another format, and for a suffix that tells none.
    """
    if wanted is None:
        suffix = output.suffix.lower() if output else ""
        if suffix in ("", ".txt"):
            return "table"
        if suffix not in SUFFIXES:
            known = ", ".join(SUFFIXES)
            raise ConfigError(f"-o {output}: '{suffix}' is no format; expected {known} or .txt, or give --format")
        return SUFFIXES[suffix]
    if wanted not in FORMATS:
        raise ConfigError(f"--format: got '{wanted}', expected one of {', '.join(FORMATS)}{nearest(wanted, FORMATS)}")
    return wanted


def render(tables: Sequence[Comparison], form: str, *, explained: bool = False) -> str:
    """Return the comparisons as text in any format but `table`. explained: with a paragraph about each (not in CSV)."""
    return {"markdown": _markdown, "latex": _latex, "csv": _csv, "json": _json, "html": _html}[form](tables, explained)


def render_sheet(sheet: Sheet, form: str, data: Any) -> str:
    """Return one sheet as text in any format but `table`. data: what it was made from, for JSON."""
    if form == "markdown":
        return markdown_sheet(sheet)
    if form == "latex":
        return f"{PREAMBLE}\n{latex_sheet(sheet, sheet.title, sheet.name)}"
    if form == "html":
        return html_page(sheet.title, [html_sheet(sheet)])
    if form == "json":
        return _json_text(data)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_inert(column.header) for column in sheet.columns)
    writer.writerows([_inert(cell.text) for cell in row] for row in sheet.rows)
    return buffer.getvalue()


def _markdown(tables: Sequence[Comparison], explained: bool) -> str:
    parts = []
    for table in tables:
        parts.append(f"## {escape_markdown(title_of(table))}\n\n{escape_markdown(verdict(table))}\n")
        parts += [markdown_sheet(sheet) for sheet in comparison_sheets(table)]
        notes = [f"- {escape_markdown(note)}\n" for note in table.notes]
        parts += ["".join(notes)] if notes else []
        if explained:
            parts.append(escape_markdown(explain(table)) + "\n")
    return "\n".join(parts)


def _latex(tables: Sequence[Comparison], explained: bool) -> str:
    parts = [PREAMBLE]
    for count, table in enumerate(tables, 1):
        suffix = f"-{count}" if len(tables) > 1 else ""
        parts += [
            latex_sheet(sheet, f"{sheet.title}: {title_of(table)}", f"{sheet.name}{suffix}")
            for sheet in comparison_sheets(table)
        ]
        if table.notes:
            items = "\n".join(rf"\item {escape_latex(note)}" for note in table.notes)
            parts.append(f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}\n")
        if explained:
            parts.append(escape_latex(explain(table)) + "\n")
    return "\n".join(parts)


def _csv(tables: Sequence[Comparison], explained: bool) -> str:  # noqa: ARG001  # a paragraph is no figure
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, FIELDS, lineterminator="\n")
    writer.writeheader()
    for table in tables:
        writer.writerows({key: _inert(value) for key, value in line.items()} for line in table.to_records())
    return buffer.getvalue()


def _json(tables: Sequence[Comparison], explained: bool) -> str:
    found: list[dict[str, Any]] = []
    for table in tables:
        found.append(dataclasses.asdict(table) | {"verdict": verdict(table)})
        if explained:
            found[-1]["explanation"] = explain(table)
    return _json_text(found)


def _json_text(data: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"


def _html(tables: Sequence[Comparison], explained: bool) -> str:
    parts = []
    for table in tables:
        parts.append(f"<h2>{html.escape(title_of(table))}</h2>\n<p>{html.escape(verdict(table))}</p>\n")
        parts += [html_sheet(sheet) for sheet in comparison_sheets(table)]
        notes = "".join(f"<li>{html.escape(note)}</li>\n" for note in table.notes)
        parts.append(f"<ul>\n{notes}</ul>\n" if notes else "")
        if explained:
            parts.append(f"<p>{html.escape(explain(table))}</p>\n")
    return html_page("camp-bench compare", parts)


def _inert(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    clean = re.sub(r"[\x00-\x1f\x7f]", " ", value)
    return f"'{clean}" if value.startswith(ACTS) else clean
