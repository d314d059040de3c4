"""`camp-bench compare`: finished runs side by side, with intervals and tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from camp_bench.cli.options import Format, Models, Output, Paths, SkipBad, SplitOnly

if TYPE_CHECKING:
    pass

__all__ = ["compare"]


def compare(
    paths: Paths = None,
    models: Models = None,
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
    split: SplitOnly = None,
    published: Annotated[bool, typer.Option("--published", help="Add the papers' figures, where they fit.")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Write the paragraph that a paper needs.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="On the terminal: all tables, not the short one. Files hold all of them.")
    ] = False,
    queries: Annotated[
        int | None,
        typer.Option(metavar="N", help="List the N queries on which two rows differ most, in place of tables."),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show the settings that differ, in place of tables.")] = False,
    form: Format = None,
    output: Output = None,
    skip_bad: SkipBad = False,
    resamples: Annotated[int, typer.Option(metavar="N", help="Of the bootstrap and of the sign flips.")] = 10_000,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the resampling: same seed, same digits.")] = 0,
) -> None:
    """Compare finished runs: the verdict, figures with intervals, differences with tests.

    One table a task and protocol. Every interval and p-value says its scope: these checkpoints, or the method. Tests
    are corrected for their number (--adjust). What differs beside the models is named below.
    """
    from camp_bench.cli.output import Show, names_of, tell_skipped, whole_numbers
    from camp_bench.comparison import CompareOptions, compare_groups, query_differences
    from camp_bench.report import comparison_document
    from camp_bench.report.listings import queries_document

    show = Show(form, output)
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
        tell_skipped(item.reason for item in found.skipped)
        show(queries_document(found))
        return
    if diff:
        from camp_bench.comparison.study import studies
        from camp_bench.report.study import settings_document

        compared, bad = studies(places, options, skip_bad=skip_bad)
        tell_skipped(item.reason for item in bad)
        show(settings_document(compared))
        return
    tables, bad = compare_groups(places, options, skip_bad=skip_bad)
    tell_skipped(item.reason for item in bad)
    whole = full or show.form != "table" or output is not None
    show(comparison_document(tables, explained=explain, full=whole))
