"""What a table is made of: columns, cells, what is bold, what is said below. Formats only write it down."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Cell", "Column", "Sheet", "interval_text", "number", "p_text", "section_of"]


@dataclass(frozen=True, slots=True)
class Cell:
    """text, then the letters of the rows that it beats, then its interval."""

    text: str
    interval: str = ""
    marks: tuple[str, ...] = ()
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """section: columns of one section stay together where a table is broken; "" for those that every part repeats."""

    header: str
    section: str = ""
    right: bool = True


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table. legend: what its marks and intervals mean. name: short and unique within a comparison."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    legend: tuple[str, ...] = field(default=())


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
