"""`camp-bench plot`: one figure of finished runs, as a file for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camp_bench.cli.options import Models, Paths, SkipBad, SplitOnly

__all__ = ["plot"]


def plot(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="A .pdf, .svg or .png.")],
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="forest, recall, pareto, ranks, training, gates or seeds.")
    ] = "forest",
    paths: Paths = None,
    models: Models = None,
    split: SplitOnly = None,
    skip_bad: SkipBad = False,
) -> None:
    """Draw one of the report's figures, sized for a paper of two columns.

    The colours are told apart by the colour-blind, and lines by their dashes too.
    """
    from camp_bench.cli.output import names_of, say, tell_skipped
    from camp_bench.comparison import CompareOptions
    from camp_bench.comparison.study import studies
    from camp_bench.records.throughput import require_output, write_output
    from camp_bench.report.figures import check_figure, draw_figure

    check_figure(kind, output)
    require_output(output)
    options = CompareOptions(models=names_of(models, "--models"), split=split)
    found, bad = studies(paths or [Path("results")], options, skip_bad=skip_bad)
    tell_skipped(item.reason for item in bad)
    write_output(output, draw_figure(found, kind, output))
    say(f"wrote {output}", err=True)
