"""`camp-bench published`: the papers' figures that come along."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["published"]


def published(
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only f30k-1k, coco-5k or coco-1k-5fold.  [default: all]")
    ] = None,
    form: Annotated[
        str | None,
        typer.Option("--format", metavar="FORMAT", help="table, markdown, latex, csv, json or html.  [default: by -o]"),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there.")] = None,
) -> None:
    """List the papers' figures for Flickr30K and COCO, each with its features and source."""
    from camp_bench.cli.output import show, write_text
    from camp_bench.comparison import read_published
    from camp_bench.errors import ConfigError, nearest
    from camp_bench.report import draw_sheet, format_of, published_sheet, render_sheet

    chosen = format_of(form, output)
    every = read_published()
    rows = [row for row in every if protocol in (None, row.protocol)]
    if not rows:
        known = list(dict.fromkeys(row.protocol for row in every))
        raise ConfigError(f"--protocol: got '{protocol}', expected {', '.join(known)}{nearest(str(protocol), known)}")
    sheet = published_sheet(rows)
    if chosen == "table":
        show(lambda console: draw_sheet(console, sheet), output)
    else:
        write_text(render_sheet(sheet, chosen, rows), output)
