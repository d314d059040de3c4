"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Format", "Models", "Output", "Paths", "SkipBad", "SplitOnly"]

Format = Annotated[
    str | None,
    typer.Option(
        "--format", metavar="FORMAT", help="table, markdown, latex, csv, json or html.  [default: by -o, or table]"
    ),
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there, not to the terminal.")
]
Paths = Annotated[
    list[Path] | None,
    typer.Argument(metavar="PATH", help="Runs, or folders of runs.  [default: results]", show_default=False),
]
Models = Annotated[str | None, typer.Option(metavar="A,B", help="Only these rows.")]
SplitOnly = Annotated[str | None, typer.Option(metavar="NAME", help="Only evaluations of this split.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Go without records that can't be used; name them.")]
