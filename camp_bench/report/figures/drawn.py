"""A figure with the words that stand in its place."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

__all__ = ["Drawn"]


@dataclass(frozen=True, slots=True)
class Drawn:
    """title: what is shown. text: what it shows, for who can't see it. caption: how to read it."""

    figure: Figure
    title: str
    text: str
    caption: str
