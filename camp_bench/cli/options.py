"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Format", "Output"]

Format = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="FORMAT", help="table, markdown, latex, csv, json or html.  [default: by -o, or table]"
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there, not to the terminal.")
]
