"""Figures in CSV, for spreadsheets and scripts: not rounded, and no text a formula."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

from camp_bench.report.document import Document

__all__ = ["inert", "write"]

ACTS = ("=", "+", "-", "@", "\t", "\r")
"""A text that starts with one of these is a formula to a spreadsheet."""


def inert(value: Any) -> Any:
    """Return a text so that a spreadsheet shows it as it is, on one line; anything else as it is."""
    if not isinstance(value, str):
        return value
    clean = re.sub(r"[\x00-\x1f\x7f]", " ", value)
    return f"'{clean}" if value.startswith(ACTS) else clean


def write(document: Document) -> str:
    """Return the document's records, or its sheets one after the other with an empty line between."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if document.records is not None:
        writer.writerows(list(record) for record in document.records[:1])
        writer.writerows([inert(value) for value in record.values()] for record in document.records)
        return buffer.getvalue()
    for place, sheet in enumerate(document.sheets):
        writer.writerows([[]] if place else [])
        writer.writerow([inert(column.header) for column in sheet.columns])
        for row in sheet.rows:
            writer.writerow([inert(cell.text) if cell.value is None else cell.value for cell in row])
    return buffer.getvalue()
