"""The gate: runs against a baseline, and what can be said of the difference."""

from __future__ import annotations

from camp_bench.gate.check import check_runs, recall_baseline, speed_baseline
from camp_bench.gate.limits import Limits, parse_limits
from camp_bench.gate.power import GatePower, gate_power
from camp_bench.gate.recall import judge_recall
from camp_bench.gate.verdicts import GateReport, Row, refusal

__all__ = [
    "GatePower",
    "GateReport",
    "Limits",
    "Row",
    "check_runs",
    "gate_power",
    "judge_recall",
    "parse_limits",
    "recall_baseline",
    "refusal",
    "speed_baseline",
]
