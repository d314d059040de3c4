"""One check: a baseline file and what is held against it, as one report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from camp_bench.baseline import Window, find_runs, read_baseline, window_of
from camp_bench.errors import RecordError
from camp_bench.gate.limits import Limits
from camp_bench.gate.recall import judge_floors, judge_recall, recall_notes
from camp_bench.gate.verdicts import GateReport

__all__ = ["check_runs"]


def check_runs(
    runs: Sequence[str | Path],
    baseline: str | Path,
    limits: Limits | None = None,
    *,
    same_checkpoint: bool = False,
    strict: bool = False,
) -> GateReport:
    """Judge runs against a baseline.

    runs: folders of runs, or folders that hold them; runs of other models than the baseline's are left out, and said.
    same_checkpoint: the weights are the baseline's, evaluated anew. strict: warnings fail.
    Raises CampBenchError for whatever can't be judged.
    """
    limits = limits or Limits()
    held = read_baseline(baseline).recall
    if held is None:
        raise RecordError(f"{baseline}: holds no runs, only speed; save one with `camp-bench baseline save RUN`")
    folders = find_runs(runs)
    now = window_of(folders, held.split, model=held.model, protocol=held.protocol)
    rows, spread = judge_recall(held, now, limits, same_checkpoint=same_checkpoint)
    notes = list(recall_notes(held, now, same_checkpoint=same_checkpoint))
    if len(folders) > len(now.runs):
        notes.insert(0, f"{len(folders) - len(now.runs)} run(s) of other models or protocols were left out")
    return GateReport(
        title=_title(baseline, held),
        facts=(
            f"{len(now.runs)} run(s) against {len(held.runs)} of the baseline, alpha {limits.alpha:g}"
            + (", Holm over the metrics" if len(rows) > 1 else ""),
            f"spread between seeds: {spread}",
        ),
        rows=(*rows, *judge_floors(now, limits)),
        notes=tuple(notes),
        strict=strict,
    )


def _title(baseline: str | Path, window: Window) -> str:
    return (
        f"{Path(baseline).stem}: {window.model} on {window.dataset}, {window.split} split, protocol {window.protocol}"
    )
