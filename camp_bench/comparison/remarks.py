"""The notes under a comparison: whatever would mislead somebody who reads the figures alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from camp_bench.comparison.differences import differences
from camp_bench.comparison.loading import FinishedRun
from camp_bench.comparison.rows import PairRow, ScoredRow
from camp_bench.config import FEWEST_SEEDS

__all__ = ["looks_of", "remarks", "repeated"]

FEW_IMAGES = 100
"""With fewer images than this, intervals by resampling are too narrow to be trusted."""
WIDE_TIES = 0.1
"""Points between the worst and the best that ties allow, above which a recall is told with both."""
MOST_HUBS = 5.0
"""Skewness of N_10 above which intervals may not cover what fresh test sets give: simulated in `test_fresh_sets`."""


def remarks(
    sides: Sequence[Sequence[FinishedRun]],
    rows: Sequence[ScoredRow],
    pairs: Sequence[PairRow],
    *,
    alpha: float,
    permutations: int,
) -> list[str]:
    """Return one sentence for each thing to know, the gravest first."""
    runs = [run for side in sides for run in side]
    images = runs[0].results.n_images
    notes = [*_too_little(rows, pairs, images, alpha, permutations), *_twins(sides, rows)]
    notes += differences([run.record for run in runs], runs[0].evaluation.split)
    notes += _sequential(rows, sides)
    notes += _alike(runs[0])
    notes += _hubs(rows, sides)
    notes += _ties(runs)
    notes += _budgets(rows)
    for row, side in zip(rows, sides, strict=True):
        if len({run.record.pairs_seen for run in side}) > 1:
            notes.append(f"the runs of {row.label} saw different numbers of pairs")
    ensembles = [row for row in rows if row.members > 1]
    if ensembles and len(ensembles) < len(rows):
        told = ", ".join(f"{row.label} ({row.members} models)" for row in ensembles)
        notes.append(f"ensembles stand beside single models: {told}")
    for row, side in zip(rows, sides, strict=True):
        if cascade := side[0].evaluation.cascade:
            notes.append(
                f"{row.label} is a cascade: {cascade.proposer_model} proposes {cascade.rerank} candidates a query, and "
                f"only these are scored"
            )
        if (precision := side[0].evaluation.precision) != "fp32":
            notes.append(f"{row.label} is scored in {precision}")
    for run in runs:
        check = run.evaluation.score_check
        if check is not None and check.differing:
            notes.append(
                f"{run.record.run_id}: {check.differing} of {check.pairs} scores that it was ranked by are others when "
                "their pair is scored alone, so they depend on more than the pair"
            )
    if any(row.transductive for row in rows):
        told = ", ".join(row.label for row in rows if row.transductive)
        notes.append(f"transductive, other test queries helped it, so it is compared with no plain scorer: {told}")
    return notes


def looks_of(runs: Sequence[FinishedRun]) -> int:
    """Return how often a row may have been looked at before no more seeds were added to it, 1 where that was fixed."""
    return max(len(run.record.until.looks) if run.record.until else 1 for run in runs)


def _sequential(rows: Sequence[ScoredRow], sides: Sequence[Sequence[FinishedRun]]) -> list[str]:
    """Return the rows whose number of seeds depends on what was found."""
    return [
        f"{row.label}: seeds were added until something was decided, {looks} looks at most; its intervals and tests "
        "hold for all of these together, and so are wider than of as many seeds chosen beforehand"
        for row, side in zip(rows, sides, strict=True)
        if (looks := looks_of(side)) > 1
    ]


def _alike(run: FinishedRun) -> list[str]:
    """Return how many images are nearly the same as others."""
    if run.results.group_of is None:
        return []
    sizes = np.bincount(run.results.group_of)
    more = sizes[sizes > 1]
    told = (
        f"{more.sum():,} of the {run.results.n_images:,} images are nearly the same as others, by features or captions"
    )
    return [f"{told}; the {len(more):,} groups of these count as one draw each"]


def _hubs(rows: Sequence[ScoredRow], sides: Sequence[Sequence[FinishedRun]]) -> list[str]:
    """Return the rows whose candidates are so unequally found that a gallery of other images might move them far."""
    told = []
    for row, side in zip(rows, sides, strict=True):
        most = max((max(run.evaluation.hubness.values(), default=0.0) for run in side), default=0.0)
        if most > MOST_HUBS:
            told.append(f"{row.label} ({most:.1f})")
    if not told:
        return []
    what = f"the skewness of N_10, how often a candidate is in a top 10, is above {MOST_HUBS:g} for {', '.join(told)}"
    return [f"hubs: {what}; with other images in the gallery, figures would move further than the intervals say"]


def _ties(runs: Sequence[FinishedRun]) -> list[str]:
    """Return the runs whose recalls depend on how ties fall by more than WIDE_TIES points."""
    notes = []
    for run in runs:
        wide = {name: ends for name, ends in run.tied.items() if ends[1] - ends[0] > WIDE_TIES}
        if wide:
            told = ", ".join(f"{name} {low:.1f} to {high:.1f}" for name, (low, high) in wide.items())
            notes.append(f"{run.record.run_id}: ties count by expectation; as they may fall, {told}")
    return notes


def _budgets(rows: Sequence[ScoredRow]) -> list[str]:
    """Return what the rows saw in training where that differs; None is another program's, which is not known."""
    known = {row.pairs_seen for row in rows if row.pairs_seen}
    shown = [row for row in rows if len(known) > 1 or not row.pairs_seen]
    if not shown:
        return []
    told = ", ".join(f"{row.label} {f'{row.pairs_seen:,}' if row.pairs_seen else 'unknown'}" for row in shown)
    return [f"{'budgets differ; ' if len(known) > 1 else ''}pairs seen in training: {told}"]


def _too_little(
    rows: Sequence[ScoredRow], pairs: Sequence[PairRow], images: int, alpha: float, permutations: int
) -> list[str]:
    notes = []
    if images < 2:
        notes.append("one image: nothing can be said about other images, so there are no intervals and no tests")
    elif images < FEW_IMAGES:
        notes.append(f"only {images} images: intervals by resampling come out too narrow; take them as a sketch")
    tests = [test for pair in pairs for test in pair.tests if test.test == "sign-flip"]
    least = max(2.0 ** (1 - images), 1 / (permutations + 1))
    if tests and least * len(tests) > alpha:
        notes.append(
            f"too little data for {len(tests)} tests: no p-value can be below {least:.2g} before Holm's correction"
        )
    single = [row for row in rows if len(row.seeds) < FEWEST_SEEDS]
    if single:
        told = "all rows have" if len(single) == len(rows) else ", ".join(row.label for row in single) + ": "
        told += f" fewer than {FEWEST_SEEDS} seeds" if len(single) == len(rows) else f"fewer than {FEWEST_SEEDS} seeds"
        notes.append(f"{told}; that says something about these checkpoints, nothing about training the method again")
    if len(rows) == 1:
        notes.append("one model: there is nothing to compare it with")
    return notes


def repeated(runs: Sequence[FinishedRun]) -> bool:
    """Return whether some runs of a row are the same scorer once more: the same weights, or the same digits.

    They tell nothing of how far training it anew would move the figures.
    """
    weights = [run.record.weights_sha256 for run in runs if run.record.weights_sha256]
    return len(set(map(_digits, runs))) < len(runs) or len(set(weights)) < len(weights)


def _digits(run: FinishedRun) -> tuple[bytes, bytes]:
    return run.results.i2t_ranks.tobytes(), run.results.t2i_ranks.tobytes()


def _twins(sides: Sequence[Sequence[FinishedRun]], rows: Sequence[ScoredRow]) -> list[str]:
    """Return the runs whose results are the same digit for digit although seed or model differ, and such rows."""
    by_digits: dict[tuple[bytes, bytes], list[str]] = {}
    for run in (run for side in sides for run in side):
        by_digits.setdefault(_digits(run), []).append(run.record.run_id)
    told = [
        f"{' and '.join(names)} are identical digit for digit: the same run twice, or a seed that changes nothing"
        for names in by_digits.values()
        if len(names) > 1
    ]
    return told + [
        f"{row.label}: some of its runs are the same weights or the same digits, so they say nothing of training it "
        "anew; its scope is checkpoints, without a deviation between seeds"
        for row, side in zip(rows, sides, strict=True)
        if repeated(side)
    ]
