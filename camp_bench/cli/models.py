"""`camp-bench models`: every model there is, one line each; `models test` holds one to what all keep to."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["models_app"]

models_app = typer.Typer(rich_markup_mode=None, invoke_without_command=True)


@models_app.callback()
def models(context: typer.Context) -> None:
    """List the models: name, what it is, source. `camp-bench models test NAME` checks one."""
    if context.invoked_subcommand is not None:
        return
    from camp_bench.models.registry import ALIASES, variants

    shorts = {full: f"{short} = " for short, full in ALIASES.items()}
    names = {variant.name: shorts.get(variant.name, "") + variant.name for variant in variants()}
    width = max(map(len, names.values()))
    for variant in variants():
        typer.echo(f"{names[variant.name]:<{width}}  {variant.summary} ({variant.source})")


@models_app.command()
def test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="package.module:Class, or any name of `models`.")],
) -> None:
    """Check a model on small toy data: shapes, batches, tiles, gallery, determinism, gradients, learning.

    Exits with 1 where a check fails. A plug-in is imported, which runs its code.
    """
    from camp_bench.runtime import prepare_process

    prepare_process()
    from camp_bench.conformance import check_model
    from camp_bench.models.plugins import is_plugin, load_plugin
    from camp_bench.models.registry import find_variant

    if is_plugin(name):
        load_plugin(name)
    failed = 0
    for check in check_model(find_variant(name)):
        failed += not check.passed
        typer.echo(f"{'ok    ' if check.passed else 'FAILED'}  {check.name}{f': {check.found}' if check.found else ''}")
    if failed:
        typer.echo(f"{name}: {failed} check(s) failed", err=True)
        raise typer.Exit(1)
    typer.echo(f"{name} keeps to the protocol")
