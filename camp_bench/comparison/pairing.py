"""Every pair of rows, or every row against the reference: paired differences, tests and what else is told of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from camp_bench.comparison.options import CompareOptions
from camp_bench.comparison.rows import PairRow, PairTest, Scope
from camp_bench.comparison.sides import Side, image_error, sources_of
from camp_bench.comparison.stats import (
    ADJUSTMENTS,
    combined_error,
    mcnemar_mid_p,
    percentile_interval,
    probability_of_improvement,
    rank_biserial,
    rope_verdict,
    sign_flip_p,
    t_interval,
    t_p_value,
    wilcoxon_p,
    wins_ties_losses,
)

__all__ = ["beaten_by", "compare_pairs"]


def compare_pairs(
    sides: Mapping[str, Side], options: CompareOptions, *, reference: str | None = None
) -> tuple[PairRow, ...]:
    """Return all pairs by letter, or those with the reference's letter; transductive and plain scorers are no pair.

    All p-values of primary tests are adjusted together, as they stand in one table.
    """
    letters = list(itertools.combinations(sides, 2)) if reference is None else [(a, reference) for a in sides]
    letters = [(a, b) for a, b in letters if a != b and _transductive(sides[a]) == _transductive(sides[b])]
    flips = _sign_flips([(sides[a], sides[b]) for a, b in letters], options)
    pairs = [_pair(a, b, sides[a], sides[b], own, options) for (a, b), own in zip(letters, flips, strict=True)]
    raw = [test.p for pair in pairs for test in pair.tests if test.p is not None]
    adjusted = iter(ADJUSTMENTS[options.adjust](raw))
    return tuple(
        dataclasses.replace(
            pair,
            tests=tuple(
                test if test.p is None else dataclasses.replace(test, p_adjusted=next(adjusted)) for test in pair.tests
            ),
        )
        for pair in pairs
    )


def beaten_by(letter: str, pairs: Sequence[PairRow], alpha: float) -> dict[str, tuple[str, ...]]:
    """Return by metric the letters of the rows that this one is significantly better than."""
    found: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        for test in pair.tests:
            if test.p_adjusted is None or test.p_adjusted >= alpha or test.difference == 0.0:
                continue
            winner, loser = (pair.first, pair.second) if test.difference > 0 else (pair.second, pair.first)
            if winner == letter:
                found[test.metric] = (*found.get(test.metric, ()), loser)
    return found


def _pair(a: str, b: str, first: Side, second: Side, flips: Mapping[str, float], options: CompareOptions) -> PairRow:
    scope: Scope = "method" if first.scope == second.scope == "method" else "checkpoints"
    return PairRow(
        first=a,
        second=b,
        scope=scope,
        tests=tuple(_test(metric, first, second, scope, flips, options) for metric in options.tested()),
        wilcoxon=wilcoxon_p(first.i2t_ranks, second.i2t_ranks),
        i2t_effect=rank_biserial(first.i2t_ranks, second.i2t_ranks),
        t2i_effect=rank_biserial(first.t2i_ranks, second.t2i_ranks),
        i2t_counts=wins_ties_losses(first.i2t_ranks, second.i2t_ranks),
        t2i_counts=wins_ties_losses(first.t2i_ranks, second.t2i_ranks),
        sources=sources_of(first, second),
    )


def _test(
    metric: str, first: Side, second: Side, scope: Scope, flips: Mapping[str, float], options: CompareOptions
) -> PairTest:
    difference = first.value(metric) - second.value(metric)
    looks = max(first.looks, second.looks)  # each spends its share of the level (Bonferroni)
    alpha = options.alpha / looks
    values = first.values[metric], second.values[metric]
    wide: tuple[float, float] | tuple[None, None] = (None, None)
    p, df, verdict = None, None, None
    if first.images_df > 0:
        if scope == "method":
            error = combined_error(
                image_error(first, metric, second),
                first.images_df,
                [side.interaction(metric) for side in (first, second)],
                *values,
            )
            narrow, both = (t_interval(difference, error, level) for level in (2 * alpha, alpha))
            p, df = t_p_value(difference, error), error.df
        else:
            draws = first.draws[metric] - second.draws[metric]
            narrow, both = (percentile_interval(draws, level) for level in (2 * alpha, alpha))
            p = flips.get(metric)
        wide = both
        if options.rope is not None and metric in first.names:
            verdict = rope_verdict(narrow, both, options.rope)
    if metric not in first.names:  # MedR moves in whole ranks, which neither test is made for
        p, df = None, None
    return PairTest(
        metric=metric,
        difference=difference,
        low=wide[0],
        high=wide[1],
        scope=scope,
        test="none" if p is None else "t" if scope == "method" else "sign-flip",
        p=None if p is None else min(1.0, looks * p),
        p_adjusted=None,
        df=df,
        verdict=verdict,
        mcnemar=_mcnemar(metric, first, second),
        improves=None if len(values[0]) == len(values[1]) == 1 else _improves(metric, *values),
    )


def _sign_flips(pairs: Sequence[tuple[Side, Side]], options: CompareOptions) -> list[dict[str, float]]:
    """Return p-values by metric for each pair; the same flips serve them all."""
    if not pairs or pairs[0][0].images_df < 1:
        return [{} for _ in pairs]
    first = pairs[0][0]
    columns = np.concatenate([a.shares - b.shares for a, b in pairs], axis=1)
    rng = np.random.default_rng([options.seed, 1])
    found = sign_flip_p(columns, first.fold_of, first.group_of, rng=rng, permutations=options.resamples).tolist()
    width = len(first.names)
    return [dict(zip(first.names, found[start : start + width], strict=True)) for start in range(0, len(found), width)]


def _mcnemar(metric: str, first: Side, second: Side) -> float | None:
    if not metric.startswith("i2t.R@") or len(first.runs) > 1 or len(second.runs) > 1:
        return None
    column = first.runs[0].results.ks.index(int(metric.rpartition("@")[2]))
    return mcnemar_mid_p(*(side.runs[0].results.i2t_hits[:, column] for side in (first, second)))


def _improves(metric: str, a: Sequence[float], b: Sequence[float]) -> float:
    return probability_of_improvement(b, a) if metric.endswith("MedR") else probability_of_improvement(a, b)


def _transductive(side: Side) -> bool:
    return any(run.evaluation.transductive for run in side.runs)
