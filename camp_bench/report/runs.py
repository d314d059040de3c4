"""Lays out single runs: a list of them, and one at a glance."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from camp_bench.comparison import run_seconds
from camp_bench.records import EpochLog, RunRecord, TrainingRecord
from camp_bench.report.document import Cell, Column, Document, Remark, Section, Sheet, listed_rows, number
from camp_bench.report.results import METRICS, format_duration

__all__ = ["list_document", "run_document", "sparkline"]

LEVELS = "▁▂▃▄▅▆▇█"
WIDEST = 60


def list_document(runs: Sequence[tuple[Path, RunRecord]]) -> Document:
    """Return a line a run, in the order given."""
    lefts = ("run", "model", "data", "split", "created")
    columns = tuple(Column(name, right=False) for name in lefts) + tuple(map(Column, ("seed", "rsum", "took")))
    lines = []
    for folder, record in runs:
        last = record.evaluations[-1] if record.evaluations else None
        rsum = last.metrics.get("rsum") if last else None
        lines.append(
            (
                Cell(str(folder)),
                Cell(record.config.model),
                Cell(record.dataset.name),
                Cell(last.split if last else ""),
                Cell(record.created[:16].replace("T", " ")),
                Cell(str(record.config.seed), value=record.config.seed),
                Cell("" if rsum is None else number(rsum), value=rsum),
                Cell(format_duration(run_seconds(record)), value=run_seconds(record)),
            )
        )
    sheet = Sheet("runs", "", columns, tuple(lines))
    data = [{"folder": str(folder), "record": msgspec.to_builtins(record)} for folder, record in runs]
    return Document("camp-bench list", (Section(sheets=(sheet,)),), data)


def run_document(folder: Path, record: RunRecord) -> Document:
    """Return a run at a glance: figures, how training went, gates, what it rests on, the command."""
    evaluated = [item for item in record.evaluations if item.metrics]
    shown = [name for name in (*METRICS, "rsum") if any(name in item.metrics for item in evaluated)]
    figures = Sheet(
        "figures",
        "",
        (Column("split", right=False), *(Column(name.replace(".", "\n")) for name in shown)),
        tuple(
            (Cell(item.split), *(Cell(number(item.metrics[n], n), value=item.metrics[n]) for n in shown))
            for item in evaluated
            if all(name in item.metrics for name in shown)
        ),
    )
    columns = (Column("what", right=False, whole=True), Column("value", right=False))
    sheets = [figures] if figures.rows else []
    if record.epochs:
        rows = listed_rows(_training(record.epochs))
        sheets.append(Sheet("training", "Training", columns, rows, listed=True))
    sheets.append(Sheet("facts", "Rests on", columns, listed_rows(_facts(record)), listed=True))
    notes = ["collapsed: its training ended on the plateau of a constant scorer"] if record.collapsed else []
    notes += [] if record.deterministic else [f"not deterministic: {record.nondeterministic_reason}"]
    title = f"{record.config.model} seed {record.config.seed} on {record.dataset.name}: {folder}"
    remarks = (*(Remark(note, "note") for note in notes), Remark(shlex.join(record.command)))
    return Document(title, (Section(title, (), tuple(sheets), remarks),), record)


def _training(epochs: Sequence[EpochLog]) -> list[tuple[str, str]]:
    """Return a line for each quantity that was followed: its course, its first and its last value."""
    followed: dict[str, list[float | None]] = {
        "dev rsum": [log.dev_rsum for log in epochs],
        "loss": [log.loss for log in epochs],
    }
    followed["train rsum"] = [log.train_rsum for log in epochs]
    for name in dict.fromkeys(name for log in epochs for name in log.vitals):
        followed[name.replace("_", " ")] = [log.vitals.get(name) for log in epochs]
    rows = []
    for name, values in followed.items():
        known = [value for value in values if value is not None]
        if known:
            rows.append((name, f"{sparkline(known)}  {known[0]:.4g} to {known[-1]:.4g}"))
    return rows


def _facts(record: RunRecord) -> list[tuple[str, str]]:
    training, place, data, words = record.training, record.environment, record.dataset, record.vocabulary
    weights = record.weights_sha256 or ""
    rows = [
        ("data", f"{data.source}, {data.images.get('train', 0):,} training images"),
        ("training", "unknown" if training is None else _told(training)),
        ("weights", "unknown" if training is None else f"{training.parameters:,}, {weights[:16]}"),
        ("vocabulary", "unknown" if words is None else f"{words.size:,} words of {words.source}"),
        ("settings", f"preset {record.config.preset}, {record.config.precision}"),
        ("machine", f"{place.device_name or place.processor}, {place.threads} threads, {place.system}"),
        ("program", f"camp-bench {place.camp_bench}, torch {place.packages.get('torch', 'unknown')}"),
        ("took", format_duration(run_seconds(record))),
    ]
    more = {
        "evaluates again": record.parent,
        "started from": training.started_from.run_id if training and training.started_from else None,
        "checkpoint": record.checkpoint.file if record.checkpoint else None,
    }
    return rows + [(name, value) for name, value in more.items() if value]


def _told(training: TrainingRecord) -> str:
    pairs, steps = ("unknown" if count is None else f"{count:,}" for count in (training.pairs_seen, training.steps))
    best = " and ".join(map(str, training.best_epochs)) or "unknown"
    return f"{pairs} pairs in {steps} steps, best epoch {best}"


def sparkline(values: Sequence[float]) -> str:
    """Return a course as small bars, at most so many that a line has room for them; the last value is always shown."""
    step = -(-len(values) // WIDEST)
    kept = values[::-1][::step][::-1]
    low, high = min(kept), max(kept)
    if high == low:
        return LEVELS[0] * len(kept)
    return "".join(LEVELS[min(int((value - low) / (high - low) * len(LEVELS)), len(LEVELS) - 1)] for value in kept)
