"""How rows make an outcome: a regression wins, what can't be judged never passes."""

from __future__ import annotations

import pytest

from camp_bench.gate.verdicts import GateReport, Row, Verdict, refusal


def report(*verdicts: Verdict, strict: bool = False) -> GateReport:
    rows = [Row(name="r", kind="recall", unit="points", value=1.0, limit=1.0, verdict=v, reason="") for v in verdicts]
    return GateReport(title="t", rows=tuple(rows), strict=strict)


@pytest.mark.parametrize(
    ("verdicts", "code", "strict_code"),
    [
        (("pass",), 0, 0),
        (("pass", "below tolerance"), 0, 1),
        (("not significant",), 0, 1),
        (("changed",), 0, 1),
        (("pass", "regressed"), 1, 1),
        (("below floor",), 1, 1),
        (("pass", "unstable"), 2, 2),
        (("unstable", "regressed"), 1, 1),
        (("unstable", "not significant"), 2, 1),
        ((), 2, 2),
    ],
)
def test_exit_codes(verdicts: tuple[Verdict, ...], code: int, strict_code: int) -> None:
    assert report(*verdicts).exit_code == code
    assert report(*verdicts, strict=True).exit_code == strict_code


def test_a_check_that_could_not_be_made_is_2() -> None:
    assert refusal("t", "no such file").exit_code == 2
    assert refusal("t", "no such file").outcome == "can't judge"
