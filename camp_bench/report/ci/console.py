"""A gate's report and its power on a terminal or in a log."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from camp_bench.gate.power import LIKELY, GatePower
from camp_bench.gate.verdicts import GateReport
from camp_bench.report.ci.cells import HEADERS, cells
from camp_bench.report.ci.escaping import without_commands
from camp_bench.report.foreign_text import PlainConsole, one_line

__all__ = ["print_lines", "print_power", "print_report"]

NARROWEST = 80
STYLES = {"pass": "green", "warning": "yellow", "failure": "bold red", "unstable": "bold red"}
OUTCOMES = {
    "pass": "green",
    "unproven drop": "bold yellow",
    "regression": "bold red",
    "not proven": "bold red",
    "can't judge": "bold red",
}


def print_report(report: GateReport) -> None:
    """Print the table, a sentence for each row that didn't pass, what was assumed, and the outcome last."""
    parts: list[Table | Text] = [Text(one_line(report.title))]
    if report.rows:
        parts.append(_table(report))
    parts += [Text(one_line(fact)) for fact in report.facts]
    for row in report.rows:
        if (level := row.level(strict=report.strict)) != "pass":
            parts.append(Text(f"{row.verdict}: {one_line(row.reason)}", style=STYLES[level]))
    parts += [Text(f"note: {one_line(note)}") for note in report.notes]
    warnings = [row.level(strict=report.strict) for row in report.rows].count("warning")
    last = report.outcome if report.error is None else f"{report.outcome}: {one_line(report.error)}"
    if report.outcome == "pass" and warnings:
        last = f"pass with {warnings} warning{'s' * (warnings > 1)}"
    parts.append(Text(last, style=OUTCOMES[report.outcome]))
    _print(*parts)


def print_power(power: GatePower) -> None:
    """Print how likely a gate is to catch a drop, metric by metric."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("held")
    least = "≥ " if power.at_least else ""
    columns = "tolerance", "SE images", "SE seeds", f"drop of {power.drop:g} caught", f"caught in {LIKELY:.0%}"
    for name in columns:
        table.add_column(name, justify="right", overflow="fold")
    for row in power.rows:
        numbers = f"{row.tolerance:g}", f"{row.se_image:.2f}", f"{row.se_seed:.2f}"
        most = "≤ " if power.at_least else ""
        table.add_row(row.metric, *numbers, f"{least}{row.chance:.0%}", f"a drop of {most}{row.catches:.1f}")
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
    _print(table, *map(Text, lines))


def print_lines(*lines: str) -> None:
    """Print lines that hold names."""
    _print(*(Text(one_line(line)) for line in lines))


def _print(*parts: Table | Text) -> None:
    """Print to standard output what holds names: tables whole, text unwrapped, no line a command to a CI's runner."""
    console = PlainConsole()
    console.width = max(console.width, NARROWEST)
    with console.capture() as captured:
        for part in parts:
            console.print(part, soft_wrap=isinstance(part, Text))
    console.file.write(without_commands(captured.get()))
    console.file.flush()


def _table(report: GateReport) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in HEADERS:
        table.add_column(name, justify="left" if name in (HEADERS[0], HEADERS[-1]) else "right", overflow="fold")
    for row in report.rows:
        name, *amounts, verdict = cells(row)
        style = STYLES[row.level(strict=report.strict)]
        table.add_row(Text(one_line(name)), *amounts, Text(verdict, style=style, no_wrap=True))
    return table
