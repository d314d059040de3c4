"""Pairs a second of a model's scoring, against its plain form and against the machine's own matrix products."""

from __future__ import annotations

from camp_bench.throughput.measure import measure_throughput

__all__ = ["measure_throughput"]
