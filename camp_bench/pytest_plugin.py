"""The pytest plugin: gate a model inside your own tests.

def test_retrieval_holds(assert_recall):
    assert_recall("results/20260101-120000-scan-f30k-s0", "baselines/scan.json", tolerance=1.0)

pytest loads this module in every project of an environment, so it imports nothing but pytest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

__all__ = ["assert_recall"]


def assert_recall(
    runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    baseline: str | os.PathLike[str],
    *,
    tolerance: float = 1.0,
    alpha: float = 0.05,
    metrics: Sequence[str] = (),
    fail: Sequence[str] = (),
    floors: Sequence[str] = (),
    same_checkpoint: bool = False,
    prove: bool = False,
    strict: bool = False,
) -> None:
    """Assert that runs hold against a baseline, as `camp-bench check` does with options of the same names.

    runs: one folder or several. Raises AssertionError, with the reasons, for a regression, and CampBenchError for what
    can't be judged: a test that could not read its baseline fails.
    """
    __tracebackhide__ = True
    from camp_bench.gate import check_runs, parse_limits

    folders = [runs] if isinstance(runs, str | os.PathLike) else list(runs)
    limits = parse_limits(metrics, fail, floors, tolerance=tolerance, alpha=alpha, prove=prove)
    report = check_runs(
        [os.fspath(folder) for folder in folders],
        os.fspath(baseline),
        limits,
        same_checkpoint=same_checkpoint,
        strict=strict,
    )
    bad = ("failure", "unstable")  # a test passes or fails; what can't be judged has not passed
    reasons = [f"{row.verdict}: {row.reason}" for row in report.rows if row.level(strict=strict) in bad]
    if reasons:
        from camp_bench.report.foreign_text import one_line

        raise AssertionError("\n".join(map(one_line, [report.title, *reasons, *report.facts, *report.notes])))


@pytest.fixture(name="assert_recall", scope="session")
def _assert_recall() -> Callable[..., Any]:
    """Assert that runs hold against a camp-bench baseline: assert_recall(runs, baseline, tolerance=1.0)."""
    return assert_recall
