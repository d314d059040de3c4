"""`camp-bench baseline`: keep runs for a gate, and see what is kept."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from camp_bench.gate.baseline import Baseline

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

    if not runs and throughput is None:
        raise ConfigError("RUNS: none given; name the folders of runs to keep, or --throughput REPORT")
    kept = Baseline(
        recall=window_of(find_records(runs), split, model=model, protocol=protocol) if runs else None,
        speed=None if throughput is None else read_throughput(throughput),
    )
    size = write_baseline(output, kept, force=force)
    say(f"{output}: {_summary(kept)}, {size / 1000:.0f} kB")


@baseline.command()
def show(file: Annotated[Path, typer.Argument(metavar="FILE", help="A baseline.")]) -> None:
    """Show what a baseline holds."""
    from camp_bench.gate.baseline import read_baseline
    from camp_bench.gate.noise import seed_noise
    from camp_bench.report.ci import print_lines

    kept = read_baseline(file)
    print_lines(f"{file}: {_summary(kept)}")
    for model in kept.speed.models if kept.speed else ():
        work = model.workload
        print_lines(
            f"{model.model}  {work.images:,} images x {work.captions:,} captions, {model.flops:,} FLOPs, "
            f"{model.traffic_bytes:,} bytes",
            *(
                f"  {median(part.speed_ups):.2f} times as fast as plain"
                + (f" padded to {part.padded_words}" if part.padded_words else "")
                for part in model.baselines
            ),
        )
    if kept.recall is None:
        return
    window = kept.recall
    first = window.runs[0]
    print_lines(
        f"{window.images:,} images, {window.captions:,} captions",
        f"task {window.task_fingerprint[:16]}, features {window.features_fingerprint[:16]}, "
        f"training data {window.train_fingerprint[:16]}",
        f"camp-bench {first.environment.camp_bench}, torch {first.environment.packages.get('torch', 'unknown')}, "
        f"{first.environment.device}, {first.environment.processor}",
        f"spread between seeds: {seed_noise(window).source}",
        *(f"{run.run_id}  seed {run.config.seed}, rsum {run.metrics['rsum']:.2f}" for run in window.runs),
        "mean  " + ", ".join(f"{name} {window.mean(name):.2f}" for name in sorted(first.metrics)),
    )


@baseline.command(name="list")
def list_baselines(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where baselines are kept.")] = Path("baselines"),
) -> None:
    """List the baselines of a folder, one a line."""
    from camp_bench.errors import RecordError
    from camp_bench.gate.baseline import read_baseline
    from camp_bench.report.ci import print_lines

    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".json")
    except OSError as error:
        raise RecordError(f"{folder}: can't be read ({error.strerror}); expected a folder of baselines") from None
    if not files:
        raise RecordError(
            f"{folder}: no baseline in it; `camp-bench baseline save RUN -o {folder}/NAME.json` makes one"
        )
    bad = []
    for file in files:
        try:
            print_lines(f"{file}: {_summary(read_baseline(file))}")
        except RecordError as error:
            bad.append(str(error))
    if bad:
        raise RecordError("; ".join(bad))


def _summary(kept: Baseline) -> str:
    parts = []
    if kept.recall is not None:
        window = kept.recall
        parts.append(
            f"{window.model} on {window.dataset}, {window.split} split, protocol {window.protocol}, "
            f"{len(window.runs)} run{'s' * (len(window.runs) > 1)}, rsum {window.mean('rsum'):.1f}"
        )
    if kept.speed is not None:
        parts.append(f"speed of {', '.join(model.model for model in kept.speed.models)}")
    return "; ".join(parts)
