"""The frozen result of a comparison: what every table, frame and sentence about it is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from camp_bench.comparison.published import PublishedRow
from camp_bench.comparison.stats import Sources
from camp_bench.ranking.metrics import RECALL_AT

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LARGEST",
    "SCOPES",
    "Comparison",
    "Estimate",
    "PairRow",
    "PairTest",
    "Scope",
    "ScoredRow",
    "Standing",
    "all_metrics",
]

Scope = Literal["checkpoints", "method"]
SCOPES = {
    "checkpoints": "these trained weights; test images random and independent, the gallery fixed",
    "method": "training it anew; seeds and test images random, images independent, the gallery fixed",
}
LARGEST = 100.0 * 2 * len(RECALL_AT)
"""The largest rsum."""


def all_metrics(ks: tuple[int, ...]) -> tuple[str, ...]:
    """Return the metrics that a table can show, in their order: recalls and MedR each way, rsum."""
    return (*(f"{way}.{name}" for way in ("i2t", "t2i") for name in (*(f"R@{k}" for k in ks), "MedR")), "rsum")


@dataclass(frozen=True, slots=True)
class Estimate:
    """One metric of one row: the mean over its seeds, with the interval that its scope gives.

    low, high: bootstrap percentiles at scope `checkpoints`, Student's t at scope `method`; None where too little was
    measured. sd: sample standard deviation between seeds, None for one. by_seed: in the order of the row's seeds.
    """

    value: float
    low: float | None
    high: float | None
    scope: Scope
    sd: float | None
    by_seed: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """One model under one or more seeds, all else being equal.

    letter: its short name in marks. features, training: which test features and training data, A, B, ... in a table
    where they differ (? for unknown), else "". members: models in the ensemble, 1 for a single one. beats: by
    metric, the letters of the rows that this one is significantly better than. sources: of the error of its rsum.
    """

    letter: str
    label: str
    model: str
    seeds: tuple[int, ...]
    run_ids: tuple[str, ...]
    features: str
    training: str
    pairs_seen: int | None
    members: int
    transductive: bool
    scope: Scope
    estimates: dict[str, Estimate]
    beats: dict[str, tuple[str, ...]]
    sources: Sources | None


@dataclass(frozen=True, slots=True)
class PairTest:
    """One metric of one pair: first minus second, in the metric's own unit.

    test: "sign-flip" by image at scope `checkpoints`, "t" at scope `method`, "none" where there is none (MedR, too
    little data). p: where seeds were added until something was decided, for all looks together. p_adjusted: over all
    tests of the table, as it says. df: of the t. verdict: against the region of
    practical equivalence, None where none was asked for. mcnemar: exact mid-p, for i2t recalls of one run a side whose
    hits are 0 or 1. improves: how often a run of the first is better than one of the second, None for one seed a side.
    """

    metric: str
    difference: float
    low: float | None
    high: float | None
    scope: Scope
    test: Literal["sign-flip", "t", "none"]
    p: float | None
    p_adjusted: float | None
    df: float | None
    verdict: str | None
    mcnemar: float | None
    improves: float | None


@dataclass(frozen=True, slots=True)
class PairRow:
    """Two rows on the same queries.

    wilcoxon: on i2t ranks, exact; None above 100 queries, where it errs too often. i2t_effect, t2i_effect:
    rank-biserial correlation, 1 where the first ranks every query better. i2t_counts, t2i_counts: queries won, tied
    and lost by the first, by mean rank. sources: of the error of the difference in rsum.
    """

    first: str
    second: str
    scope: Scope
    tests: tuple[PairTest, ...]
    wilcoxon: float | None
    i2t_effect: float
    t2i_effect: float
    i2t_counts: tuple[int, int, int]
    t2i_counts: tuple[int, int, int]
    sources: Sources | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How rows stand to one of them on one metric, by letter.

    against: the best row, or the reference. ahead, behind: significantly better and worse. equal: the interval lies
    inside the margin, which may be so of what is significant too. open: not told apart, which is not equal. apart: not
    compared.
    """

    metric: str
    against: str
    ahead: tuple[str, ...]
    behind: tuple[str, ...]
    equal: tuple[str, ...]
    open: tuple[str, ...]
    apart: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows of one task under one protocol, all pairs of them, and what a reader has to know beside the figures.

    metrics: those displayed for rows; tested: those displayed and tested for pairs. notes: one sentence each.
    published: the papers' figures for this dataset and protocol, where asked for. best: by metric, the letters of the
    best row(s).
    """

    dataset: str
    split: str
    protocol: str
    images: int
    captions: int
    folds: int
    chance_rsum: float
    metrics: tuple[str, ...]
    tested: tuple[str, ...]
    alpha: float
    adjust: str
    rope: float | None
    resamples: int
    seed: int
    reference: str | None
    rows: tuple[ScoredRow, ...]
    pairs: tuple[PairRow, ...]
    published: tuple[PublishedRow, ...]
    best: dict[str, tuple[str, ...]]
    standing: Standing
    notes: tuple[str, ...]

    def row(self, letter: str) -> ScoredRow:
        """Return the row of that letter."""
        return next(row for row in self.rows if row.letter == letter)

    def to_records(self) -> list[dict[str, Any]]:
        """Return one flat dict for each figure: of a row, a pair or a published row. What CSV and data frames hold."""
        same = {"dataset": self.dataset, "split": self.split, "protocol": self.protocol, "level": 1 - self.alpha}
        found: list[dict[str, Any]] = []
        for row in self.rows:
            own = same | {"kind": "model", "model": row.label, "seeds": len(row.seeds)}
            for metric in self.metrics:
                of = row.estimates[metric]
                found.append(own | _figure(metric, of.value, of.low, of.high, of.scope) | {"sd": of.sd})
        for pair in self.pairs:
            own = same | {"kind": "difference", "model": self.row(pair.first).label}
            own["versus"] = self.row(pair.second).label
            for test in pair.tests:
                found.append(own | _figure(test.metric, test.difference, test.low, test.high, test.scope))
                found[-1] |= {"test": test.test, "p": test.p, "p_adjusted": test.p_adjusted, "verdict": test.verdict}
                found[-1] |= {"adjust": None if test.p_adjusted is None else self.adjust}
        for line in self.published:
            own = same | {"kind": "published", "model": line.method, "source": line.source, "level": None}
            shown = {metric: value for metric, value in line.metrics.items() if metric in self.metrics}
            found.extend(own | _figure(metric, value) for metric, value in shown.items())
        return [dict.fromkeys(FIELDS) | item for item in found]

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas data frame, one figure a line; columns as `to_records` names them."""
        import pandas as pd

        return pd.DataFrame(self.to_records(), columns=list(FIELDS))


def _figure(
    metric: str, value: float, low: float | None = None, high: float | None = None, scope: str | None = None
) -> dict[str, Any]:
    return {"metric": metric, "value": value, "low": low, "high": high, "scope": scope}


FIELDS = (
    *("dataset", "split", "protocol", "kind", "model", "versus", "metric", "value", "low", "high", "level", "scope"),
    *("seeds", "sd", "test", "p", "p_adjusted", "adjust", "verdict", "source"),
)
