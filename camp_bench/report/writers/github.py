"""Verdicts as GitHub workflow commands: one annotation for each thing that didn't pass."""

from __future__ import annotations

from camp_bench.report.document import Document
from camp_bench.report.foreign_text import one_line

__all__ = ["annotation_data", "annotation_property", "write"]


def write(document: Document) -> str:
    """Return lines to print in a GitHub workflow; nothing where everything passed."""
    return "".join(
        f"::{'warning' if item.level in ('warning', 'open') else 'error'} "
        f"title={annotation_property(f'{section.title}: {item.label}')}::{annotation_data(item.text)}\n"
        for section in document.sections
        for item in section.remarks
        if item.level not in ("", "pass")
    )


def annotation_data(text: str) -> str:
    """Return the text as the message of a GitHub workflow command."""
    return one_line(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def annotation_property(text: str) -> str:
    """Return the text as a property of a GitHub workflow command."""
    return annotation_data(text).replace(":", "%3A").replace(",", "%2C")
