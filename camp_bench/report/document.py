"""What every command shows and every format writes down: a document of sections with sheets, remarks and prose.

    builders (comparison, results, throughput, gate, dataset, listings) -> Document -> writers (a format a file)

Texts in here are raw: names, captions and notes as they came. Each writer makes them safe, in one place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = [
    "Cell",
    "Column",
    "Document",
    "Level",
    "Remark",
    "Section",
    "Sheet",
    "interval_text",
    "listed_rows",
    "number",
    "p_text",
    "section_of",
]

Level: TypeAlias = Literal["", "pass", "warning", "open", "failure", "error"]


@dataclass(frozen=True, slots=True)
class Cell:
    """text, then the letters of the rows that it beats, then its interval.

    value: what the text was rounded from, for sorting and for CSV; None where the text is all there is. bar: a bar of
    that share of the full length, 0 to 1, in place of a text.
    """

    text: str
    interval: str = ""
    marks: tuple[str, ...] = ()
    bold: bool = False
    value: int | float | None = None
    level: Level = ""
    bar: int | float | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """section: columns of one section stay together where a table is broken; "" for those that every part repeats.

    whole: its texts are never folded. A line break in a header is one on a terminal, and a space elsewhere.
    """

    header: str
    section: str = ""
    right: bool = True
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table. legend: what its marks and intervals mean. name: short and unique within a section.

    listed: a list of names and what is said of them, shown without headers.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    legend: tuple[str, ...] = ()
    listed: bool = False


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence. label: what it is, `note` or a verdict, said before it.

    level: how bad a verdict is, "" where the sentence is none; `pass` is shown in test reports alone, and `open` is a
    warning that a test report must not count as passed. name: of what was
    judged.
    """

    text: str
    label: str = ""
    level: Level = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Sheets about one thing, under a title. facts stand above them, remarks and prose below, the outcome last."""

    title: str = ""
    facts: tuple[str, ...] = ()
    sheets: tuple[Sheet, ...] = ()
    remarks: tuple[Remark, ...] = ()
    prose: str = ""
    outcome: str = ""
    level: Level = ""


@dataclass(frozen=True, slots=True)
class Document:
    """All that one command shows. data: what it was made from, for JSON.

    records: a flat dict for each figure, all with the same keys, for CSV; None where the sheets are as good.
    """

    title: str
    sections: tuple[Section, ...]
    data: Any
    records: Sequence[Mapping[str, Any]] | None = None

    @property
    def sheets(self) -> list[Sheet]:
        return [sheet for section in self.sections for sheet in section.sheets]


def listed_rows(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[Cell, ...], ...]:
    """Return the rows of a listed sheet: a name and what is said of it."""
    return tuple((Cell(name), Cell(text)) for name, text in pairs)


def number(value: float, metric: str = "") -> str:
    """Return a value as it is displayed: one decimal, whole median ranks without."""
    return f"{value:.0f}" if metric.endswith("MedR") and value == round(value) else f"{value:.1f}"


def interval_text(low: float, high: float, metric: str) -> str:
    """Return an interval as it is displayed, its ends as `number` shows them."""
    return f"[{number(low, metric)}, {number(high, metric)}]"


def p_text(p: float | None) -> str:
    """Return a p-value with three decimals, the smallest as a bound."""
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def section_of(metric: str) -> str:
    """Return the section of a metric's column: its direction, MedR of both, or rsum."""
    if metric == "rsum":
        return "rsum"
    return "MedR" if metric.endswith("MedR") else metric.partition(".")[0]
