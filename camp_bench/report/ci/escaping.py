"""Names come from file names and data, so they may hold anything: here they become text that stays text."""

from __future__ import annotations

import re

from camp_bench.report.foreign_text import one_line

__all__ = ["annotation_data", "annotation_property", "markdown", "without_commands"]

PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$@=:^-])")


def markdown(text: str) -> str:
    """Return the text so that Markdown and its tables show it as it is: no markup, HTML, links or new cells."""
    return PUNCTUATION.sub(r"\\\1", one_line(text))


def annotation_data(text: str) -> str:
    """Return the text as the message of a GitHub workflow command."""
    return one_line(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def annotation_property(text: str) -> str:
    """Return the text as a property of a GitHub workflow command."""
    return annotation_data(text).replace(":", "%3A").replace(",", "%2C")


def without_commands(printed: str) -> str:
    """Return what goes to a log so that no line of it is a workflow command to GitHub's runner (`::`, `##[`)."""
    return re.sub(r"^(\s*):(?=:)", r"\1: ", printed, flags=re.MULTILINE).replace("##[", "# #[")
