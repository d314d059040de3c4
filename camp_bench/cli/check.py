"""`camp-bench check`: runs against a baseline, with an exit code for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camp_bench.cli.options import Format, Output

if TYPE_CHECKING:
    from camp_bench.gate import GateReport
    from camp_bench.records.throughput import ThroughputReport

__all__ = ["check"]


def check(
    baseline: Annotated[Path, typer.Option(metavar="FILE", help="What `camp-bench baseline save` wrote.")],
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUNS]...", help="Folders of runs, or folders that hold them.")
    ] = None,
    tolerance: Annotated[float, typer.Option(metavar="POINTS", help="A drop up to this is tolerated.")] = 1.0,
    alpha: Annotated[float, typer.Option(metavar="P", help="Level of the tests.")] = 0.05,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="rsum, i2t.R@1, ...; may be repeated.  [default: rsum]")
    ] = None,
    fail: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME:DROP", help="With a tolerance of its own: rsum:2, i2t.R@1:3%, speed:5%."),
    ] = None,
    floor: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Fail below a fixed value: i2t.R@1=20.")
    ] = None,
    same_checkpoint: Annotated[
        bool, typer.Option("--same-checkpoint", help="The weights are the baseline's: no spread between seeds.")
    ] = False,
    prove: Annotated[
        bool, typer.Option("--prove", help="Pass only where the upper bound of the drop is within the tolerance.")
    ] = False,
    throughput: Annotated[
        bool, typer.Option("--throughput", help="Hold the speed too: measured now, as the baseline's was.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The speed, from `camp-bench throughput --format json`.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report.")] = None,
    markdown: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a summary; added to $GITHUB_STEP_SUMMARY.")
    ] = None,
    github: Annotated[bool, typer.Option("--github", help="Print annotations for a GitHub workflow.")] = False,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write everything.")] = None,
    benchmark_json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write figures for github-action-benchmark.")
    ] = None,
    form: Format = None,
    output: Output = None,
) -> None:
    """Hold runs against a baseline, for CI.

    Exit code 0 pass or unproven drop, 1 regression or (--prove) not proven, 2 can't judge.
    A metric regressed if it fell by more than the tolerance, and surely fell: the one-sided lower bound of the drop is
    above 0. The error takes in which images are tested and, unless --same-checkpoint, which seeds were drawn: as
    measured between five baseline runs or more; with fewer the published spread is taken, twice over where it decides.
    """
    from camp_bench.cli.output import Show
    from camp_bench.errors import CampBenchError, ConfigError
    from camp_bench.gate import check_runs, parse_limits, refusal
    from camp_bench.records.throughput import read_throughput
    from camp_bench.report.gate import gate_document

    show = Show(form, output)
    files = {"junit": junit, "markdown": markdown, "json": json, "history": benchmark_json}
    try:
        limits = parse_limits(metric or (), fail or (), floor or (), tolerance=tolerance, alpha=alpha, prove=prove)
        speed = None
        if report is not None:
            speed = read_throughput(report)
        elif throughput or any(text.startswith("speed") for text in fail or ()):
            speed = _measure(baseline)
        elif not runs:
            raise ConfigError("RUNS: none given; name the folders of runs to judge, or --throughput for speed alone")
        found = check_runs(runs or (), baseline, limits, same_checkpoint=same_checkpoint, strict=strict, speed=speed)
    except CampBenchError as error:
        _write(refusal(baseline.stem, str(error)), files, github=github)  # no CI takes an older report for this one's
        raise
    _write(found, files, github=github)
    show(gate_document(found))
    raise typer.Exit(found.exit_code)


def _measure(baseline: Path) -> ThroughputReport:
    """Return the speed of what the baseline's report was about, measured now."""
    from camp_bench.gate import speed_baseline
    from camp_bench.machine.process import prepare_process

    held = speed_baseline(baseline)
    prepare_process()
    from camp_bench.cli.output import say
    from camp_bench.cli.results import command_line
    from camp_bench.throughput.again import measure_again

    return measure_again(held, command=command_line(), on_stage=lambda text: say(text, err=True))


def _write(report: GateReport, files: dict[str, Path | None], *, github: bool) -> None:
    """Write the report for those who read it beside the terminal."""
    from camp_bench.cli.output import write_file_beside
    from camp_bench.report.gate import gate_document, history_document
    from camp_bench.report.writers import json, junit, markdown
    from camp_bench.report.writers.github import write as annotations

    document = gate_document(report)
    writers = {"junit": junit.write, "markdown": markdown.write, "json": json.write}
    for name, path in files.items():
        if path is not None:
            text = json.write(history_document(report)) if name == "history" else writers[name](document)
            write_file_beside(path, text)
    if github:
        typer.echo(annotations(document), nl=False)
