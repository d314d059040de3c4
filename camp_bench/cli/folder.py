"""`camp-bench results`: what stopped runs have left in a results folder, and to sweep it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["results"]

results = typer.Typer(help="What stopped runs have left in a results folder: list it, sweep it.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="[DIR]", help="The results folder.  [default: results]")]


@results.command(name="list")
def list_(folder: Folder = Path("results")) -> None:
    """List the finished runs by number, and each job that was begun with how far it is."""
    from camp_bench.cli.output import say
    from camp_bench.runs.leftovers import count_finished, find_leftovers

    say(f"{folder}: {count_finished(folder)} finished run(s)")
    for one in find_leftovers(folder):
        say(f"  {one.told}")


@results.command()
def clean(
    folder: Folder = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Remove what stopped runs have left: states to go on from, hidden folders. Finished runs stay as they are."""
    from camp_bench.cli.output import say
    from camp_bench.errors import ConfigError
    from camp_bench.runs.leftovers import find_leftovers, remove_leftover

    free = [one for one in find_leftovers(folder) if not one.claimed]
    if not free:
        say(f"{folder}: nothing to remove")
        return
    say(*(one.told for one in free))
    if not yes:
        try:
            answer = input(f"remove these {len(free)}, so that none of them can go on? [y/N] ")
        except EOFError:
            raise ConfigError("results clean: nobody answers; pass --yes to remove them") from None
        if answer.strip().lower() not in ("y", "yes"):
            say("nothing was removed")
            return
    for one in free:
        done = remove_leftover(folder, one)
        say(f"removed {one.path}" if done else f"kept {one.path}: a process works on it now")
