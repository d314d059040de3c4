"""A gate's report for those who read it: a terminal, GitHub, a test report, a step summary, a history page."""

from __future__ import annotations

from camp_bench.report.ci.annotations import github_annotations
from camp_bench.report.ci.console import print_lines, print_power, print_report
from camp_bench.report.ci.files import benchmark_json, junit_xml, markdown_summary, report_json, write_report

__all__ = [
    "benchmark_json",
    "github_annotations",
    "junit_xml",
    "markdown_summary",
    "print_lines",
    "print_power",
    "print_report",
    "report_json",
    "write_report",
]
