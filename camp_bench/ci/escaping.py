"""Names come from file names and data, so they may hold anything: here they become text that stays text."""

from __future__ import annotations

import re

__all__ = ["annotation_data", "annotation_property", "markdown", "visible", "without_commands"]

PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+!|~&$@=:^-])")


def visible(text: str) -> str:
    """Return the text on one line, with what can't be printed as an escape: control characters, lone surrogates."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)


def markdown(text: str) -> str:
    """Return the text so that Markdown and its tables show it as it is: no markup, HTML, links or new cells."""
    return PUNCTUATION.sub(r"\\\1", visible(text))


def annotation_data(text: str) -> str:
    """Return the text as the message of a GitHub workflow command."""
    return visible(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def annotation_property(text: str) -> str:
    """Return the text as a property of a GitHub workflow command."""
    return annotation_data(text).replace(":", "%3A").replace(",", "%2C")


def without_commands(printed: str) -> str:
    """Return what goes to a log so that no line of it is a workflow command to GitHub's runner (`::`, `##[`)."""
    return re.sub(r"^(\s*):(?=:)", r"\1: ", printed, flags=re.MULTILINE).replace("##[", "# #[")
