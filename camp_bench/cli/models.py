"""`camp-bench models`: every model there is, one line each."""

from __future__ import annotations

import typer

__all__ = ["models"]


def models() -> None:
    """List the models: name, what it is, source."""
    from camp_bench.models.registry import ALIASES, variants

    shorts = {full: f"{short} = " for short, full in ALIASES.items()}
    names = {variant.name: shorts.get(variant.name, "") + variant.name for variant in variants()}
    width = max(map(len, names.values()))
    for variant in variants():
        typer.echo(f"{names[variant.name]:<{width}}  {variant.summary} ({variant.source})")
