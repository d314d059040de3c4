"""One check: a baseline and what is held against it, as one report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from camp_bench.errors import RecordError
from camp_bench.gate.baseline import Window, read_baseline, window_of
from camp_bench.gate.limits import Limits
from camp_bench.gate.recall import judge_floors, judge_recall, recall_notes
from camp_bench.gate.speed import judge_speed
from camp_bench.gate.verdicts import GateReport, Row
from camp_bench.records import find_records
from camp_bench.records.throughput import ThroughputReport

__all__ = ["check_runs", "recall_baseline", "speed_baseline"]


def check_runs(
    runs: Sequence[str | Path],
    baseline: str | Path,
    limits: Limits | None = None,
    *,
    same_checkpoint: bool = False,
    strict: bool = False,
    speed: ThroughputReport | None = None,
) -> GateReport:
    """Judge runs, a throughput report, or both against a baseline.

    runs: folders of runs, or folders that hold them; runs of other models than the baseline's are left out, and said.
    same_checkpoint: the weights are the baseline's, evaluated anew. strict: warnings fail.
    Raises CampBenchError for whatever can't be judged.
    """
    limits = limits or Limits()
    rows: list[Row] = []
    facts: list[str] = []
    notes: list[str] = []
    title = Path(baseline).stem
    if runs or speed is None:
        held = recall_baseline(baseline)
        title = f"{title}: {held.model} on {held.dataset}, {held.split} split, protocol {held.protocol}"
        files = find_records(runs)
        now = window_of(files, held.split, model=held.model, protocol=held.protocol)
        found, spread = judge_recall(held, now, limits, same_checkpoint=same_checkpoint)
        rows += [*found, *judge_floors(now, limits)]
        holm = f", Holm over {len(found)} metrics" if len(found) > 1 else ""
        proven = ", a pass has to be proven" if limits.prove else ""
        against = f"{_runs(len(now.runs))} against {len(held.runs)} of the baseline"
        facts.append(f"{against}, level {limits.alpha:.2g}{holm}{proven}")
        facts.append(f"spread between seeds: {spread}")
        if others := len(files) - len(now.runs):
            notes.append(f"{_runs(others)} of other models, splits or protocols left out")
        notes += recall_notes(held, now, same_checkpoint=same_checkpoint)
    if speed is not None:
        rows += judge_speed(speed_baseline(baseline), speed, limits)
        facts.append(f"speed-ups are medians of {len(speed.models[0].score.samples)} turns in one process")
    return GateReport(title=title, facts=tuple(facts), rows=tuple(rows), notes=tuple(notes), strict=strict)


def recall_baseline(path: str | Path) -> Window:
    """Return the runs that a baseline file holds; RecordError where there are none."""
    held = read_baseline(path).recall
    if held is None:
        raise RecordError(f"{path}: holds speed alone; save runs with `camp-bench baseline save RUNS`")
    return held


def speed_baseline(path: str | Path) -> ThroughputReport:
    """Return the throughput report that a baseline file holds; RecordError where there is none."""
    held = read_baseline(path).speed
    if held is None:
        raise RecordError(f"{path}: holds no speed; save it with `camp-bench baseline save --throughput REPORT`")
    return held


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"
