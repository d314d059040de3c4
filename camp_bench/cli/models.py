"""`camp-bench models`: every model there is, by name; `models test` holds one to what all keep to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camp_bench.cli.options import Format, Output

__all__ = ["models"]


def models(
    action: Annotated[str, typer.Argument(metavar="[test]", help="Check a model instead of listing all.")] = "list",
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="package.module:Class, or any name that `models` lists.")
    ] = None,
    form: Format = None,
    output: Output = None,
) -> None:
    """List the models: name, what it is, source. Or check one: camp-bench models test NAME.

    The checks run on small toy data: shapes, batches, padding, tiles, gallery, determinism, gradients, learning. Where
    one fails, the exit code is 1. A plug-in is imported, which runs its code.
    """
    from camp_bench.errors import ConfigError, nearest

    if action == "list" and name is None:
        _list(form, output)
    elif action == "test" and name is not None:
        _test(name)
    else:
        asked = " ".join(["models", action, *([name] if name else [])])
        hint = ": the name of a model is missing" if action == "test" else nearest(action, ["test"])
        raise ConfigError(f"got '{asked}'{hint}, expected 'models' or 'models test NAME'")


def _list(form: str | None, output: Path | None) -> None:
    from camp_bench.cli.output import Show
    from camp_bench.models.registry import ALIASES, variants
    from camp_bench.report.listings import listing_document

    show = Show(form, output)
    shorts = {full: f"{short} = " for short, full in ALIASES.items()}
    rows = [(f"{shorts.get(item.name, '')}{item.name}", f"{item.summary} ({item.source})") for item in variants()]
    show(listing_document("camp-bench models", ("model", "what it is"), rows))


def _test(name: str) -> None:
    from camp_bench.machine.process import prepare_process

    prepare_process()
    from camp_bench.cli.output import say
    from camp_bench.evaluation.conformance import check_model
    from camp_bench.models.plugins import is_plugin, load_plugin
    from camp_bench.models.registry import find_variant

    if is_plugin(name):
        load_plugin(name)
    failed = 0
    for check in check_model(find_variant(name)):
        failed += not check.passed
        say(f"{'ok    ' if check.passed else 'FAILED'}  {check.name}{f': {check.found}' if check.found else ''}")
    if failed:
        say(f"{name}: {failed} check(s) failed", err=True)
        raise typer.Exit(1)
    say(f"{name} keeps to the protocol")
