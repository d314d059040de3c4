"""Rows as tables for a terminal. Nothing is computed here, and rounding happens here alone."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from camp_bench.comparison import ResultGroup
from camp_bench.report.foreign_text import plain

__all__ = ["format_duration", "results_table", "results_title"]

METRICS = tuple(f"{direction}.{name}" for direction in ("i2t", "t2i") for name in ("R@1", "R@5", "R@10", "MedR"))
LOWER_IS_BETTER = "MedR"


def results_title(group: ResultGroup) -> str:
    """Return what the figures of a group are, in one line."""
    return (
        f"{group.dataset}, {group.split} split, protocol {group.protocol}: {group.images:,} images, "
        f"{group.captions:,} captions; chance rsum {group.chance_rsum:.1f}"
    )


def results_table(group: ResultGroup) -> Table:
    """Return one line a model: recalls in percent, MedR and rsum, the best values bold.

    With several seeds the values are means, and `sd` is the rsum's between seeds.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)  # 80 columns wide at most
    several = any(len(row.seeds) > 1 for row in group.rows)
    table.add_column("model", overflow="fold")
    table.add_column("seeds" if several else "seed", justify="right")
    for metric in METRICS:
        table.add_column(metric.replace(".", "\n"), justify="right", no_wrap=True)
    table.add_column("rsum", justify="right", no_wrap=True, style="cyan")
    if several:
        table.add_column("sd", justify="right", no_wrap=True)
    best = {metric: _best(group, metric) for metric in (*METRICS, "rsum")}
    for row in group.rows:
        cells = [_cell(row.metrics[metric], metric, best[metric]) for metric in METRICS]
        cells.append(_cell(row.metrics["rsum"], "rsum", best["rsum"]))
        if several:
            cells.append(Text("" if row.rsum_sd is None else f"{row.rsum_sd:.1f}"))
        seeds = f"{len(row.seeds)}" if several else f"{row.seeds[0]}"
        table.add_row(plain(row.label), seeds, *cells)
    return table


def format_duration(seconds: float) -> str:
    """Return `m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _best(group: ResultGroup, metric: str) -> float | None:
    """Return the best value of a column as it is displayed, None where there is nothing to compare."""
    if len(group.rows) < 2:
        return None
    values = [round(row.metrics[metric], 1) for row in group.rows]
    return min(values) if metric.endswith(LOWER_IS_BETTER) else max(values)


def _cell(value: float, metric: str, best: float | None) -> Text:
    text = f"{value:.0f}" if metric.endswith(LOWER_IS_BETTER) and value == round(value) else f"{value:.1f}"
    return Text(text, style="bold" if best is not None and round(value, 1) == best else "")
