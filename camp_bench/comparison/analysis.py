"""From runs to a frozen Comparison: estimates with intervals, paired differences with tests, at a scope that is said.

Scope `checkpoints`: these trained weights; images are random. Intervals by bootstrap over images, test by sign flips.
Scope `method`: training seeds are random as well, which takes three seeds a side. Intervals and test by Student's t
with SE^2 = image variance + s^2/S on each side, less what both of these hold of seed x image.

Both take the gallery as fixed and the images as independent; nearly equal images are drawn as one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from camp_bench.comparison.grouping import RowRuns, choose_rows, find_row, group_runs, letter_of, rows_of
from camp_bench.comparison.loading import BadRecord, FinishedRun, load_runs
from camp_bench.comparison.options import CompareOptions
from camp_bench.comparison.pairing import beaten_by, compare_pairs
from camp_bench.comparison.published import published_for
from camp_bench.comparison.remarks import remarks, repeated
from camp_bench.comparison.rows import Comparison, PairRow, Scope, ScoredRow
from camp_bench.comparison.sides import Side, estimates, sides_of, sources_of
from camp_bench.comparison.standing import standing_of
from camp_bench.comparison.stats import bootstrap, with_shared_groups
from camp_bench.config import FEWEST_SEEDS
from camp_bench.errors import ConfigError, RecordError

__all__ = ["compare", "compare_groups", "compare_with_runs"]


def compare(
    records: str | Path | Sequence[str | Path], options: CompareOptions | None = None, *, skip_bad: bool = False
) -> Comparison:
    """Compare runs that answered one task under one protocol.

    records: folders of runs, folders of such folders, or record.json files. Raises RecordError where a record can't be
    used (unless skip_bad) or the records are about several tasks or protocols, ConfigError for options that make no
    sense.
    """
    paths = [records] if isinstance(records, str | Path) else records
    tables, _ = compare_groups(paths, options, skip_bad=skip_bad)
    if len(tables) != 1:
        told = "; ".join(f"{item.dataset} {item.split} ({item.protocol})" for item in tables)
        raise RecordError(f"the records are of {len(tables)} tasks or protocols: {told}; compare them one by one")
    return tables[0]


def compare_groups(
    paths: Sequence[str | Path], options: CompareOptions | None = None, *, skip_bad: bool = False
) -> tuple[list[Comparison], list[BadRecord]]:
    """Return a Comparison for each task and protocol, and the records that could not be used; raises as `compare`."""
    found, bad = compare_with_runs(paths, options, skip_bad=skip_bad)
    return [table for table, _ in found], bad


def compare_with_runs(
    paths: Sequence[str | Path], options: CompareOptions | None = None, *, skip_bad: bool = False
) -> tuple[list[tuple[Comparison, tuple[RowRuns[FinishedRun], ...]]], list[BadRecord]]:
    """Return what `compare_groups` does, each Comparison with the runs of its rows, in its order."""
    chosen = (options or CompareOptions()).checked()
    runs, bad = load_runs(paths, ks=chosen.ks, split=chosen.split, skip_bad=skip_bad)
    if not runs:
        raise RecordError(f"{', '.join(map(str, paths))}: no record that can be used")
    groups = [rows_of(_with_shared_groups(group)) for group in group_runs(runs)]
    picked = choose_rows([row for rows, _ in groups for row in rows], chosen.models)
    if chosen.reference is not None:
        choose_rows(picked, (chosen.reference,), "--reference")
    kept = [([row for row in rows if row in picked], notes) for rows, notes in groups]
    return [_compare(rows, notes, chosen) for rows, notes in kept if rows], bad


def _compare(
    groups: Sequence[RowRuns[FinishedRun]], notes: Sequence[str], options: CompareOptions
) -> tuple[Comparison, tuple[RowRuns[FinishedRun], ...]]:
    scopes = [_scope(group, options.scope) for group in groups]
    # A generator for each purpose: how many pairs there are changes no interval, and the other way round.
    draws = bootstrap(
        [run.results for group in groups for run in group.runs],
        rng=np.random.default_rng([options.seed, 0]),
        resamples=options.resamples,
    )
    ordered = _sorted(sides_of(groups, scopes, draws), options.sort)
    sides = {letter_of(number): side for number, side in enumerate(ordered)}
    reference = find_row({letter: side.label for letter, side in sides.items()}, options.reference)
    pairs = () if options.reference and not reference else compare_pairs(sides, options, reference=reference)
    rows = _rows(sides, pairs, options.alpha)
    first = ordered[0].runs[0]
    more = remarks([side.runs for side in ordered], rows, pairs, alpha=options.alpha, permutations=options.resamples)
    if options.reference and not reference:
        more.insert(0, f"no row {options.reference} among these, so nothing is compared")
    table = Comparison(
        dataset=first.record.dataset.name,
        protocol=first.evaluation.protocol,
        images=first.evaluation.images,
        captions=first.evaluation.captions,
        split=first.evaluation.split,
        folds=len(first.results.folds),
        chance_rsum=first.evaluation.chance_rsum,
        metrics=options.shown(),
        tested=options.tested(),
        alpha=options.alpha,
        adjust=options.adjust,
        rope=options.rope,
        resamples=options.resamples,
        seed=options.seed,
        reference=reference,
        rows=rows,
        pairs=pairs,
        published=(),
        best={metric: _best(rows, metric) for metric in options.shown()},
        standing=standing_of(rows, pairs, options.tested(), options.alpha, reference),
        notes=(*notes, *more),
    )
    if options.published:
        beside = published_for(table.dataset, table.protocol, table.images, table.captions)
        table = dataclasses.replace(table, published=beside)
    return table, tuple(RowRuns(side.label, side.runs) for side in ordered)


def _with_shared_groups(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    found = with_shared_groups([run.results for run in runs])
    return [dataclasses.replace(run, results=results) for run, results in zip(runs, found, strict=True)]


def _scope(group: RowRuns[FinishedRun], wanted: str) -> Scope:
    if wanted == "method" and len(group.runs) < FEWEST_SEEDS:
        raise ConfigError(
            f"--scope method: needs {FEWEST_SEEDS} seeds or more a row, {group.label} has {len(group.runs)}; run more "
            f"seeds, leave it out with --models, or take --scope auto"
        )
    if wanted == "checkpoints" or len(group.runs) < FEWEST_SEEDS:
        return "checkpoints"
    if not repeated(group.runs):
        return "method"
    if wanted == "method":
        raise ConfigError(
            f"--scope method: some runs of {group.label} are the same weights or the same digits, which is one seed "
            "counted twice; leave them out, or take --scope auto"
        )
    return "checkpoints"


def _sorted(sides: list[Side], by: str) -> list[Side]:
    if by == "none":
        return sides
    if by == "model":
        return sorted(sides, key=lambda side: side.label)
    return sorted(sides, key=lambda side: side.value(by), reverse=not by.endswith("MedR"))


def _rows(sides: dict[str, Side], pairs: Sequence[PairRow], alpha: float) -> tuple[ScoredRow, ...]:
    features = _named([side.runs[0].evaluation.features_fingerprint for side in sides.values()])
    training = _named([side.runs[0].record.dataset.train_fingerprint for side in sides.values()])
    return tuple(
        ScoredRow(
            letter=letter,
            label=side.label,
            model=side.runs[0].record.config.model,
            seeds=tuple(run.record.config.seed for run in side.runs),
            run_ids=tuple(run.record.run_id for run in side.runs),
            features=features[side.runs[0].evaluation.features_fingerprint],
            training=training[side.runs[0].record.dataset.train_fingerprint],
            pairs_seen=side.runs[0].record.pairs_seen,
            members=side.runs[0].record.members,
            transductive=any(run.evaluation.transductive for run in side.runs),
            scope=side.scope,
            estimates=estimates(side, alpha),
            beats=beaten_by(letter, pairs, alpha),
            sources=sources_of(side),
        )
        for letter, side in sides.items()
    )


def _named(fingerprints: Sequence[str | None]) -> dict[str | None, str]:
    """Return A, B, ... for each fingerprint and ? for one that isn't known, or nothing where all are the same."""
    known = [item for item in dict.fromkeys(fingerprints) if item]
    if len(set(fingerprints)) < 2:
        return dict.fromkeys(fingerprints, "")
    return {None: "?"} | {item: letter_of(number).upper() for number, item in enumerate(known)}


def _best(rows: Sequence[ScoredRow], metric: str) -> tuple[str, ...]:
    """Return the letters of the best of the plain scorers, those that look the same once displayed included."""
    values = {row.letter: round(row.estimates[metric].value, 1) for row in rows if not row.transductive}
    if len(values) < 2:
        return ()
    best = min(values.values()) if metric.endswith("MedR") else max(values.values())
    return tuple(letter for letter, value in values.items() if value == best)
