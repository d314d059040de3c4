"""`camp-bench published`: the papers' figures that come along."""

from __future__ import annotations

from typing import Annotated

import typer

from camp_bench.cli.options import Format, Output

__all__ = ["published"]


def published(
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only f30k-1k, coco-5k or coco-1k-5fold.  [default: all]")
    ] = None,
    form: Format = None,
    output: Output = None,
) -> None:
    """List the papers' figures for Flickr30K and COCO, each with its features and source."""
    from camp_bench.cli.output import Show
    from camp_bench.comparison import read_published
    from camp_bench.errors import ConfigError, nearest
    from camp_bench.report.listings import published_document

    show = Show(form, output)
    every = read_published()
    rows = [row for row in every if protocol in (None, row.protocol)]
    if not rows:
        known = list(dict.fromkeys(row.protocol for row in every))
        raise ConfigError(f"--protocol: got '{protocol}', expected {', '.join(known)}{nearest(str(protocol), known)}")
    show(published_document(rows))
