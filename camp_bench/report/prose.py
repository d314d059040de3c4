"""The paragraph that a paper needs: what was tested, at which scope, on what, how, with which result.

Every sentence is made from the frozen comparison, and said only where it is true of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from camp_bench.comparison import Comparison, PairRow, PairTest, ScoredRow
from camp_bench.report.document import number

__all__ = ["explain", "verdict"]


def explain(table: Comparison) -> str:
    """Return the paragraph, on one line."""
    parts = [_what(table), _figures(table), *_how(table), *_results(table)]
    if table.notes:
        parts.append("Besides: " + "; ".join(table.notes) + ".")
    return " ".join(parts)


def verdict(table: Comparison) -> str:
    """Return in one sentence which rows lead, and which of them can't be told apart."""
    metric = "rsum" if "rsum" in table.tested else table.tested[0]
    lower = metric.endswith("MedR")
    ordered = sorted(table.rows, key=lambda row: row.estimates[metric].value, reverse=not lower)
    leader, item = ordered[0], ordered[0].estimates[metric]
    interval = ""
    if item.low is not None and item.high is not None:
        interval = f", {_level(table)} interval {number(item.low)} to {number(item.high)}"
    detail = f"{number(item.value, metric)}{interval}; scope {item.scope}"
    if len(ordered) == 1:
        return f"{leader.label} stands alone ({metric} {detail}): there is nothing to compare it with."
    beaten = leader.beats.get(metric, ())
    equals = [row.label for row in ordered[1:] if row.letter not in beaten]
    sure = f"Holm p < {table.alpha:g}"
    if not equals:
        return f"{leader.label} leads ({metric} {detail}), significantly ahead of all others ({sure})."
    rest = "; it is significantly ahead of the others" if len(equals) < len(ordered) - 1 else ""
    return f"{leader.label} has the highest {metric} ({detail}), and can't be told apart from {_listed(equals)}{rest}."


def _what(table: Comparison) -> str:
    counts = {len(row.seeds) for row in table.rows}
    if len(counts) == 1:
        runs = ("each " if len(table.rows) > 1 else "") + f"in {_runs(table.rows[0])}"
    else:
        runs = ", ".join(f"{row.label} in {_runs(row)}" for row in table.rows)
    folds = f" in {table.folds} folds whose metrics are averaged" if table.folds > 1 else ""
    models = f"{_count(len(table.rows), 'model')} ({_listed([row.label for row in table.rows])}), {runs}"
    size = f"{_count(table.images, 'image')}, {_count(table.captions, 'caption')}"
    return (
        f"We evaluated {models}, on the {table.split} split of {table.dataset} ({size}; protocol {table.protocol}"
        f"{folds}), with ties counted by expectation."
    )


def _runs(row: ScoredRow) -> str:
    """Return how many runs a row stands for, and that their seeds differ where they all do."""
    different = " of different seeds" if len(set(row.seeds)) == len(row.seeds) > 1 else ""
    return f"{_count(len(row.seeds), 'run')}{different}"


def _figures(table: Comparison) -> str:
    metric = "rsum" if "rsum" in table.metrics else table.metrics[0]
    told = []
    for row in table.rows:
        item = row.estimates[metric]
        more = []
        if item.low is not None and item.high is not None:
            more.append(f"{_level(table)} interval {number(item.low)} to {number(item.high)}, scope {item.scope}")
        if item.sd is not None:
            more.append(f"sd between seeds {item.sd:.1f}")
        told.append(f"{row.label} {number(item.value, metric)}" + (f" ({'; '.join(more)})" if more else ""))
    means = "Mean " if any(len(row.seeds) > 1 for row in table.rows) else ""
    return f"{means}{metric} was {_listed(told)}." if means else f"{metric} was {_listed(told)}."


def _how(table: Comparison) -> Iterator[str]:
    """Yield what intervals and tests rest on, at each scope that occurs."""
    intervals = {row.scope for row in table.rows if any(item.low is not None for item in row.estimates.values())}
    tests = _tested(table)
    tested = {test.scope for _, test in tests}
    if "method" in intervals | tested:
        yield (
            "At scope method the figures are about training the method anew: test images and training seeds both count "
            "as random, with Student's t on the mean over seeds, whose squared standard error is the variance over "
            "images (clustered by image"
            + (", paired" if "method" in tested else "")
            + ") plus s²/S for the S seeds of each "
            "side, degrees of freedom after Satterthwaite."
        )
    if "checkpoints" in intervals | tested:
        how = f"intervals are percentiles of {table.resamples:,} bootstrap resamples of images with all their captions"
        if "checkpoints" in tested:
            how += f", and p-values come from {table.resamples:,} random sign flips of whole images"
        yield f"At scope checkpoints the figures are about these trained weights, only test images being random: {how}."
    if tests:
        pairs = len({(pair.first, pair.second) for pair, _ in tests})
        counted = f"{_count(len(tests), 'test')} ({_count(pairs, 'pair')}; {_listed(_metrics(tests))})"
        yield f"p-values are two-sided and adjusted by Holm's method over {counted}."


def _results(table: Comparison) -> Iterator[str]:
    """Yield which differences were found, which were not, and what equivalence can be claimed."""
    tests = _tested(table)
    if len(table.rows) < 2:
        return
    if not tests:
        yield "No difference was tested."
        return
    scopes = {test.scope for _, test in tests}
    told = f" at scope {scopes.pop()}" if len(scopes) == 1 else ""
    found = [(pair, test) for pair, test in tests if _p(test) < table.alpha]
    missed = [(pair, test) for pair, test in tests if _p(test) >= table.alpha]
    if found:
        yield f"Significant at {table.alpha:g}{told}: {_sides(table, found, 'above', bool(told))}."
    if missed:
        yield f"Not significant{told}, which doesn't show equality: {_sides(table, missed, 'against', bool(told))}."
    if table.rope is not None:
        yield _equivalence(table, table.rope)


def _sides(table: Comparison, tests: Sequence[tuple[PairRow, PairTest]], verb: str, said: bool) -> str:
    """Return the differences pair by pair; `above` turns them so that they are positive. said: the scope is known."""
    told: dict[str, list[str]] = {}
    for pair, test in tests:
        turn = -1.0 if verb == "above" and test.difference < 0 else 1.0
        first, second = (pair.first, pair.second) if turn > 0 else (pair.second, pair.first)
        interval = ""
        if test.low is not None and test.high is not None:
            low, high = sorted((turn * test.low, turn * test.high))
            interval = f" [{number(low)}, {number(high)}]"
        scope = "" if said else f", scope {test.scope}"
        text = f"{test.metric} {turn * test.difference:+.1f}{interval}, {_p_text(_p(test))}{scope}"
        told.setdefault(f"{table.row(first).label} {verb} {table.row(second).label}", []).append(text)
    return "; ".join(f"{names} ({'; '.join(texts)})" for names, texts in told.items())


def _equivalence(table: Comparison, rope: float) -> str:
    """Return what the intervals say about differences that matter."""
    told: dict[str, dict[str, list[str]]] = {"equal": {}, "better by more": {}, "undecided": {}}
    for pair in table.pairs:
        first, second = table.row(pair.first).label, table.row(pair.second).label
        for test in pair.tests:
            if test.verdict in ("better", "worse"):
                above, below = (first, second) if test.verdict == "better" else (second, first)
                told["better by more"].setdefault(f"{above} than {below}", []).append(test.metric)
            elif test.verdict is not None:
                told[test.verdict].setdefault(f"{first} and {second}", []).append(test.metric)
    parts = [
        f"{verdict}: " + ", ".join(f"{names} ({', '.join(metrics)})" for names, metrics in pairs.items())
        for verdict, pairs in told.items()
        if pairs
    ]
    return f"Against a margin of ±{rope:g} points these intervals say: {'; '.join(parts) or 'nothing'}."


def _tested(table: Comparison) -> list[tuple[PairRow, PairTest]]:
    return [(pair, test) for pair in table.pairs for test in pair.tests if test.p_holm is not None]


def _metrics(tests: Sequence[tuple[PairRow, PairTest]]) -> list[str]:
    return list(dict.fromkeys(test.metric for _, test in tests))


def _p(test: PairTest) -> float:
    return 1.0 if test.p_holm is None else test.p_holm


def _p_text(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _level(table: Comparison) -> str:
    return f"{100 * (1 - table.alpha):g} %"


def _count(number_of: int, noun: str) -> str:
    return f"{number_of:,} {noun}" + ("" if number_of == 1 else "s")


def _listed(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
