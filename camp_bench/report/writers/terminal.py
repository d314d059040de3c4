"""Sheets on a terminal: broken into parts that fit its width, columns of one section together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from camp_bench.comparison import Comparison
from camp_bench.report.comparison import comparison_sheets, summary_sheet, title_of
from camp_bench.report.document import Cell, Column, Sheet
from camp_bench.report.foreign_text import plain, visible
from camp_bench.report.prose import explain, verdict

__all__ = ["draw_comparisons", "draw_sheet", "raised", "terminal_tables"]

GAP = 2
"""Columns of space between two cells, one of them the box's own."""
FOLDED = 12
"""Columns that a text has at least, unless it is shorter: no scope or metric is broken then."""
LETTERS = dict(zip("abcdefghijklmnoprstuvwxyz0123456789", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))


def draw_comparisons(
    console: Console, tables: Sequence[Comparison], *, explained: bool = False, full: bool = False
) -> None:
    """Print comparisons one after the other: the verdict, a short table or all of them, the notes."""
    for count, table in enumerate(tables):
        if count:
            console.print()
        console.print(plain(title_of(table), "bold"), soft_wrap=True)
        console.print(plain(verdict(table)))
        for sheet in comparison_sheets(table) if full else [summary_sheet(table)]:
            draw_sheet(console, sheet)
        for note in table.notes:
            console.print(plain(f"note: {note}"))
        if explained:
            console.print()
            console.print(plain(explain(table)))
        if not full:
            console.print(
                plain("--full: all metrics, each difference with its test, and where the error comes from", "dim")
            )


def draw_sheet(console: Console, sheet: Sheet) -> None:
    """Print one sheet under its title, what its marks mean below."""
    console.print()
    console.print(plain(sheet.title, "bold"))
    for table in terminal_tables(sheet, console.width):
        console.print()
        console.print(table)
    console.print()
    for text in sheet.legend:
        console.print(plain(text, "dim"))


def terminal_tables(sheet: Sheet, width: int) -> Iterator[Table]:
    """Yield the sheet as tables that fit into `width` columns. Columns without a section stand in each of them.

    A section goes into the first part that has room for it. What is too wide by itself has narrower gaps, and if that
    doesn't help, texts on several lines, never figures: where these leave too little room for texts, the section is
    broken up.
    """
    widths = [_width(column, [row[place] for row in sheet.rows]) for place, column in enumerate(sheet.columns)]
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
        yield _table(sheet, places, GAP if _needed(widths, places) <= width else 1)


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
    return not column.right and column.header != ""


def raised(letters: Sequence[str]) -> str:
    """Return letters as small raised ones; those that Unicode lacks in brackets."""
    return "".join(LETTERS.get(letter, f"({letter})") for letter in "".join(letters))


def _table(sheet: Sheet, places: Sequence[int], gap: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, gap - 1, 0, 0), show_edge=False)
    for place in places:
        column = sheet.columns[place]
        table.add_column(
            plain(column.header),
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=not _folds(column),
        )
    for row in sheet.rows:
        table.add_row(*(_text(row[place]) for place in places))
    return table


def _text(cell: Cell) -> Text:
    text = plain(cell.text, "bold" if cell.bold else "")
    text.append(raised(cell.marks), style="not bold")
    if cell.interval:
        text.append(f" {cell.interval}", style="not bold dim")
    return text


def _width(column: Column, cells: Sequence[Cell]) -> int:
    return max([cell_len(visible(column.header)), *(cell_len(_text(cell).plain) for cell in cells)])
