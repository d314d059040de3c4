"""Lays out what was compared: runs, data, and the settings that differ."""

from __future__ import annotations

import shlex

from camp_bench.comparison.study import Study, pairs_per_second, setting_differences
from camp_bench.records import RunRecord
from camp_bench.report.comparison import title_of
from camp_bench.report.document import Cell, Column, Document, Section, Sheet, listed_rows
from camp_bench.report.results import format_duration

__all__ = ["commands_of", "data_sheet", "runs_sheet", "settings_document", "settings_sheet"]

RUNS = ("run", "model", "seed", "device", "threads", "camp-bench", "torch", "weights", "rsum", "pairs/s", "took")


def runs_sheet(study: Study) -> Sheet:
    """Return a line a run: where it took place, with which program, and how long."""
    lines = []
    for row in study.rows:
        for run in row.runs:
            record, place = run.record, run.record.environment
            commit = f" at {place.commit[:8]}" if place.commit else ""
            seconds = sum(sum(item.samples) for item in record.timings if item.name == "run")
            rate, rsum = pairs_per_second(run), run.evaluation.metrics["rsum"]
            texts = (record.run_id, row.label, str(record.config.seed), place.device_name or place.device)
            more = (str(place.threads), place.camp_bench + commit, place.packages.get("torch", "?"))
            cells = [Cell(text) for text in (*texts, *more, (record.weights_sha256 or "")[:8])]
            cells += [Cell(f"{rsum:.1f}", value=rsum), Cell("" if rate is None else f"{rate:,.0f}", value=rate)]
            lines.append((*cells, Cell(format_duration(seconds), value=seconds)))
    texts_left = ("run", "model", "device", "camp-bench", "torch", "weights")
    columns = tuple(Column(name, right=name not in texts_left) for name in RUNS)
    return Sheet("runs", "Runs", columns, tuple(lines), ("weights: first digits of their SHA-256",))


def data_sheet(study: Study) -> Sheet:
    """Return what all rows were asked, by size and fingerprint."""
    run = study.rows[0].runs[0]
    record, evaluation = run.record, run.evaluation
    every = [one for row in study.rows for one in row.runs]
    sizes = ", ".join(
        f"{name} {count:,} images and {record.dataset.captions.get(name, 0):,} captions"
        for name, count in record.dataset.images.items()
    )
    rows = [
        ("dataset", f"{record.dataset.name}: {sizes}"),
        ("features", _features(record)),
        ("evaluated", f"{evaluation.split} split, protocol {evaluation.protocol}"),
        ("task fingerprint", evaluation.task_fingerprint),
    ]
    for name, values in (
        ("features fingerprint", [one.evaluation.features_fingerprint for one in every]),
        ("training fingerprint", [one.record.dataset.train_fingerprint for one in every]),
        ("vocabulary", [_words(one.record) for one in every]),
        ("system", [f"{one.record.environment.system}, {one.record.environment.processor}" for one in every]),
    ):
        rows.append((name, "; ".join(dict.fromkeys(value or "unknown" for value in values))))
    rows.append(
        (
            "seeds",
            "; ".join(
                f"{row.label}: {', '.join(str(one.record.config.seed) for one in row.runs)}" for row in study.rows
            ),
        )
    )
    columns = (Column("what", right=False, whole=True), Column("value", right=False))
    return Sheet("data", "Data", columns, listed_rows(rows), listed=True)


def _words(record: RunRecord) -> str:
    words = record.vocabulary
    return "" if words is None else f"{words.source}, {words.size:,} words"


def _features(record: RunRecord) -> str:
    size = record.dataset.feature_size
    return "unknown" if size is None else f"{record.dataset.regions} regions of {size:,} numbers"


def settings_sheet(study: Study) -> Sheet:
    """Return the settings that are not the same in all rows, a line a key."""
    columns = (Column("setting", right=False, whole=True), *(Column(row.label, right=False) for row in study.rows))
    lines = tuple((Cell(key), *map(Cell, values)) for key, values in setting_differences(study.rows))
    legend = ("–: the model has no such setting",) if lines else ("no setting differs between these rows",)
    return Sheet("settings", "Settings that differ", columns, lines, legend)


def settings_document(studies: list[Study]) -> Document:
    """Return the settings that differ, a table for each comparison."""
    sections = tuple(Section(title_of(study.table), sheets=(settings_sheet(study),)) for study in studies)
    data = [
        {"rows": [row.label for row in study.rows], "settings": dict(setting_differences(study.rows))}
        for study in studies
    ]
    return Document("camp-bench compare --diff", sections, data)


def commands_of(study: Study) -> list[str]:
    """Return the commands that made the runs, each once."""
    return list(dict.fromkeys(shlex.join(run.record.command) for row in study.rows for run in row.runs))
