"""Documents on a terminal: broken into parts that fit its width, columns of one section together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from camp_bench.report.document import Cell, Column, Document, Section, Sheet
from camp_bench.report.foreign_text import plain, visible

__all__ = ["raised", "terminal_tables", "write"]

BLANK = Text("")
STYLES = {
    "": "",
    "pass": "green",
    "warning": "yellow",
    "open": "bold yellow",
    "failure": "bold red",
    "error": "bold red",
}
BAR = 40

GAP = 2
"""Columns of space between two cells, one of them the box's own."""
FOLDED = 12
"""Columns that a text has at least, unless it is shorter: no scope or metric is broken then."""
LETTERS = dict(zip("abcdefghijklmnoprstuvwxyz0123456789", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))


class _Drawing:
    """A document that rich draws at the width of whatever console it is printed on."""

    def __init__(self, document: Document) -> None:
        self._document = document

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        solid = "█" if (console.encoding or "").lower().startswith("utf") else "#"
        parts: list[RenderableType] = [BLANK]
        for section in self._document.sections:
            parts += [*_section(section, options.max_width, solid), BLANK]
        for before, part in pairwise(parts[:-1]):
            if part is not BLANK or before is not BLANK:  # never two in a row, and none at the ends
                yield part


def write(document: Document) -> RenderableType:
    """Return the document for rich to draw: sheets broken to fit, paths and titles on a line of their own."""
    return _Drawing(document)


def _section(section: Section, width: int, solid: str) -> Iterator[RenderableType]:
    if section.title:
        yield _line(section.title, "bold")
    yield from map(_line, section.facts)
    for sheet in section.sheets:
        if sheet.title:
            yield BLANK
            yield plain(sheet.title, "bold")
        yield from _sheet(sheet, width, solid)
    for item in section.remarks:
        if item.level != "pass":
            style = STYLES[item.level]
            yield plain(f"{item.label}: {item.text}", style) if item.label else _line(item.text, style)
    if section.prose:
        yield BLANK
        yield plain(section.prose)
    if section.outcome:
        yield _line(section.outcome, STYLES[section.level])


def _line(text: str, style: str = "") -> Text:
    """Return a text that the terminal may break and we don't: a path, a title."""
    line = plain(text, style)
    line.no_wrap, line.overflow = True, "ignore"
    return line


def _sheet(sheet: Sheet, width: int, solid: str) -> Iterator[RenderableType]:
    if sheet.listed and max((cell_len(visible(row[0].text)) for row in sheet.rows), default=0) > width // 2:
        yield from (_line(": ".join(_text(cell, solid).plain for cell in row)) for row in sheet.rows)
        return
    for table in terminal_tables(sheet, width, solid):
        yield from (table,) if sheet.listed else (BLANK, table)
    if not sheet.listed:
        yield BLANK
    for text in sheet.legend:
        yield plain(text, "dim")


def terminal_tables(sheet: Sheet, width: int, solid: str = "█") -> Iterator[Table]:
    """Yield the sheet as tables that fit into `width` columns. Columns without a section stand in each of them.

    A section goes into the first part that has room for it. What is too wide by itself has narrower gaps, and if that
    doesn't help, texts on several lines, never figures: where these leave too little room for texts, the section is
    broken up.
    """
    texts = [[_text(cell, solid) for cell in row] for row in sheet.rows]
    widths = [
        max([0 if sheet.listed else _width(column.header), *(cell_len(row[place].plain) for row in texts)])
        for place, column in enumerate(sheet.columns)
    ]
    sections: dict[str, list[int]] = {}
    for place, column in enumerate(sheet.columns):
        sections.setdefault(column.section, []).append(place)
    head = sections.pop("", [])
    folded = [min(wide, FOLDED) if _folds(column) else wide for wide, column in zip(widths, sheet.columns, strict=True)]
    parts: list[list[int]] = []
    for places in (piece for section in sections.values() for piece in _pieces(folded, head, section, width)):
        part = next((part for part in parts if _needed(widths, head + part + places) <= width), None)
        if part is None:
            parts.append(list(places))
        else:
            part.extend(places)
    for part in parts or [[]]:
        places = sorted(head + part)
        yield _table(sheet, texts, places, GAP if _needed(widths, places) <= width else 1)


def _needed(widths: Sequence[int], places: Sequence[int], gap: int = GAP) -> int:
    return sum(widths[place] + gap for place in places) - gap


def _pieces(widths: Sequence[int], head: Sequence[int], section: Sequence[int], width: int) -> Iterator[list[int]]:
    """Yield the columns of a section in as few pieces as fit beside the head, in narrow gaps."""
    piece: list[int] = []
    for place in section:
        if piece and _needed(widths, [*head, *piece, place], gap=1) > width:
            yield piece
            piece = []
        piece.append(place)
    yield piece


def _folds(column: Column) -> bool:
    """Whether a column holds texts, which may stand on several lines."""
    return not column.right and not column.whole and column.header != ""


def raised(letters: Sequence[str]) -> str:
    """Return letters as small raised ones; those that Unicode lacks in brackets."""
    return "".join(LETTERS.get(letter, f"({letter})") for letter in "".join(letters))


def _table(sheet: Sheet, texts: Sequence[Sequence[Text]], places: Sequence[int], gap: int) -> Table:
    style = box.SIMPLE_HEAD if not sheet.listed else None
    table = Table(
        box=style,
        pad_edge=False,
        padding=(0, gap - (not sheet.listed), 0, 0),
        show_edge=False,
        show_header=not sheet.listed,
    )
    for place in places:
        column = sheet.columns[place]
        table.add_column(
            Text(visible(column.header, keep="\n")),
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=not _folds(column),
        )
    for row in texts:
        table.add_row(*(row[place] for place in places))
    return table


def _text(cell: Cell, solid: str) -> Text:
    if cell.bar is not None:
        return Text(solid * math.ceil(cell.bar * BAR))  # rounded up, so that few are seen
    text = plain(cell.text, STYLES[cell.level] or ("bold" if cell.bold else ""))
    text.append(raised(cell.marks), style="not bold")
    if cell.interval:
        text.append(f" {cell.interval}", style="not bold dim")
    return text


def _width(header: str) -> int:
    return max(cell_len(line) for line in visible(header, keep="\n").split("\n"))
