"""`camp-bench compare`: finished runs side by side, with intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from camp_bench.comparison.loading import BadRecord

__all__ = ["compare"]


def compare(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="PATH", help="Runs, or folders of runs.  [default: results]", show_default=False),
    ] = None,
    models: Annotated[str | None, typer.Option(metavar="A,B", help="Only these rows.")] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES", help="Show and test only these, e.g. rsum,i2t.R@1.  [default: all; R@1, rsum tested]"
        ),
    ] = None,
    k: Annotated[str, typer.Option("--k", metavar="K,K", help="The K of R@K.")] = "1,5,10",
    reference: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Compare with this row only, not all pairs.")
    ] = None,
    scope: Annotated[
        str,
        typer.Option(
            metavar="SCOPE",
            help="checkpoints: images random; method: seeds too; auto: method from three seeds a row on.",
        ),
    ] = "auto",
    alpha: Annotated[float, typer.Option(metavar="A", help="Level of the tests; intervals cover 1 - A.")] = 0.05,
    rope: Annotated[
        float | None, typer.Option(metavar="POINTS", help="Differences up to this many points count as equal.")
    ] = None,
    adjust: Annotated[
        str,
        typer.Option(
            metavar="HOW", help="p-values for their number: holm (no false find) or bh (share of false finds)."
        ),
    ] = "holm",
    sort: Annotated[
        str, typer.Option(metavar="METRIC", help="Best first by a metric; or 'model', or 'none'.")
    ] = "rsum",
    split: Annotated[str | None, typer.Option(metavar="NAME", help="Only evaluations of this split.")] = None,
    published: Annotated[bool, typer.Option("--published", help="Add the papers' figures, where they fit.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Write the paragraph that a paper needs.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="On the terminal: all tables, not the short one. Files hold all of them.")
    ] = False,
    queries: Annotated[
        int | None,
        typer.Option(metavar="N", help="List the N queries on which two rows differ most, in place of tables."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="FORMAT", help="table, markdown, latex, csv, json or html.  [default: by -o, or table]"
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Go without records that can't be used; name them.")
    ] = False,
    resamples: Annotated[int, typer.Option(metavar="N", help="Of the bootstrap and of the sign flips.")] = 10_000,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the resampling: same seed, same digits.")] = 0,
) -> None:
    """Compare finished runs: the verdict, figures with intervals, differences with tests.

    One table a task and protocol. Every interval and p-value says its scope: these checkpoints, or the method. Tests
    are corrected for their number (--adjust). What differs beside the models is named below.
    """
    from camp_bench.cli.output import names_of, show, whole_numbers, write_text
    from camp_bench.comparison import CompareOptions, compare_groups, query_differences
    from camp_bench.report import draw_comparisons, draw_sheet, format_of, queries_sheet, render, render_sheet

    chosen = format_of(form, output)
    places = paths or [Path("results")]
    options = CompareOptions(
        metrics=names_of(metrics, "--metrics"),
        ks=whole_numbers(k, "--k"),
        alpha=alpha,
        sort=sort,
        reference=reference,
        adjust=adjust,
        rope=rope,
        models=names_of(models, "--models"),
        split=split,
        scope=scope,
        published=published,
        resamples=resamples,
        seed=seed,
    )
    if queries is not None:
        found = query_differences(places, queries, options, skip_bad=skip_bad)
        _tell_skipped(found.skipped)
        sheet = queries_sheet(found)
        if chosen == "table":
            show(lambda console: draw_sheet(console, sheet), output)
        else:
            write_text(render_sheet(sheet, chosen, found), output)
        return
    tables, bad = compare_groups(places, options, skip_bad=skip_bad)
    _tell_skipped(bad)
    if chosen == "table":
        show(
            lambda console: draw_comparisons(console, tables, explained=explain, full=full or output is not None),
            output,
        )
    else:
        write_text(render(tables, chosen, explained=explain), output)


def _tell_skipped(bad: Sequence[BadRecord]) -> None:
    """Name on standard error what --skip-bad went without."""
    from camp_bench.cli.output import say

    for item in bad:
        say(f"skipped: {' '.join(item.reason.split())}", err=True)
