"""Lays a comparison out as sheets: models, the papers' figures, differences, and what else is told of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from camp_bench.comparison import Comparison, PairRow, PairTest, ResultGroup, ScoredRow
from camp_bench.comparison.rows import SCOPES
from camp_bench.report.document import (
    Cell,
    Column,
    Document,
    Remark,
    Section,
    Sheet,
    interval_text,
    number,
    p_text,
    section_of,
)
from camp_bench.report.listings import published_sheet
from camp_bench.report.prose import explain, verdict

__all__ = ["ADJUSTED", "comparison_document", "title_of"]

ADJUSTED = {"holm": "Holm", "bh": "BH"}
"""What adjusted p-values are called."""


def comparison_document(tables: Sequence[Comparison], *, explained: bool = False, full: bool = True) -> Document:
    """Return comparisons one after the other: the verdict, all tables or a short one, and the notes.

    explained: with a paragraph about each.
    """
    told = [{"verdict": verdict(table)} | ({"explanation": explain(table)} if explained else {}) for table in tables]
    return Document(
        "camp-bench compare",
        tuple(_section(table, explained=explained, full=full) for table in tables),
        [dataclasses.asdict(table) | more for table, more in zip(tables, told, strict=True)],
        [record for table in tables for record in table.to_records()],
    )


def title_of(table: Comparison | ResultGroup) -> str:
    """Return what the figures are about, in one line."""
    folds = f" in {table.folds} folds" if isinstance(table, Comparison) and table.folds > 1 else ""
    return (
        f"{table.dataset}, {table.split} split, protocol {table.protocol}: {table.images:,} images{folds}, "
        f"{table.captions:,} captions; chance rsum {table.chance_rsum:.1f}"
    )


def _section(table: Comparison, *, explained: bool, full: bool) -> Section:
    """Return the models, the published rows if asked for, the differences, and what else is told of them."""
    sheets = [_models(table)]
    if table.published:
        sheets.append(published_sheet(table.published, metrics=table.metrics))
    if table.pairs:
        sheets += [_differences(table), _secondary(table)]
    if any(row.sources is not None for row in table.rows):
        sheets.append(_sources(table))
    notes = tuple(Remark(note, "note") for note in table.notes)
    if not full:
        sheets = [_summary(table)]
        notes += (Remark("--full: all metrics, each difference with its test, and where the error comes from"),)
    return Section(title_of(table), (verdict(table),), tuple(sheets), notes, explain(table) if explained else "")


def _summary(table: Comparison) -> Sheet:
    """Return one line a row: the metric that decides with its interval, R@1 both ways, and how it stands."""
    stand = table.standing
    words = {"ahead": "better", "behind": "behind", "equal": "equal", "open": "not told apart", "apart": "not compared"}
    said = {letter: word for name, word in words.items() for letter in getattr(stand, name)}
    shown = [stand.metric, *(name for name in ("i2t.R@1", "t2i.R@1") if name in table.metrics and name != stand.metric)]
    columns = [Column("model", right=False), Column("seeds"), *map(Column, shown), Column("standing", right=False)]
    first = "reference" if table.reference is not None else "highest"
    lines = []
    for row in table.rows:
        cells = [Cell(_label(row)), Cell(str(len(row.seeds)))]
        for metric in shown:
            item = row.estimates[metric]
            ends = metric == stand.metric and item.low is not None and item.high is not None
            interval = interval_text(item.low or 0.0, item.high or 0.0, metric) if ends else ""
            cells.append(Cell(number(item.value, metric), interval))
        lines.append((*cells, Cell(said.get(row.letter, first))))
    scopes = sorted({row.scope for row in table.rows})
    level = f"{100 * (1 - table.alpha):g} %"
    legend = [f"[ ]: {level} interval, scope {scope}: {SCOPES[scope]}" for scope in scopes]
    return Sheet("summary", "In short", tuple(columns), tuple(lines), tuple(legend))


def _sources(table: Comparison) -> Sheet:
    """Return where the error of each rsum, and of each difference, comes from."""
    found = [(row.label, row.sources) for row in table.rows]
    found += [(_pair_name(table, pair), pair.sources) for pair in table.pairs]
    columns = [Column("rsum of", right=False), Column("images"), Column("seeds"), Column("seed x image")]
    lines = []
    for name, sources in found:
        if sources is not None:
            lines.append((Cell(name), *(Cell("" if part is None else f"{part:.2f}") for part in sources)))
    legend = (
        "standard errors in points; more test images make images and seed x image smaller, more seeds all but images",
        "empty: one seed doesn't tell; then `images` holds the last too",
    )
    return Sheet("sources", "Where the error comes from", tuple(columns), tuple(lines), legend)


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
        columns.append(Column(metric, section_of(metric)))
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
    interval = "" if item.low is None or item.high is None else interval_text(item.low, item.high, metric)
    marks, best = row.beats.get(metric, ()), row.letter in table.best[metric]
    return Cell(number(item.value, metric), interval, marks, best, item.value)


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
            f"raised letters: better than those rows, {ADJUSTED[table.adjust]} p < {table.alpha:g} over {tests} tests "
            f"({told})"
        )
    return legend


def _differences(table: Comparison) -> Sheet:
    mixed = len({pair.scope for pair in table.pairs}) > 1
    columns = [Column("difference", right=False), Column("metric", right=False), Column("points"), Column("p")]
    columns += [Column(f"{ADJUSTED[table.adjust]} p")] + (
        [Column("verdict", right=False)] if table.rope is not None else []
    )
    columns += [Column("scope", right=False)] if mixed else []
    lines = []
    for pair in table.pairs:
        for place, test in enumerate(pair.tests):
            cells = [Cell("" if place else _pair_name(table, pair)), Cell(test.metric), _difference(table, test)]
            cells += [Cell(p_text(test.p)), Cell(p_text(test.p_adjusted))]
            cells += [Cell(test.verdict or "")] if table.rope is not None else []
            cells += [Cell(pair.scope)] if mixed else []
            lines.append(tuple(cells))
    return Sheet("differences", "Differences", tuple(columns), tuple(lines), tuple(_differences_legend(table)))


def _difference(table: Comparison, test: PairTest) -> Cell:
    interval = "" if test.low is None or test.high is None else interval_text(test.low, test.high, test.metric)
    significant = test.p_adjusted is not None and test.p_adjusted < table.alpha
    return Cell(f"{test.difference:+.1f}", interval, bold=significant, value=test.difference)


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
            f"images plus s²/S a side, less what both hold"
        )
    legend.append(f"bold: {ADJUSTED[table.adjust]} p < {table.alpha:g}")
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
    columns += [Column(header, "ranks") for header in ("i2t r", "i2t w/t/l", "t2i r", "t2i w/t/l")]
    exact = any(pair.wilcoxon is not None for pair in table.pairs)
    columns += [Column("Wilcoxon p", "ranks")] if exact else []
    columns += [Column(f"McNemar {metric}", "McNemar") for metric in recalls]
    columns += [Column("P(better)", "P(better)") for _ in improves]
    lines = []
    for pair in table.pairs:
        cells = [Cell(_pair_name(table, pair))]
        for effect, counts in ((pair.i2t_effect, pair.i2t_counts), (pair.t2i_effect, pair.t2i_counts)):
            cells += [Cell(f"{effect:+.2f}"), Cell("/".join(f"{count}" for count in counts))]
        cells += [Cell(p_text(pair.wilcoxon))] if exact else []
        cells += [Cell(p_text(_mcnemar(pair, metric))) for metric in recalls]
        cells += [Cell(_improves(pair)) for _ in improves]
        lines.append(tuple(cells))
    legend = [
        "without marks, scope checkpoints; w/t/l: queries won, tied, lost by rank",
        "r: rank-biserial correlation, +1 where the first ranks every query better",
    ]
    legend += ["Wilcoxon: exact, on i2t ranks, not corrected"] if exact else []
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
