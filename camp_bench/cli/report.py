"""`camp-bench report`: finished runs as one page to read and to send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camp_bench.cli.options import Models, Paths, SkipBad, SplitOnly

__all__ = ["report"]


def report(
    paths: Paths = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The page to write.")] = Path(
        "report.html"
    ),
    models: Models = None,
    split: SplitOnly = None,
    rope: Annotated[
        float | None, typer.Option(metavar="POINTS", help="Differences up to this many points count as equal.")
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Write a page about finished runs: verdict, tables, figures, the queries on which models disagree.

    One file that needs no network. Pictures stand in it where the dataset's folder has them, as `images/ID`.
    """
    import shlex

    from camp_bench import __version__
    from camp_bench.cli.output import names_of, say, tell_skipped
    from camp_bench.cli.results import command_line
    from camp_bench.comparison import CompareOptions
    from camp_bench.comparison.study import studies
    from camp_bench.records.throughput import require_output, write_output
    from camp_bench.report.page import report_page

    require_output(output)
    options = CompareOptions(models=names_of(models, "--models"), split=split, rope=rope)
    found, bad = studies(paths or [Path("results")], options, skip_bad=skip_bad)
    tell_skipped(item.reason for item in bad)
    text = report_page(found, command=shlex.join(command_line()), version=__version__)
    write_output(output, text.encode("utf-8", "backslashreplace"))
    say(f"wrote {output}, {len(text) / 1e6:.1f} MB", err=True)
