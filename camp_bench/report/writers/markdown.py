"""Sheets in Markdown and HTML, every text escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from camp_bench.report.document import Cell, Sheet

__all__ = ["escape_markdown", "html_page", "html_sheet", "markdown_sheet"]

STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .7rem;text-align:left;white-space:nowrap}
th{border-bottom:2px solid}tr:nth-child(even) td{background:color-mix(in srgb,currentColor 5%,transparent)}
.r{text-align:right;font-variant-numeric:tabular-nums}.i{opacity:.65;font-size:85%}.t{overflow-x:auto}
:root{color-scheme:light dark}"""


def escape_markdown(text: str) -> str:
    """Return the text as Markdown shows it: no markup, no HTML, no new cell, on one line."""
    line = re.sub(r"([\\`*_\[\]|~$])", r"\\\1", " ".join(text.split()))
    return html.escape(re.sub(r"^([-+#=](?!\d))", r"\\\1", line), quote=False)


def markdown_sheet(sheet: Sheet) -> str:
    """Return a table of GitHub's Markdown under a heading, its legend below."""
    rows = [
        _pipes(escape_markdown(column.header) or " " for column in sheet.columns),
        _pipes("---:" if column.right else ":---" for column in sheet.columns),
        *(_pipes(_markdown(cell) for cell in row) for row in sheet.rows),
    ]
    legend = "".join(f"\n{escape_markdown(text)}  " for text in sheet.legend)
    return f"### {escape_markdown(sheet.title)}\n\n" + "\n".join(rows) + "\n" + (f"{legend}\n" if legend else "")


def html_sheet(sheet: Sheet) -> str:
    """Return a table element under a heading, its legend below."""
    sides = [' class="r"' if column.right else "" for column in sheet.columns]
    head = "".join(
        f"<th{side}>{html.escape(column.header)}</th>" for side, column in zip(sides, sheet.columns, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(f"<td{side}>{_html(cell)}</td>" for side, cell in zip(sides, row, strict=True)) + "</tr>\n"
        for row in sheet.rows
    )
    legend = "".join(f"<p>{html.escape(text)}</p>\n" for text in sheet.legend)
    table = f'<div class="t"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n'
    return f"<h3>{html.escape(sheet.title)}</h3>\n{table}{legend}"


def html_page(title: str, parts: Sequence[str]) -> str:
    """Return a page that needs nothing beside itself. parts: HTML."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n"
        + "".join(parts)
        + "</body>\n</html>\n"
    )


def _markdown(cell: Cell) -> str:
    text = escape_markdown(cell.text)
    text = f"**{text}**" if cell.bold and text else text
    marks = f"<sup>{''.join(cell.marks)}</sup>" if cell.marks else ""
    return text + marks + (f" {cell.interval}" if cell.interval else "") or " "


def _html(cell: Cell) -> str:
    text = html.escape(cell.text)
    text = f"<strong>{text}</strong>" if cell.bold else text
    marks = f"<sup>{''.join(cell.marks)}</sup>" if cell.marks else ""
    return text + marks + (f' <span class="i">{html.escape(cell.interval)}</span>' if cell.interval else "")


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
