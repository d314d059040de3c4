"""Documents in HTML, every text escaped: a page that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from camp_bench.report.document import Cell, Document, Remark, Section, Sheet
from camp_bench.report.foreign_text import visible

__all__ = ["html_sheet", "write"]

STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:80rem;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .7rem;text-align:left;white-space:nowrap}
th{border-bottom:2px solid;white-space:pre-line}
tr:nth-child(even) td{background:color-mix(in srgb,currentColor 5%,transparent)}
.r{text-align:right;font-variant-numeric:tabular-nums}.i{opacity:.65;font-size:85%}.t{overflow-x:auto}
.w td:last-child{white-space:normal}.b{display:inline-block;height:.7em;background:currentColor;opacity:.6}
:root{color-scheme:light dark}"""


def write(document: Document) -> str:
    """Return a whole page."""
    body = "".join(part for section in document.sections for part in _section(section))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f"<title>{_text(document.title)}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def _section(section: Section) -> Iterator[str]:
    if section.title:
        yield f"<h2>{_text(section.title)}{f': {_text(section.outcome)}' if section.outcome else ''}</h2>\n"
    yield from (f"<p>{_text(text)}</p>\n" for text in section.facts)
    for sheet in section.sheets:
        yield (f"<h3>{_text(sheet.title)}</h3>\n" if sheet.title else "") + html_sheet(sheet)
    told = "".join(f"<li>{_told(item)}</li>\n" for item in section.remarks if item.level != "pass")
    if told:
        yield f"<ul>\n{told}</ul>\n"
    if section.prose:
        yield f"<p>{_text(section.prose)}</p>\n"


def html_sheet(sheet: Sheet) -> str:
    """Return a table element, its legend below. Cells carry what they were rounded from, to sort by."""
    sides = [' class="r"' if column.right else "" for column in sheet.columns]
    head = "".join(
        f'<th scope="col"{side}>{_text(column.header)}</th>' for side, column in zip(sides, sheet.columns, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f"<td{side}{_value(cell)}>{_cell(cell)}</td>" for side, cell in zip(sides, row, strict=True))
        + "</tr>\n"
        for row in sheet.rows
    )
    legend = "".join(f'<p class="legend">{_text(text)}</p>\n' for text in sheet.legend)
    header = "" if sheet.listed else f"<thead><tr>{head}</tr></thead>\n"
    kind = ' class="w"' if sheet.listed else ""
    return f'<div class="t"><table{kind}>\n{header}<tbody>\n{body}</tbody>\n</table></div>\n{legend}'


def _told(item: Remark) -> str:
    label = f"<strong>{_text(item.label)}</strong>: " if item.label not in ("", "note") else ""
    return label + _text(item.text)


def _value(cell: Cell) -> str:
    return "" if cell.value is None else f' data-value="{cell.value!r}"'


def _cell(cell: Cell) -> str:
    if cell.bar is not None:
        return f'<span class="b" style="width:{12 * cell.bar:.2f}rem"></span>'
    text = _text(cell.text)
    text = f"<strong>{text}</strong>" if cell.bold or cell.level not in ("", "pass") else text
    marks = f"<sup>{''.join(cell.marks)}</sup>" if cell.marks else ""
    return text + marks + (f' <span class="i">{_text(cell.interval)}</span>' if cell.interval else "")


def _text(text: str) -> str:
    return escape(visible(text, keep="\n"))
