"""Lays a comparison out as sheets: columns, cells, what is bold, what is said below. Formats only write them down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from camp_bench.comparison import Comparison, PairRow, PairTest, PublishedRow, QueryDifferences, ScoredRow
from camp_bench.comparison.rows import SCOPES

__all__ = [
    "Cell",
    "Column",
    "Sheet",
    "comparison_sheets",
    "number",
    "p_text",
    "published_sheet",
    "queries_sheet",
    "title_of",
]


@dataclass(frozen=True, slots=True)
class Cell:
    """text, then the letters of the rows that it beats, then its interval."""

    text: str
    interval: str = ""
    marks: tuple[str, ...] = ()
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """section: columns of one section stay together where a table is broken; "" for those that every part repeats."""

    header: str
    section: str = ""
    right: bool = True


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table. legend: what its marks and intervals mean. name: short and unique within a comparison."""

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    legend: tuple[str, ...] = field(default=())


def title_of(table: Comparison) -> str:
    """Return what the figures are about, in one line."""
    folds = f" in {table.folds} folds" if table.folds > 1 else ""
    return (
        f"{table.dataset}, {table.split} split, protocol {table.protocol}: {table.images:,} images{folds}, "
        f"{table.captions:,} captions; chance rsum {table.chance_rsum:.1f}"
    )


def comparison_sheets(table: Comparison) -> list[Sheet]:
    """Return the models, the published rows if asked for, the differences, and what else is told of them."""
    sheets = [_models(table)]
    if table.published:
        sheets.append(published_sheet(table.published, metrics=table.metrics))
    if table.pairs:
        sheets += [_differences(table), _secondary(table)]
    return sheets


def published_sheet(rows: Sequence[PublishedRow], metrics: Sequence[str] | None = None) -> Sheet:
    """Return papers' figures, one line each; metrics: those to show, None for all."""
    shown = [name for name in rows[0].metrics if metrics is None or name in metrics]
    columns = [Column("method", right=False), Column("features", "about", right=False), Column("models", "about")]
    if len({row.protocol for row in rows}) > 1:
        columns.insert(1, Column("protocol", right=False))
    columns += [Column(name, _section(name)) for name in shown]
    columns += [Column("source", "source", right=False)]
    lines = []
    for row in rows:
        cells = [Cell(row.method), Cell(row.features), Cell(str(row.members))]
        if columns[1].header == "protocol":
            cells.insert(1, Cell(row.protocol))
        lines.append((*cells, *(Cell(number(row.metrics[name])) for name in shown), Cell(row.source)))
    legend = ("published, not measured here: other code, other seeds, one run each, so without intervals and tests",)
    return Sheet("published", "Published figures", tuple(columns), tuple(lines), legend)


def queries_sheet(found: QueryDifferences) -> Sheet:
    """Return the queries on which two models differ most, one line each."""
    columns = [Column("way", right=False), Column("query"), Column("image", right=False)]
    columns += [Column(f"rank {found.first}"), Column(f"rank {found.second}"), Column("caption", right=False)]
    lines = [
        tuple(
            Cell(text)
            for text in (
                item.way,
                str(item.query),
                item.image,
                _rank(item.first_rank),
                _rank(item.second_rank),
                item.text,
            )
        )
        for item in found.rows
    ]
    legend = [f"of {found.total:,} queries both ways, those whose ranks differ by the largest factor; means over seeds"]
    legend += [
        "i2t: an image that looks for its captions, of which the first is shown; t2i: a caption looks for its image"
    ]
    legend += [found.missing_text] if found.missing_text else []
    title = f"Queries on which {found.first} and {found.second} differ most"
    keep = [place for place, _ in enumerate(columns) if not found.missing_text or place not in (2, 5)]
    return Sheet(
        "queries",
        title,
        tuple(columns[place] for place in keep),
        tuple(tuple(line[place] for place in keep) for line in lines),
        tuple(legend),
    )


def number(value: float, metric: str = "") -> str:
    """Return a value as it is displayed: one decimal, whole median ranks without."""
    return f"{value:.0f}" if metric.endswith("MedR") and value == round(value) else f"{value:.1f}"


def p_text(p: float | None) -> str:
    """Return a p-value with three decimals, the smallest as a bound."""
    return "" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _models(table: Comparison) -> Sheet:
    several = any(len(row.seeds) > 1 for row in table.rows)
    mixed = len({row.scope for row in table.rows}) > 1
    columns = [Column("", right=False), Column("model", right=False), Column("seeds" if several else "seed", "rsum")]
    optional = {
        "features": any(row.features for row in table.rows),
        "training": any(row.training for row in table.rows),
        "scope": mixed,
        "sd": several and "rsum" in table.metrics,
    }
    columns += [Column(name, "rsum", right=False) for name in ("features", "training", "scope") if optional[name]]
    metrics = sorted(table.metrics, key=lambda name: name != "rsum")  # the sum first
    for metric in metrics:
        columns.append(Column(metric, _section(metric)))
        if metric == "rsum" and optional["sd"]:
            columns.append(Column("sd", "rsum"))
    lines = []
    for row in table.rows:
        cells = [Cell(row.letter), Cell(_label(row)), Cell(str(len(row.seeds) if several else row.seeds[0]))]
        told = {"features": row.features, "training": row.training, "scope": row.scope}
        cells += [Cell(text) for name, text in told.items() if optional[name]]
        for metric in metrics:
            cells.append(_estimate(table, row, metric))
            if metric == "rsum" and optional["sd"]:
                sd = row.estimates["rsum"].sd
                cells.append(Cell("" if sd is None else f"{sd:.1f}"))
        lines.append(tuple(cells))
    return Sheet("models", "Models", tuple(columns), tuple(lines), tuple(_models_legend(table)))


def _label(row: ScoredRow) -> str:
    extra = [f"ensemble of {row.members}"] if row.members > 1 else []
    extra += ["transductive"] if row.transductive else []
    return f"{row.label} [{', '.join(extra)}]" if extra else row.label


def _estimate(table: Comparison, row: ScoredRow, metric: str) -> Cell:
    item = row.estimates[metric]
    interval = "" if item.low is None or item.high is None else _interval(item.low, item.high, metric)
    return Cell(number(item.value, metric), interval, row.beats.get(metric, ()), row.letter in table.best[metric])


def _models_legend(table: Comparison) -> list[str]:
    level = f"{100 * (1 - table.alpha):g} %"
    scopes = sorted({row.scope for row in table.rows})
    legend = [f"[ ]: {level} interval, scope {scope}: {SCOPES[scope]}" for scope in scopes]
    if any(len(row.seeds) > 1 for row in table.rows):
        legend.append("values are means over seeds; sd: of rsum between seeds")
    if any(table.best.values()):
        legend.append("bold: best of its column" + (", transductive scorers apart" if _transductive(table) else ""))
    tests = sum(test.p is not None for pair in table.pairs for test in pair.tests)
    if tests:
        told = ", ".join(metric for metric in table.tested if not metric.endswith("MedR"))
        legend.append(
            f"raised letters: better than those rows, p < {table.alpha:g} after Holm's correction for {tests} tests "
            f"({told})"
        )
    return legend


def _differences(table: Comparison) -> Sheet:
    mixed = len({pair.scope for pair in table.pairs}) > 1
    columns = [Column("difference", right=False), Column("metric", right=False), Column("points"), Column("p")]
    columns += [Column("Holm p")] + ([Column("verdict", right=False)] if table.rope is not None else [])
    columns += [Column("scope", right=False)] if mixed else []
    lines = []
    for pair in table.pairs:
        for place, test in enumerate(pair.tests):
            cells = [Cell("" if place else _pair_name(table, pair)), Cell(test.metric), _difference(table, test)]
            cells += [Cell(p_text(test.p)), Cell(p_text(test.p_holm))]
            cells += [Cell(test.verdict or "")] if table.rope is not None else []
            cells += [Cell(pair.scope)] if mixed else []
            lines.append(tuple(cells))
    return Sheet("differences", "Differences", tuple(columns), tuple(lines), tuple(_differences_legend(table)))


def _difference(table: Comparison, test: PairTest) -> Cell:
    interval = "" if test.low is None or test.high is None else _interval(test.low, test.high, test.metric)
    significant = test.p_holm is not None and test.p_holm < table.alpha
    return Cell(f"{test.difference:+.1f}", interval, bold=significant)


def _differences_legend(table: Comparison) -> list[str]:
    level = f"{100 * (1 - table.alpha):g} %"
    legend = []
    scopes = {pair.scope for pair in table.pairs}
    if "checkpoints" in scopes:
        legend.append(
            f"scope checkpoints ({SCOPES['checkpoints']}): {level} bootstrap interval, p by sign flips of whole "
            f"images, {table.resamples:,} of each"
        )
    if "method" in scopes:
        legend.append(
            f"scope method ({SCOPES['method']}): {level} interval and p by Student's t, variance of "
            f"images plus s²/S a side"
        )
    legend.append(f"bold: Holm p < {table.alpha:g}")
    if any(test.metric.endswith("MedR") for pair in table.pairs for test in pair.tests):
        legend.append("MedR moves in whole ranks: it has an interval, and no test")
    if table.rope is not None:
        outer = 100 * (1 - 2 * table.alpha)
        legend.append(
            f"equal: the {outer:g} % interval lies within ±{table.rope:g} points; better, worse: the {level} interval "
            f"lies wholly beyond; else undecided"
        )
    return legend


def _secondary(table: Comparison) -> Sheet:
    """Return what is told without marks: it was not what was tested for."""
    recalls = [metric for metric in table.tested if any(_mcnemar(pair, metric) is not None for pair in table.pairs)]
    improves = [metric for metric in table.tested if metric == "rsum" and any(_improves(pair) for pair in table.pairs)]
    columns = [Column("pair", right=False)]
    columns += [Column(header, "ranks") for header in ("Wilcoxon p", "i2t w/t/l", "t2i w/t/l")]
    columns += [Column(f"McNemar {metric}", "McNemar") for metric in recalls]
    columns += [Column("P(better)", "P(better)") for _ in improves]
    lines = []
    for pair in table.pairs:
        cells = [Cell(_pair_name(table, pair)), Cell(p_text(pair.wilcoxon))]
        cells += [Cell("/".join(f"{count}" for count in counts)) for counts in (pair.i2t_counts, pair.t2i_counts)]
        cells += [Cell(p_text(_mcnemar(pair, metric))) for metric in recalls]
        cells += [Cell(_improves(pair)) for _ in improves]
        lines.append(tuple(cells))
    legend = [
        "not corrected, without marks, scope checkpoints; Wilcoxon: i2t ranks; w/t/l: queries won, tied, lost by rank"
    ]
    legend += ["McNemar: exact mid-p, one run a side whose hits are 0 or 1"] if recalls else []
    legend += (
        ["P(better): how often a run of the first has the higher rsum, over all pairs of seeds"] if improves else []
    )
    return Sheet("secondary", "Beside the tests", tuple(columns), tuple(lines), tuple(legend))


def _mcnemar(pair: PairRow, metric: str) -> float | None:
    return next((test.mcnemar for test in pair.tests if test.metric == metric), None)


def _improves(pair: PairRow) -> str:
    found = next((test.improves for test in pair.tests if test.metric == "rsum"), None)
    return "" if found is None else f"{found:.2f}"


def _pair_name(table: Comparison, pair: PairRow) -> str:
    return f"{table.row(pair.first).label} − {table.row(pair.second).label}"


def _transductive(table: Comparison) -> bool:
    return any(row.transductive for row in table.rows)


def _interval(low: float, high: float, metric: str) -> str:
    return f"[{number(low, metric)}, {number(high, metric)}]"


def _rank(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _section(metric: str) -> str:
    if metric == "rsum":
        return "rsum"
    return "MedR" if metric.endswith("MedR") else metric.partition(".")[0]
