"""`camp-bench export`: a run's top lists and relevance judgements for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    form: Annotated[str, typer.Option("--format", metavar="FORMAT", help="trec, ranx or csv.")] = "trec",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="A new folder.  [default: exports/RUN-FORMAT]")
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Whose evaluation.")] = "test",
    own_only: Annotated[
        bool, typer.Option("--own-only", help="Leave judged pairs out of the qrels: the split's own pairs alone.")
    ] = False,
) -> None:
    """Write a run's top 100 of every query, and which are relevant, for TREC tools, ranx or a spreadsheet.

    Pairs that were judged (evaluate --relevance) are in the qrels with their grade.
    """
    from camp_bench.cli.output import say
    from camp_bench.report.exports import export_run

    home = run if run.is_dir() else run.parent
    folder = output or Path("exports") / f"{home.resolve().name}-{form}"
    notes: list[str] = []
    for file in export_run(run, form, folder, split=split, own_only=own_only, on_note=notes.append):
        say(f"wrote {file}")
    for note in notes:
        say(f"note: {note}")
