"""Lays out what a gate says: its verdicts, how likely it is to catch a drop, and what a baseline holds."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from camp_bench.gate.baseline import Baseline
from camp_bench.gate.noise import seed_noise
from camp_bench.gate.power import LIKELY, GatePower
from camp_bench.gate.verdicts import GateReport, Row
from camp_bench.report.document import Cell, Column, Document, Level, Remark, Section, Sheet
from camp_bench.report.foreign_text import one_line

__all__ = ["baseline_document", "baseline_summary", "gate_document", "history_document", "power_document"]

HEADERS = ("held", "baseline", "now", "drop", "at least", "at most", "limit", "verdict")
LEVELS: dict[str, Level] = {"pass": "pass", "warning": "warning", "failure": "failure", "unstable": "error"}
OUTCOMES: dict[str, Level] = {
    "pass": "pass",
    "unproven drop": "open",
    "regression": "failure",
    "not proven": "failure",
    "can't judge": "error",
}


def gate_document(report: GateReport) -> Document:
    """Return the table, what was assumed, a sentence for each row, what to know beside, and the outcome last."""
    levels = [_level(row, strict=report.strict) for row in report.rows]
    remarks = [Remark(fact) for fact in report.facts]
    remarks += [
        Remark(row.reason, row.verdict, level, f"{row.kind} {row.name}")
        for row, level in zip(report.rows, levels, strict=True)
    ]
    remarks += [Remark(note, "note") for note in report.notes]
    outcome = report.outcome
    warnings = levels.count("warning") + levels.count("open")
    told = f"pass with {warnings} warning{'s' * (warnings > 1)}" if outcome == "pass" and warnings else str(outcome)
    if report.error is not None:
        remarks.append(Remark(report.error, outcome, "error", "judging"))
        told = ""
    columns = tuple(Column(name, right=name not in ("held", "verdict"), whole=name == "verdict") for name in HEADERS)
    rows = tuple(_cells(row, level) for row, level in zip(report.rows, levels, strict=True))
    sheets = (Sheet("check", "", columns, rows),) if rows else ()
    section = Section(report.title, (), sheets, tuple(remarks), "", told, OUTCOMES[outcome])
    data = {**msgspec.to_builtins(report), "outcome": outcome, "exit_code": report.exit_code}
    return Document("camp-bench check", (section,), data)


def _level(row: Row, *, strict: bool) -> Level:
    """Return how bad a verdict is; a drop beyond its tolerance that chance may have done is neither good nor bad."""
    level = LEVELS[row.level(strict=strict)]
    return "open" if level == "warning" and row.verdict == "unproven drop" else level


def history_document(report: GateReport) -> Document:
    """Return what github-action-benchmark takes as `customBiggerIsBetter`; exact counts, where less is better, are not.

    `range` is the half-width of the one-sided interval that the verdict rests on.
    """
    found: list[dict[str, Any]] = []
    for row in report.rows:
        if row.kind in ("recall", "speed"):
            name = f"{one_line(report.title)}: {row.name}"
            point: dict[str, Any] = {"name": name, "unit": row.unit, "value": row.value}
            if row.kind == "recall" and row.drop is not None and row.bound is not None:
                point["range"] = f"± {row.drop - row.bound:.2f}"
            found.append(point | {"extra": f"{row.verdict}: {one_line(row.reason)}"})
    return Document(report.title, (), found)


def power_document(power: GatePower) -> Document:
    """Return how likely a gate is to catch a drop, metric by metric."""
    names = "tolerance", "SE images", "SE seeds", f"drop of {power.drop:g} caught", f"caught in {LIKELY:.0%}"
    least, most = ("≥ ", "≤ ") if power.at_least else ("", "")
    rows = tuple(
        (
            Cell(row.metric),
            Cell(f"{row.tolerance:g}", value=row.tolerance),
            Cell(f"{row.se_image:.2f}", value=row.se_image),
            Cell(f"{row.se_seed:.2f}", value=row.se_seed),
            Cell(f"{least}{row.chance:.0%}", value=row.chance),
            Cell(f"a drop of {most}{row.catches:.1f}", value=row.catches),
        )
        for row in power.rows
    )
    sheet = Sheet("power", "", (Column("held", right=False), *map(Column, names)), rows)
    lines = [
        f"{power.runs} new run{'s' * (power.runs > 1)} against {power.baseline_runs} of the baseline, "
        f"alpha {power.alpha:g}" + (f" over {len(power.rows)} metrics" if len(power.rows) > 1 else ""),
        f"spread between seeds: {power.source}",
    ]
    lines += [
        f"if seeds spread twice as far as published, {row.metric}'s drop is caught in {row.chance_doubled:.0%}"
        for row in power.rows
        if row.chance_doubled is not None
    ]
    if power.at_least:
        lines.append("one baseline run doesn't tell how alike two runs are, so these are bounds; save two or more")
    return Document("camp-bench power", (Section(sheets=(sheet,), remarks=tuple(map(Remark, lines))),), power)


def baseline_summary(kept: Baseline) -> str:
    """Return what a baseline is of, in one line."""
    parts = []
    if kept.recall is not None:
        window = kept.recall
        parts.append(
            f"{window.model} on {window.dataset}, {window.split} split, protocol {window.protocol}, "
            f"{len(window.runs)} run{'s' * (len(window.runs) > 1)}, rsum {window.mean('rsum'):.1f}"
        )
    if kept.speed is not None:
        parts.append(f"speed of {', '.join(model.model for model in kept.speed.models)}")
    return "; ".join(parts)


def baseline_document(file: Path, kept: Baseline) -> Document:
    """Return all that a baseline holds, line by line."""
    lines = []
    for model in kept.speed.models if kept.speed else ():
        work = model.workload
        lines.append(
            f"{model.model}  {work.images:,} images x {work.captions:,} captions, {model.flops:,} FLOPs, "
            f"{model.traffic_bytes:,} bytes"
        )
        lines += [
            f"  {median(part.speed_ups):.2f} times as fast as plain"
            + (f" padded to {part.padded_words}" if part.padded_words else "")
            for part in model.baselines
        ]
    if kept.recall is not None:
        window, first = kept.recall, kept.recall.runs[0]
        data = {"task": window.task_fingerprint, "features": window.features_fingerprint}
        data["training data"] = window.train_fingerprint
        place = first.environment
        made_with = f"camp-bench {place.camp_bench}, torch {place.packages.get('torch', 'unknown')}"
        lines += [
            f"{window.images:,} images, {window.captions:,} captions",
            ", ".join(f"{name} {fingerprint[:16]}" for name, fingerprint in data.items()),
            f"{made_with}, {place.device}, {place.processor}",
            f"spread between seeds: {seed_noise(window).source}",
            *(f"{run.run_id}  seed {run.config.seed}, rsum {run.metrics['rsum']:.2f}" for run in window.runs),
            "mean  " + ", ".join(f"{name} {window.mean(name):.2f}" for name in sorted(first.metrics)),
        ]
    title = f"{file}: {baseline_summary(kept)}"
    return Document(title, (Section(title, tuple(lines)),), {"file": str(file), "lines": lines})


def _cells(row: Row, level: Level) -> tuple[Cell, ...]:
    """Return a cell for each of HEADERS; numbers are rounded here alone."""
    percent = "%" if row.kind in ("speed", "count") else ""
    shown = "{:.5g}" if row.kind == "count" else "{:.2f}"
    return (
        Cell(row.name),
        Cell("" if row.baseline is None else shown.format(row.baseline), value=row.baseline),
        Cell(shown.format(row.value), value=row.value),
        Cell("" if row.drop is None else f"{row.drop:.2f}{percent}", value=row.drop),
        Cell("" if row.bound is None else f"{row.bound:.2f}{percent}", value=row.bound),
        Cell("" if row.upper is None else f"{row.upper:.2f}{percent}", value=row.upper),
        Cell(f"≥ {row.limit:g}" if row.kind == "floor" else f"{row.limit:g}{percent}", value=row.limit),
        Cell(row.verdict, level=level),
    )
