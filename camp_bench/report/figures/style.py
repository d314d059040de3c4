"""How figures look: sizes of a two-column paper, Okabe and Ito's colours, SVG that fits a page, light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from camp_bench.report.foreign_text import visible

__all__ = [
    "COLUMN",
    "PAGE_WIDTH",
    "colour",
    "dashes",
    "figure_bytes",
    "label",
    "new_figure",
    "styled",
    "svg_element",
]

COLUMN, PAGE_WIDTH = 3.35, 7.0
"""Inches: one column of a two-column paper, and both."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a8a")
DASHES = ("-", "--", "-.", ":")
INK = "#010203"
"""Stands for the colour of text, which a page sets by its theme; no figure uses it for anything else."""


@contextmanager
def styled() -> Iterator[None]:
    """Draw in this style; decorates what draws."""
    ink = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
    rest: dict[str, Any] = {
        "font.size": 8,
        "axes.titlesize": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "camp-bench",
        "pdf.fonttype": 42,
        "text.parse_math": False,  # names are text
        "font.family": "sans-serif",
        "axes.facecolor": "none",
        "lines.linewidth": 1.2,
    }
    with rc_context(ink | rest):
        yield


def new_figure(width: float, height: float, columns: int = 1, *, share_y: bool = False) -> tuple[Figure, list[Any]]:
    """Return a figure of so many inches and its axes side by side."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, sharey=share_y)
    return figure, list(axes[0])


def colour(place: int) -> str:
    """Return the colour of a model by its place in the table."""
    return COLOURS[place % len(COLOURS)]


def dashes(place: int) -> str:
    """Return the line of a model by its place, so that none is told by its colour alone."""
    return DASHES[place % len(DASHES)]


def label(text: str, most: int = 34) -> str:
    """Return a name as figures show it: on one line, not too long."""
    shown = " ".join(visible(text).split())
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def figure_bytes(figure: Figure, form: str, ground: str = "white") -> bytes:
    """Return a figure as a file of the format: pdf, svg or png, the same bytes for the same figure."""
    buffer = io.BytesIO()
    metadata = {"svg": {"Date": None, "Creator": None}, "pdf": {"CreationDate": None}}.get(form)
    with styled():
        figure.savefig(buffer, format=form, metadata=metadata, dpi=300, facecolor=ground)
    return buffer.getvalue()


def svg_element(figure: Figure, name: str, title: str, description: str) -> str:
    """Return an svg element to stand in a page: its ids its own, its ink the page's, and a text in its place."""
    text = figure_bytes(figure, "svg", "none").decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{name}-", text)
    text = text.replace(INK, "currentColor").replace("\n", " ")
    text = re.sub(r"\s{2,}", " ", text)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s(?:width|height|xmlns:xlink|version)="[^"]*"', "", head)
    told = (
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(visible(description))}</desc>'
    )
    return f'{head} role="img" aria-labelledby="{name}-title {name}-desc">{told}{rest}'
