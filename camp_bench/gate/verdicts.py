"""What a gate says: one row for everything that was held, and the report they stand in."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

__all__ = ["SCHEMA_VERSION", "GateReport", "Outcome", "Row", "Verdict", "refusal"]

SCHEMA_VERSION: Final = 1

Verdict: TypeAlias = Literal[
    "pass",
    "below tolerance",
    "unproven drop",
    "changed",
    "unstable",
    "spread unknown",
    "not proven",
    "below floor",
    "regressed",
]
"""`below tolerance`: surely lower, by no more than is tolerated. `unproven drop`: lower by more than that, which may be
chance. `changed`: a count that fell. These three are warnings, which `strict` turns into failures.
`unstable`: samples that spread too far to tell. `spread unknown`: lower by more than is tolerated, surely if seeds
spread as published, and not if they spread twice as far. `not proven`: the drop may be larger than is tolerated, where
a pass has to be proven. `below floor` and `regressed` fail."""
Outcome: TypeAlias = Literal["pass", "unproven drop", "regression", "not proven", "can't judge"]

WARNINGS: Final = frozenset({"below tolerance", "unproven drop", "changed"})
UNJUDGED: Final = frozenset({"unstable", "spread unknown"})
FAILURES: Final = frozenset({"not proven", "below floor", "regressed"})
EXIT_CODES: Final[dict[Outcome, int]] = {
    "pass": 0,
    "unproven drop": 0,
    "regression": 1,
    "not proven": 1,
    "can't judge": 2,
}


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was held.

    kind: recall is a metric against the baseline, floor the same against a fixed value, speed a speed-up, count an
    exact count. baseline, value: in `unit`. drop: how much worse, in points, or percent for speed and counts.
    bound, upper: the one-sided lower and upper bound of the drop. limit: what of a drop is tolerated, or the floor.
    se_image, se_seed: the parts of the standard error of the drop. reason: the verdict in one sentence.
    """

    name: str
    kind: Literal["recall", "floor", "speed", "count"]
    unit: str
    baseline: float | None = None
    value: float
    drop: float | None = None
    bound: float | None = None
    upper: float | None = None
    limit: float
    p_value: float | None = None
    p_adjusted: float | None = None
    se_image: float | None = None
    se_seed: float | None = None
    degrees_of_freedom: float | None = None
    verdict: Verdict
    reason: str

    def level(self, *, strict: bool) -> Literal["pass", "warning", "failure", "unstable"]:
        """Return how bad the verdict is."""
        if self.verdict in FAILURES or (strict and self.verdict in WARNINGS):
            return "failure"
        if self.verdict in UNJUDGED:
            return "unstable"
        return "warning" if self.verdict in WARNINGS else "pass"


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """All rows of one check. facts: how it was judged. notes: what to know beside. error: why nothing was judged."""

    schema_version: int = SCHEMA_VERSION
    title: str
    facts: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    strict: bool = False
    error: str | None = None

    @property
    def outcome(self) -> Outcome:
        """A regression wins over what can't be judged; nothing judged, and no drop beyond a limit, is simply a pass."""
        levels = {row.level(strict=self.strict) for row in self.rows}
        verdicts = {row.verdict for row in self.rows}
        if self.error is None and "failure" in levels:
            failed = {row.verdict for row in self.rows if row.level(strict=self.strict) == "failure"}
            return "not proven" if failed == {"not proven"} else "regression"
        if self.error is not None or not levels or "unstable" in levels:
            return "can't judge"
        return "unproven drop" if "unproven drop" in verdicts else "pass"

    @property
    def exit_code(self) -> int:
        """0 pass or an unproven drop, 1 regression or a pass that is not proven, 2 can't judge."""
        return EXIT_CODES[self.outcome]


def refusal(title: str, error: str) -> GateReport:
    """Return the report of a check that could not be made."""
    return GateReport(title=title, error=error)
