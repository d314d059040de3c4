"""`camp-bench power`: how likely a gate is to catch a drop of a given size."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from camp_bench.cli.options import Format, Output

__all__ = ["power"]


def power(
    baseline: Annotated[Path, typer.Option(metavar="FILE", help="What `camp-bench baseline save` wrote.")],
    drop: Annotated[float, typer.Option(metavar="POINTS", help="The true drop to catch.")] = 2.0,
    runs: Annotated[int, typer.Option(metavar="N", help="Runs that are judged, one a seed.")] = 1,
    tolerance: Annotated[float, typer.Option(metavar="POINTS", help="As for `check`.")] = 1.0,
    alpha: Annotated[float, typer.Option(metavar="P", help="As for `check`.")] = 0.05,
    metric: Annotated[list[str] | None, typer.Option(metavar="NAME", help="As for `check`; may be repeated.")] = None,
    fail: Annotated[list[str] | None, typer.Option(metavar="NAME:DROP", help="As for `check`.")] = None,
    form: Format = None,
    output: Output = None,
) -> None:
    """Tell how likely `check` is to catch a drop.

    With the gate's own limits, averaged over what the baseline leaves open of the spread between seeds. More images,
    five baseline runs or more, and more --runs make it likelier.
    """
    from camp_bench.cli.output import Show
    from camp_bench.gate import gate_power, parse_limits, recall_baseline
    from camp_bench.report.gate import power_document

    show = Show(form, output)
    limits = parse_limits(metric or (), fail or (), tolerance=tolerance, alpha=alpha)
    show(power_document(gate_power(recall_baseline(baseline), drop, limits, runs=runs)))
