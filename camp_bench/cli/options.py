"""Options that several commands share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Device",
    "Format",
    "MinGrade",
    "Models",
    "Output",
    "Paths",
    "Protocol",
    "Relevance",
    "SkipBad",
    "SplitName",
    "SplitOnly",
    "Tokenizer",
]

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
SplitName = Annotated[str, typer.Option(metavar="NAME", help="train, dev, test or testall.")]
Protocol = Annotated[str, typer.Option(metavar="NAME", help="full, f30k-1k, coco-5k or coco-1k-5fold.")]
Device = Annotated[str, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, cuda:N or mps.")]
Relevance = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="More positives: a TSV of image row, caption row, marks; data, eccv or cxc."),
]
MinGrade = Annotated[
    float | None, typer.Option(metavar="G", help="Of a file: mean mark of a positive, or more.  [default: 3]")
]
Tokenizer = Annotated[str, typer.Option(metavar="NAME", help="Of captions: treebank, unicode or characters.")]
