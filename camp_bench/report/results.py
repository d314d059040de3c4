"""Lays out what a command that made records shows at its end: the figures, and where the records lie."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from camp_bench.comparison import CompareOptions, ResultGroup, compare_groups, group_results, run_seconds
from camp_bench.records import RunRecord
from camp_bench.report.comparison import title_of
from camp_bench.report.document import Cell, Column, Document, Remark, Section, Sheet, number
from camp_bench.report.prose import verdict

__all__ = ["closing_section", "format_duration", "results_document", "results_section"]

METRICS = tuple(f"{direction}.{name}" for direction in ("i2t", "t2i") for name in ("R@1", "R@5", "R@10", "MedR"))
LOWER_IS_BETTER = "MedR"


def results_document(finished: Sequence[tuple[Path, RunRecord]], split: str) -> Document:
    """Return a table for each task and protocol, and a line for each record's folder."""
    groups = group_results([record for _, record in finished], split)
    lines = []
    for folder, record in finished:
        rsum, seconds = record.evaluation(split).metrics["rsum"], format_duration(run_seconds(record))
        lines.append(f"{_from_here(folder)}/record.json  rsum {rsum:.1f}, {seconds}")
    sections = [results_section(group) for group in groups]
    if lines:
        last = sections[-1]
        remarks = (*last.remarks, *map(Remark, lines))
        sections[-1] = Section(last.title, (), last.sheets, remarks)
    return Document("camp-bench run", tuple(sections), {"groups": groups, "folders": [str(f) for f, _ in finished]})


def closing_section(folders: Sequence[Path], results: str) -> Section:
    """Return the verdict on runs that have just finished, and what to do with them next.

    Raises what comparing them raises.
    """
    tables, _ = compare_groups(folders, CompareOptions())
    where = shlex.quote(results)
    lines = (f"camp-bench report {where} -o report.html", f"camp-bench compare {where} --explain")
    shown = f"camp-bench show {shlex.quote(str(_from_here(folders[-1])))}"
    remarks = (*(Remark(verdict(table), "so far") for table in tables), Remark("next:"))
    return Section(remarks=(*remarks, *(Remark(f"  {line}") for line in (*lines, shown))))


def results_section(group: ResultGroup) -> Section:
    """Return one line a model: recalls in percent, MedR and rsum, the best values bold.

    With several seeds the values are means, and `sd` is the rsum's between seeds. 80 columns wide at most.
    """
    several = any(len(row.seeds) > 1 for row in group.rows)
    columns = [Column("model", right=False), Column("seeds" if several else "seed")]
    columns += [Column(metric.replace(".", "\n")) for metric in METRICS]
    columns += [Column("rsum"), *([Column("sd")] if several else [])]
    best = {metric: _best(group, metric) for metric in (*METRICS, "rsum")}
    lines = []
    for row in group.rows:
        cells = [Cell(row.label), Cell(f"{len(row.seeds)}" if several else f"{row.seeds[0]}")]
        cells += [_cell(row.metrics[metric], metric, best[metric]) for metric in (*METRICS, "rsum")]
        if several:
            cells.append(Cell("") if row.rsum_sd is None else Cell(f"{row.rsum_sd:.1f}", value=row.rsum_sd))
        lines.append(tuple(cells))
    notes = tuple(Remark(note, "note") for note in group.notes)
    return Section(title_of(group), (), (Sheet("results", "", tuple(columns), tuple(lines)),), notes)


def format_duration(seconds: float) -> str:
    """Return `m:ss`, or `h:mm:ss` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _from_here(folder: Path) -> Path:
    """Return the folder relative to the working folder where it lies under that."""
    with suppress(OSError, ValueError):  # the working folder is gone, or is elsewhere
        return folder.relative_to(Path.cwd())
    return folder


def _best(group: ResultGroup, metric: str) -> float | None:
    """Return the best value of a column as it is displayed, None where there is nothing to compare."""
    if len(group.rows) < 2:
        return None
    values = [round(row.metrics[metric], 1) for row in group.rows]
    return min(values) if metric.endswith(LOWER_IS_BETTER) else max(values)


def _cell(value: float, metric: str, best: float | None) -> Cell:
    return Cell(number(value, metric), bold=best is not None and round(value, 1) == best, value=value)
