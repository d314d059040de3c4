"""Documents in GitHub's Markdown, every text escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator

from camp_bench.report.document import Cell, Document, Remark, Section, Sheet
from camp_bench.report.foreign_text import one_line

__all__ = ["escape", "write"]

ACTS = re.compile(
    r"[\\`*_\[\]|~$]"  # markup and cells
    r"|(?<!\w)[@#](?=\w)"  # mentions and issues
    r"|(?<!\d):(?=//|[\w+-]+:|:)|(?<=\bwww)\."  # addresses that become links, pictures by name
    r"|^(?:[-+=](?!\d)|#|\d+[.)](?=\s|$))",  # what makes a block at a line's start
    re.IGNORECASE,
)
BAR = 40


def escape(text: str) -> str:
    """Return the text as Markdown shows it: no markup, HTML, link, mention or new cell, on one line."""
    return html.escape(ACTS.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", one_line(text)), quote=False)


def write(document: Document) -> str:
    """Return the document under headings, a table of pipes a sheet."""
    return "\n".join(part for section in document.sections for part in _section(section))


def _section(section: Section) -> Iterator[str]:
    """Yield blocks, each ending in a line break."""
    if section.title:
        outcome = f": {section.outcome}" if section.outcome else ""
        yield f"## {escape(section.title)}{outcome}\n"
    if section.facts:
        yield "".join(f"{escape(text)}  \n" for text in section.facts)
    for sheet in section.sheets:
        yield _sheet(sheet)
    told = [_told(item) for item in section.remarks if item.level != "pass"]
    if told:
        yield "".join(f"- {escape(text)}\n" for text in told)
    if section.prose:
        yield escape(section.prose) + "\n"


def _told(item: Remark) -> str:
    return f"{item.label}: {item.text}" if item.label not in ("", "note") else item.text


def _sheet(sheet: Sheet) -> str:
    heading = f"### {escape(sheet.title)}\n\n" if sheet.title else ""
    if sheet.listed:
        return heading + "".join(f"- {': '.join(filter(None, map(_cell, row)))}\n" for row in sheet.rows)
    rows = [
        _pipes(escape(column.header) or " " for column in sheet.columns),
        _pipes("---:" if column.right else ":---" for column in sheet.columns),
        *(_pipes(_cell(cell) or " " for cell in row) for row in sheet.rows),
    ]
    legend = "".join(f"\n{escape(text)}  " for text in sheet.legend)
    return heading + "\n".join(rows) + "\n" + (f"{legend}\n" if legend else "")


def _cell(cell: Cell) -> str:
    text = escape(cell.text) if cell.bar is None else "█" * -int(-cell.bar * BAR // 1)
    text = f"**{text}**" if (cell.bold or cell.level not in ("", "pass")) and text else text
    marks = f"<sup>{''.join(cell.marks)}</sup>" if cell.marks else ""
    return text + marks + (f" {cell.interval}" if cell.interval else "")


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
