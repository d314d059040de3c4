"""The command line: parse, call one function, print, exit code. One file a command; heavy imports inside their bodies.

Exit codes: 0 done, 2 something the user can mend (one line on standard error), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from camp_bench import __version__
from camp_bench.cli.evaluate import evaluate
from camp_bench.cli.models import models
from camp_bench.cli.run import run
from camp_bench.errors import CampBenchError

__all__ = ["app", "main"]

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(evaluate)
app.command()(models)


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
    try:
        code = app(args=given or ["--help"], prog_name="camp-bench", standalone_mode=False)
    except CampBenchError as error:
        return _refuse(str(error))
    except typer.TyperException as error:
        return _refuse(_usage(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _refuse(f"{where}{error.strerror or error}")
    return code if isinstance(code, int) else 0


def _usage(error: typer.TyperException) -> str:
    """Return the message of a wrong command line, and where to read about the right one."""
    context = getattr(error, "ctx", None)
    text = error.format_message() if hasattr(error, "format_message") else str(error)
    return f"{text.rstrip('.')}; see: {context.command_path if context else 'camp-bench'} --help"


def _refuse(text: str) -> int:
    typer.echo("error: " + " ".join(text.split()), file=sys.stderr)
    return 2
