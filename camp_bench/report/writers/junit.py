"""Verdicts as a JUnit report: a case for each, `failure` for a regression, `error` for what can't be judged, `skipped`
for a drop beyond its tolerance that chance may have done: neither passed nor failed, and counted apart.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

from camp_bench.report.document import Document
from camp_bench.report.foreign_text import one_line

__all__ = ["write"]


def write(document: Document) -> str:
    """Return a suite with a case for each remark that is a verdict.

    A check that could not be made is one case in error, never an empty suite that a CI takes for success.
    """
    judged = [(section, item) for section in document.sections for item in section.remarks if item.level]
    levels = [item.level for _, item in judged]
    suite = ET.Element(
        "testsuite",
        name=document.title,
        tests=str(len(levels)),
        failures=str(levels.count("failure")),
        errors=str(levels.count("error")),
        skipped=str(levels.count("open")),
    )
    for section, item in judged:
        case = ET.SubElement(suite, "testcase", classname=one_line(section.title), name=one_line(item.name), time="0")
        if item.level in ("failure", "error"):
            ET.SubElement(case, item.level, type=item.label, message=one_line(item.text))
        elif item.level == "open":
            ET.SubElement(case, "skipped", type=item.label, message=f"{item.label}: {one_line(item.text)}")
        else:
            ET.SubElement(case, "system-out").text = f"{item.label}: {one_line(item.text)}"
    suite_facts = (one_line(item.text) for section in document.sections for item in section.remarks if not item.level)
    ET.SubElement(suite, "system-out").text = "\n".join(suite_facts)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return f"<?xml version='1.0' encoding='utf-8'?>\n{ET.tostring(root, encoding='unicode')}\n"
