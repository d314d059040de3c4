"""A gate's report as files: JUnit XML, a Markdown summary, JSON, and the JSON that github-action-benchmark collects."""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec

from camp_bench.errors import OutputError
from camp_bench.gate.verdicts import GateReport, Row
from camp_bench.records.throughput import write_output
from camp_bench.report.ci.cells import HEADERS, cells
from camp_bench.report.ci.escaping import markdown
from camp_bench.report.foreign_text import one_line

__all__ = ["benchmark_json", "junit_xml", "markdown_summary", "report_json", "write_report"]

SUITE = "camp-bench check"
UNPROVEN = "unproven drop"


def junit_xml(report: GateReport) -> bytes:
    """Return a JUnit report: a case for each row, `failure` for a regression, `error` for what can't be judged.

    A drop beyond its tolerance that chance may have done is `skipped`: neither passed nor failed, and counted apart.
    A check that could not be made is a suite with one case in error, never an empty one that a CI takes for success.
    """
    levels = [row.level(strict=report.strict) for row in report.rows]
    broken = report.error is not None
    unproven = [row.verdict == UNPROVEN and level == "warning" for row, level in zip(report.rows, levels, strict=True)]
    suite = ET.Element(
        "testsuite",
        name=SUITE,
        tests=str(len(levels) + broken),
        failures=str(levels.count("failure")),
        errors=str(levels.count("unstable") + broken),
        skipped=str(sum(unproven)),
    )
    title = one_line(report.title)
    for row, level, open_ in zip(report.rows, levels, unproven, strict=True):
        case = ET.SubElement(suite, "testcase", classname=title, name=f"{row.kind} {one_line(row.name)}", time="0")
        if level in ("failure", "unstable"):
            kind = "failure" if level == "failure" else "error"
            ET.SubElement(case, kind, type=row.verdict, message=one_line(row.reason))
        elif open_:
            ET.SubElement(case, "skipped", type=row.verdict, message=f"{row.verdict}: {one_line(row.reason)}")
        else:
            ET.SubElement(case, "system-out").text = f"{row.verdict}: {one_line(row.reason)}"
    if report.error is not None:
        case = ET.SubElement(suite, "testcase", classname=title, name="judging", time="0")
        ET.SubElement(case, "error", type="can't judge", message=one_line(report.error))
    ET.SubElement(suite, "system-out").text = "\n".join(map(one_line, (*report.facts, *report.notes)))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def markdown_summary(report: GateReport) -> bytes:
    """Return a summary in GitHub's Markdown."""
    lines = [f"### {markdown(report.title)}: {report.outcome}", ""]
    if report.error is not None:
        lines += [markdown(report.error), ""]
    if report.rows:
        lines += [f"| {' | '.join(HEADERS)} |", f"|:--|{'--:|' * (len(HEADERS) - 2)}:--|"]
        lines += [_markdown_row(row, report) for row in report.rows]
        lines.append("")
    told = [row.reason for row in report.rows if row.level(strict=report.strict) != "pass"]
    lines += [f"- {markdown(text)}" for text in (*told, *report.facts, *report.notes)]
    return ("\n".join(lines).rstrip("\n") + "\n").encode()


def report_json(report: GateReport) -> bytes:
    """Return everything, with the outcome and the exit code."""
    content = {**msgspec.to_builtins(report), "outcome": report.outcome, "exit_code": report.exit_code}
    return _json(content)


def benchmark_json(report: GateReport) -> bytes:
    """Return what github-action-benchmark takes as `customBiggerIsBetter`; exact counts, where less is better, are not.

    `range` is the half-width of the one-sided interval that the verdict rests on.
    """
    found: list[dict[str, Any]] = []
    for row in report.rows:
        if row.kind in ("recall", "speed"):
            point: dict[str, Any] = {
                "name": f"{one_line(report.title)}: {row.name}",
                "unit": row.unit,
                "value": row.value,
            }
            if row.kind == "recall" and row.drop is not None and row.bound is not None:
                point["range"] = f"± {row.drop - row.bound:.2f}"
            found.append(point | {"extra": f"{row.verdict}: {one_line(row.reason)}"})
    return _json(found)


def write_report(path: Path, content: bytes) -> None:
    """Write a report over an older one; to $GITHUB_STEP_SUMMARY, which steps share, it is added.

    Raises OutputError where that can't be.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if str(path) == os.environ.get("GITHUB_STEP_SUMMARY"):
            with path.open("ab") as stream:
                stream.write(content)
            return
    except OSError as error:
        raise OutputError(f"{path}: can't be written ({error.strerror or error})") from None
    write_output(path, content)


def _json(content: Any) -> bytes:
    """Return JSON in UTF-8, which has no place for the lone surrogates that file names may hold."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, indent=2).encode("utf-8", "replace") + b"\n"


def _markdown_row(row: Row, report: GateReport) -> str:
    name, *amounts, verdict = cells(row)
    if row.level(strict=report.strict) != "pass":
        verdict = f"**{verdict}**"
    return "| " + " | ".join((markdown(name), *amounts, verdict)) + " |"
