"""`camp-bench show` and `camp-bench list`: runs at a glance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camp_bench.cli.options import Format, Output, Paths, SkipBad

if TYPE_CHECKING:
    import datetime as dt

    from camp_bench.records import RunRecord

__all__ = ["list_runs", "show"]


def show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    form: Format = None,
    output: Output = None,
) -> None:
    """Show a run at a glance: figures, how training went, gates, what it was trained on, the command."""
    from camp_bench.cli.output import Show
    from camp_bench.records import read_record
    from camp_bench.report.runs import run_document

    show_as = Show(form, output)
    show_as(run_document(run, read_record(run)))


def list_runs(
    paths: Paths = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this model, or this family such as scan.")
    ] = None,
    data: Annotated[str | None, typer.Option(metavar="NAME", help="Only runs on this dataset.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DATE", help="Only runs from this day on: 2026-01-31.")] = None,
    skip_bad: SkipBad = False,
    form: Format = None,
    output: Output = None,
) -> None:
    """List finished runs, the oldest first."""
    from camp_bench.cli.output import Show, tell_skipped
    from camp_bench.errors import RecordError
    from camp_bench.records import find_records, read_record
    from camp_bench.report.runs import list_document

    show_as, first_day = Show(form, output), _day(since)
    kept: list[tuple[Path, RunRecord]] = []
    bad: list[str] = []
    for file in find_records(paths or [Path("results")], on_unread=lambda _, error: bad.append(str(error))):
        try:
            record = read_record(file)
        except RecordError as error:
            bad.append(str(error))
            continue
        if _wanted(record, model, data, first_day):
            kept.append((file.parent, record))
    if bad and not skip_bad:
        raise RecordError(f"{bad[0]}{f' (and {len(bad) - 1} more)' if len(bad) > 1 else ''}; mend it, or --skip-bad")
    tell_skipped(bad)
    kept.sort(key=lambda item: item[1].created)
    if not kept:
        raise RecordError("no run is left by --model, --data and --since; without them all are listed")
    show_as(list_document(kept))


def _day(text: str | None) -> dt.date | None:
    import datetime as dt

    from camp_bench.errors import ConfigError

    try:
        return None if text is None else dt.date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--since: got '{text}', expected a day such as 2026-01-31") from None


def _wanted(record: RunRecord, model: str | None, data: str | None, first_day: dt.date | None) -> bool:
    import datetime as dt

    name = record.config.model
    return (
        model in (None, name, name.partition(":")[0])
        and data in (None, record.dataset.name, record.dataset.source)
        and (first_day is None or dt.datetime.fromisoformat(record.created).date() >= first_day)
    )
