"""The command line: parse, call one function, print, exit code. One file a command; heavy imports inside their bodies.

Exit codes: 0 done, 1 whoever read the output went away or `check` found a regression, 2 something the user can mend
(one line on standard error), 130 stopped by Ctrl-C, 143 by SIGTERM.
"""

from __future__ import annotations

from camp_bench.cli.interrupts import STOPPED, interruptible, starting

with starting():
    import io
    import signal
    import sys
    import threading
    from collections.abc import Iterator, Sequence
    from contextlib import contextmanager
    from types import FrameType
    from typing import Annotated

    import typer

    from camp_bench import __version__
    from camp_bench.cli.add import add
    from camp_bench.cli.baseline import baseline
    from camp_bench.cli.bundle import bundle
    from camp_bench.cli.check import check
    from camp_bench.cli.compare import compare
    from camp_bench.cli.convert import convert
    from camp_bench.cli.data import data
    from camp_bench.cli.evaluate import evaluate
    from camp_bench.cli.export import export
    from camp_bench.cli.features import features
    from camp_bench.cli.folder import results
    from camp_bench.cli.models import models
    from camp_bench.cli.plot import plot
    from camp_bench.cli.power import power
    from camp_bench.cli.published import published
    from camp_bench.cli.report import report
    from camp_bench.cli.run import run
    from camp_bench.cli.show import list_runs, show
    from camp_bench.cli.throughput import throughput
    from camp_bench.errors import CampBenchError

__all__ = ["app", "main"]

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(evaluate)
app.command()(compare)
app.command()(report)
app.command()(show)
app.command("list")(list_runs)
app.command()(plot)
app.command()(bundle)
app.command()(check)
app.add_typer(baseline, name="baseline")
app.command()(power)
app.command()(throughput)
app.command()(models)
app.command()(published)
app.command()(export)
app.command()(add)
app.command()(convert)
app.add_typer(results, name="results")
app.add_typer(data, name="data")
app.command()(features)


def _print_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"camp-bench {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Train and evaluate image-text retrieval models under identical data splits."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code. arguments: instead of those the process was started with."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack the letters of a path
    try:
        with interruptible(), _ended_by_signals():
            code = app(args=given or ["--help"], prog_name="camp-bench", standalone_mode=False)
    except CampBenchError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):  # typer makes one of the other
        return STOPPED
    except typer.TyperException as error:
        return _refuse(_usage(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")
    return code if isinstance(code, int) else 0


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (`timeout`, a batch system, a closed terminal) end the block as an exception would."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        names = []
    before = {name: signal.signal(getattr(signal, name), end) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def _usage(error: typer.TyperException) -> str:
    """Return the message of a wrong command line, and where to read about the right one."""
    context = getattr(error, "ctx", None)
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return f"{text.rstrip('.')}; see: {context.command_path if context else 'camp-bench'} --help"


def _refuse(text: str) -> int:
    from camp_bench.report.foreign_text import one_line

    typer.echo(f"error: {one_line(text)}", err=True)
    return 2
