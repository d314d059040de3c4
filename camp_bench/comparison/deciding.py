"""Whether seeds enough were trained: what a look at the runs so far finds, and what stands in the way.

Who looks again and again and stops at the first difference finds one that isn't there far more often than the level
says. So it is fixed beforehand after how many seeds there is a look (`Until.looks`), and each spends an equal share of
the level: errors of all looks add up to it at most, whatever these have in common, the test images above all. That is
`compare`'s own way with runs whose records say that they came about so.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from camp_bench.comparison.analysis import compare
from camp_bench.comparison.options import CompareOptions
from camp_bench.comparison.rows import Comparison, PairRow
from camp_bench.config import Until
from camp_bench.errors import RecordError

__all__ = ["look", "obstacle", "told", "undecided"]

DECIDED = ("better", "worse", "equal")
METRIC = "rsum"


def look(folders: Sequence[Path], until: Until) -> Comparison:
    """Compare the finished runs by rsum, each model against the reference, or all pairs.

    Raises RecordError where runs can't tell anything of training anew, all seeds of a model giving the same.
    """
    options = CompareOptions(metrics=(METRIC,), rope=until.rope, reference=until.reference or None)
    table = compare(folders, options)
    for row in table.rows:
        if row.scope != "method":
            raise RecordError(
                f"{row.label}: its seeds give the same digits or weights, so more of them decide nothing; expected a "
                "model that trains"
            )
    return table


def undecided(table: Comparison) -> tuple[PairRow, ...]:
    """Return the pairs of a look that are neither better, worse nor equal."""
    return tuple(pair for pair in table.pairs if pair.tests[0].verdict not in DECIDED)


def told(table: Comparison) -> str:
    """Return what a look found, in a line."""
    return "; ".join(_told(table, pair) for pair in table.pairs)


def obstacle(table: Comparison, pair: PairRow) -> str:
    """Return in a line what keeps a pair undecided: seeds, or test images, of which seeds make no more."""
    names = f"{table.row(pair.first).label} and {table.row(pair.second).label}"
    if pair.sources is None or pair.sources.seeds is None or pair.sources.both is None:
        return f"{names}: too few images to tell"
    images, others = pair.sources.images, (pair.sources.seeds**2 + pair.sources.both**2) ** 0.5
    much = f"the standard error is {images:.1f} points from the images and {others:.1f} from the seeds"
    remedy = "more test images would help, more seeds hardly" if images > others else "more seeds would help"
    return f"{names}: {much}; {remedy}"


def _told(table: Comparison, pair: PairRow) -> str:
    test = pair.tests[0]
    first, second = table.row(pair.first).label, table.row(pair.second).label
    where = "" if test.low is None else f" ({test.difference:+.1f}, {test.low:.1f} to {test.high:.1f})"
    words = {"better": "better than", "worse": "worse than", "equal": "equal to"}
    return f"{first} {words.get(test.verdict or '', 'undecided against')} {second}{where}"
