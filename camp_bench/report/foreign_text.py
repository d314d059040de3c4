"""Text of others on a terminal: names, paths, captions and notes stay text, never markup, never a command.

`visible` says what is shown; everything that prints uses it, through `PlainConsole` where rich draws and by itself
where lines are written.
"""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console
from rich.progress import Task, TextColumn
from rich.text import Text

__all__ = ["PlainColumn", "PlainConsole", "one_line", "plain", "visible", "without_commands"]


def visible(text: str, *, keep: str = "") -> str:
    """Return the text with what can't be printed as an escape: control characters, lone surrogates.

    keep: letters that are let through all the same, such as the line breaks of a layout.
    """
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape").decode()
        for letter in text
    )


def one_line(text: str) -> str:
    """Return the text on one line, with what can't be printed as an escape."""
    return visible(" ".join(text.split()))


def without_commands(printed: str) -> str:
    """Return what goes to a log so that no line of it is a workflow command to GitHub's runner (`::`, `##[`)."""
    return re.sub(r"^(\s*):(?=:)", r"\1: ", printed, flags=re.MULTILINE).replace("##[", "# #[")


def plain(text: str, style: str = "") -> Text:
    """Return text for rich to draw as it is, in one style."""
    return Text(visible(text), style=style)


class PlainConsole(Console):
    """A console to which every string is text: no markup, no emoji by name, no colours of its own, nothing hidden."""

    def render_str(
        self, text: str, *, style: Any = "", justify: Any = None, overflow: Any = None, **_markup: Any
    ) -> Text:
        """Return a string, a table's cell or a printed line, as the text that it is, its line breaks kept."""
        return Text(visible(text, keep="\n"), style=style, justify=justify, overflow=overflow)


class PlainColumn(TextColumn):
    """What a progress display says of a task, as the text that it is."""

    def render(self, task: Task) -> Text:
        """Return the text of a task."""
        return Text(visible(self.text_format.format(task=task)), style=self.style, justify=self.justify)
