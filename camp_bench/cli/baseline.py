"""`camp-bench baseline`: keep runs for a gate, and see what is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camp_bench.cli.options import Format, Output

__all__ = ["baseline"]

baseline = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Keep runs for `check`, and see what is kept.")


@baseline.command()
def save(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="E.g. baselines/NAME.json.")],
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUNS]...", help="One run, or a window of several.")
    ] = None,
    throughput: Annotated[
        Path | None, typer.Option(metavar="REPORT", help="What `camp-bench throughput --format json` wrote.")
    ] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Which evaluation is kept.")] = "test",
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only the runs of this model.  [default: there is but one]")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only under this protocol.  [default: there is but one]")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Save what a gate needs of one or more runs of a model, of a throughput report, or of both, in one file.

    With five seeds or more the gate knows the spread between them.
    """
    from camp_bench.cli.output import say
    from camp_bench.errors import ConfigError
    from camp_bench.gate.baseline import Baseline, window_of, write_baseline
    from camp_bench.records import find_records
    from camp_bench.records.throughput import read_throughput
    from camp_bench.report.gate import baseline_summary

    if not runs and throughput is None:
        raise ConfigError("RUNS: none given; name the folders of runs to keep, or --throughput REPORT")
    kept = Baseline(
        recall=window_of(find_records(runs), split, model=model, protocol=protocol) if runs else None,
        speed=None if throughput is None else read_throughput(throughput),
    )
    size = write_baseline(output, kept, force=force)
    say(f"{output}: {baseline_summary(kept)}, {size / 1000:.0f} kB")


@baseline.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A baseline.")],
    form: Format = None,
    output: Output = None,
) -> None:
    """Show what a baseline holds."""
    from camp_bench.cli.output import Show
    from camp_bench.gate.baseline import read_baseline
    from camp_bench.report.gate import baseline_document

    Show(form, output)(baseline_document(file, read_baseline(file)))


@baseline.command(name="list")
def list_baselines(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where baselines are kept.")] = Path("baselines"),
    form: Format = None,
    output: Output = None,
) -> None:
    """List the baselines of a folder, one a line."""
    from camp_bench.cli.output import Show
    from camp_bench.errors import RecordError
    from camp_bench.gate.baseline import read_baseline
    from camp_bench.report.gate import baseline_summary
    from camp_bench.report.listings import listing_document

    show_as = Show(form, output)
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".json")
    except OSError as error:
        raise RecordError(f"{folder}: can't be read ({error.strerror}); expected a folder of baselines") from None
    if not files:
        raise RecordError(
            f"{folder}: no baseline in it; `camp-bench baseline save RUN -o {folder}/NAME.json` makes one"
        )
    rows, bad = [], []
    for file in files:
        try:
            rows.append((str(file), baseline_summary(read_baseline(file))))
        except RecordError as error:
            bad.append(str(error))
    if rows:
        show_as(listing_document("camp-bench baseline list", ("file", "what it holds"), rows))
    if bad:
        raise RecordError("; ".join(bad))
