"""`camp-bench bundle`: all that a reviewer needs to check figures, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["bundle"]


def bundle(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH... | verify FILE", help="Runs, or folders of runs.  [default: results]", show_default=False
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The zip to write.")] = Path(
        "bundle.zip"
    ),
) -> None:
    """Put records, tables, figures, environment and checksums into one zip; `bundle verify FILE` checks one.

    Weights are left out, and so are paths of this machine. Each table and figure stands with the command that makes it
    again. `verify` ends with 2 where a checksum, a figure or a name is not what it should be.
    """
    from camp_bench import __version__
    from camp_bench.cli.output import say
    from camp_bench.errors import ConfigError
    from camp_bench.records.throughput import require_output, write_output
    from camp_bench.report.bundle import make_bundle, verify_bundle

    first, *rest = paths or [Path("results")]
    if str(first) == "verify":
        if len(rest) != 1:
            raise ConfigError(f"bundle verify: got {len(rest)} files, expected one")
        files, runs = verify_bundle(rest[0])
        say(f"{rest[0]}: {files} files and {runs} evaluations are as its manifest and its records say")
        return
    require_output(output)
    content = make_bundle([first, *rest], __version__)
    write_output(output, content)
    say(f"wrote {output}, {len(content) / 1e6:.1f} MB; check it with: camp-bench bundle verify {output}", err=True)
