"""What a row of a gate's report shows in a table; numbers are rounded here alone."""

from __future__ import annotations

from camp_bench.gate.verdicts import Row

__all__ = ["HEADERS", "cells"]

HEADERS = ("held", "baseline", "now", "drop", "at least", "at most", "limit", "verdict")


def cells(row: Row) -> tuple[str, ...]:
    """Return one text for each of HEADERS, not yet escaped."""
    percent = "%" if row.kind in ("speed", "count") else ""
    shown = "{:.5g}" if row.kind == "count" else "{:.2f}"
    return (
        row.name,
        "" if row.baseline is None else shown.format(row.baseline),
        shown.format(row.value),
        "" if row.drop is None else f"{row.drop:.2f}{percent}",
        "" if row.bound is None else f"{row.bound:.2f}{percent}",
        "" if row.upper is None else f"{row.upper:.2f}{percent}",
        f"≥ {row.limit:g}" if row.kind == "floor" else f"{row.limit:g}{percent}",
        row.verdict,
    )
