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
        (("unproven drop",), 0, 1),
        (("changed",), 0, 1),
        (("pass", "regressed"), 1, 1),
        (("below floor",), 1, 1),
        (("pass", "unstable"), 2, 2),
        (("unstable", "regressed"), 1, 1),
        (("unstable", "unproven drop"), 2, 1),
        (("spread unknown",), 2, 2),
        (("pass", "not proven"), 1, 1),
        (("not proven", "regressed"), 1, 1),
        ((), 2, 2),
    ],
)
def test_exit_codes(verdicts: tuple[Verdict, ...], code: int, strict_code: int) -> None:
    assert report(*verdicts).exit_code == code
    assert report(*verdicts, strict=True).exit_code == strict_code


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        (("pass", "unproven drop"), "unproven drop"),
        (("below tolerance",), "pass"),
        (("spread unknown", "unproven drop"), "can't judge"),
        (("unproven drop", "not proven"), "not proven"),
        (("regressed", "not proven"), "regression"),
    ],
)
def test_a_drop_that_may_be_chance_is_no_simple_pass(verdicts: tuple[Verdict, ...], outcome: str) -> None:
    assert report(*verdicts).outcome == outcome


def test_a_check_that_could_not_be_made_is_2() -> None:
    assert refusal("t", "no such file").exit_code == 2
    assert refusal("t", "no such file").outcome == "can't judge"
