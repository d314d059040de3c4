"""`camp-bench throughput`: how many pairs a second models score, and against what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from camp_bench.cli.options import Device, Format, Output

if TYPE_CHECKING:
    from camp_bench.records.throughput import Workload

__all__ = ["throughput"]

FROM_DATA = ("regions", "words")


def throughput(
    models: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Comma-separated.  [default: vsepp,scan,camp]")
    ] = None,
    images: Annotated[int | None, typer.Option(metavar="N", help="Images.  [default: as suits the model]")] = None,
    captions: Annotated[int | None, typer.Option(metavar="N", help="Captions.  [default: five an image]")] = None,
    regions: Annotated[int | None, typer.Option(metavar="N", help="Regions an image.  [default: 36]")] = None,
    words: Annotated[
        float | None,
        typer.Option(metavar="N", help="Words a caption on average, <start> and <end> counted.  [default: 12]"),
    ] = None,
    dim: Annotated[int | None, typer.Option(metavar="N", help="D of the joint space.  [default: 1024]")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="DATA", help="The test split of 'toy' or a folder, in place of random items.")
    ] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(metavar="N", help="CPU threads, 0 for as many as torch chooses.")] = 0,
    turns: Annotated[int, typer.Option(metavar="N", help="Samples of each quantity.")] = 7,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="Also time galleries of 2, 4 and 8 times as many pairs.")
    ] = False,
    form: Format = None,
    output: Output = None,
) -> None:
    """Measure how fast models score every image with every caption.

    Each model is timed in turn with its plain form, as the paper writes it, and with a bare matrix product: one
    process, the same data, medians of raw samples. Weights are random, for they make no difference to speed.
    """
    from camp_bench.cli.output import Show, say
    from camp_bench.config import DEFAULT_MODELS, parse_models
    from camp_bench.machine.process import prepare_process
    from camp_bench.report.throughput import spread_warnings, throughput_document

    show = Show(form, output)
    sizes = {"images": images, "captions": captions, "regions": regions, "words": words, "dim": dim, "data": data}
    workload = _workload({name: value for name, value in sizes.items() if value is not None})
    names = DEFAULT_MODELS if models is None else parse_models(models)
    prepare_process()
    from camp_bench.cli.results import command_line
    from camp_bench.throughput import measure_throughput

    with _status() as on_stage:
        report = measure_throughput(
            names,
            workload,
            device=device,
            threads=threads,
            turns=turns,
            scaling=scaling,
            command=command_line(),
            on_stage=on_stage,
        )
    if show.form in ("json", "csv"):  # which have no place for them
        for warning in spread_warnings(report):
            say(f"warning: {warning}", err=True)
    show(throughput_document(report))


def _workload(given: dict[str, Any]) -> Workload:
    """Return the workload of the options; ConfigError where the data leaves one no say."""
    from camp_bench.errors import ConfigError
    from camp_bench.records.throughput import Workload

    if "data" in given and (fixed := [f"--{name}" for name in FROM_DATA if name in given]):
        raise ConfigError(f"{', '.join(fixed)}: --data says how many there are; leave out one or the other")
    return Workload(**given)


@contextmanager
def _status() -> Iterator[Callable[[str], None]]:
    """Show in a terminal what is being done; elsewhere say nothing."""
    from camp_bench.report.foreign_text import PlainConsole, plain

    console = PlainConsole(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("starting", refresh_per_second=2) as status:  # a busier one would cost the samples time
        yield lambda text: status.update(plain(text))
