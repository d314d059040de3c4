"""Measuring once more what a report was about gives the same workloads and counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from camp_bench.cli import main
from camp_bench.gate.limits import parse_limits
from camp_bench.gate.speed import judge_speed
from camp_bench.records.throughput import ThroughputReport, Workload, encode_throughput
from camp_bench.throughput import measure_throughput
from camp_bench.throughput.again import measure_again

SMALL = Workload(images=4, captions=7, regions=3, dim=8, feature_size=6, words=7.3)


@pytest.fixture(scope="module")
def first() -> ThroughputReport:
    return measure_throughput(["vsepp", "scan"], SMALL, device="cpu", threads=1, turns=2)


def test_workloads_threads_and_counts_are_the_same(first: ThroughputReport) -> None:
    again = measure_again(first)
    assert [item.workload for item in again.models] == [item.workload for item in first.models]
    assert again.environment.threads == first.environment.threads
    counts = [row for row in judge_speed(first, again, parse_limits()) if row.kind == "count"]
    assert [row.verdict for row in counts] == ["pass"] * 4


def test_check_measures_and_does_not_pass_on_two_samples(
    first: ThroughputReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report, file = tmp_path / "report.json", tmp_path / "speed.json"
    report.write_bytes(encode_throughput(first))
    assert main(["baseline", "save", "--throughput", str(report), "-o", str(file)]) == 0
    assert main(["baseline", "show", str(file)]) == 0
    assert "times as fast as plain" in capsys.readouterr().out
    for arguments in (["--throughput"], ["--fail", "speed:5%"], ["--report", str(report)]):
        assert main(["check", "--baseline", str(file), *arguments]) == 2
        out, _ = capsys.readouterr()
        assert "unstable: scan:t2i-lse over plain" in out
        assert out.splitlines()[-1] == "can't judge"
    assert main(["check", str(tmp_path), "--baseline", str(file)]) == 2
    assert "holds speed alone" in capsys.readouterr().err
