"""What a table says in one breath: who leads, who isn't told apart from it, who equals it within the margin."""

from __future__ import annotations

from collections.abc import Sequence

from camp_bench.comparison.rows import PairRow, PairTest, ScoredRow, Standing

__all__ = ["standing_of"]


def standing_of(
    rows: Sequence[ScoredRow], pairs: Sequence[PairRow], tested: Sequence[str], alpha: float, reference: str | None
) -> Standing:
    """Return how the rows stand to the reference, or to the best of the plain scorers where there is none.

    By rsum, or the first metric that is tested. Only what a test or an equivalence says counts; no finding is `open`.
    """
    metric = "rsum" if "rsum" in tested or not tested else tested[0]
    plain = [row for row in rows if not row.transductive] or list(rows)
    sign = -1.0 if metric.endswith("MedR") else 1.0
    best = max(plain, key=lambda row: sign * row.estimates[metric].value).letter
    against = reference or best
    found: dict[str, list[str]] = {"ahead": [], "behind": [], "equal": [], "open": [], "apart": []}
    for row in rows:
        if row.letter != against:
            found[_place(row.letter, against, pairs, metric, alpha)].append(row.letter)
    return Standing(metric=metric, against=against, **{name: tuple(letters) for name, letters in found.items()})


def _place(letter: str, against: str, pairs: Sequence[PairRow], metric: str, alpha: float) -> str:
    for pair in pairs:
        if {pair.first, pair.second} == {letter, against}:
            test = next((test for test in pair.tests if test.metric == metric), None)
            if test is not None and test.p_adjusted is not None:
                return _found(test, alpha, first=pair.first == letter)
    return "apart"


def _found(test: PairTest, alpha: float, *, first: bool) -> str:
    if test.verdict == "equal":
        return "equal"
    if test.p_adjusted is None or test.p_adjusted >= alpha or test.difference == 0.0:
        return "open"
    return "ahead" if (test.difference > 0) == first else "behind"
