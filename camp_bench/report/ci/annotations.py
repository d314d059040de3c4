"""A gate's report as GitHub workflow commands: one annotation for each thing that didn't pass."""

from __future__ import annotations

from camp_bench.gate.verdicts import GateReport
from camp_bench.report.ci.escaping import annotation_data, annotation_property

__all__ = ["github_annotations"]


def github_annotations(report: GateReport) -> str:
    """Return lines to print in a GitHub workflow; nothing where everything passed."""
    lines = []
    if report.error is not None:
        lines.append(_command("error", f"{report.title}: can't judge", report.error))
    for row in report.rows:
        level = row.level(strict=report.strict)
        if level != "pass":
            lines.append(
                _command("warning" if level == "warning" else "error", f"{report.title}: {row.verdict}", row.reason)
            )
    return "".join(line + "\n" for line in lines)


def _command(kind: str, title: str, message: str) -> str:
    return f"::{kind} title={annotation_property(title)}::{annotation_data(message)}"
