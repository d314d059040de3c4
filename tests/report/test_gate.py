"""What a gate says to terminals, CI systems and history pages; names in it stay names."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.cli.output import Show, write_file_beside
from camp_bench.errors import OutputError
from camp_bench.gate.power import GatePower, PowerRow
from camp_bench.gate.verdicts import GateReport, Row, Verdict, refusal
from camp_bench.report.document import Document
from camp_bench.report.foreign_text import one_line, without_commands
from camp_bench.report.gate import gate_document, history_document, power_document
from camp_bench.report.writers import github, markdown
from camp_bench.report.writers import json as json_writer
from camp_bench.report.writers import junit as junit_writer

EVIL = "x\n::error::pwned\r\n##[group]|<script>]]>&\"'`*_[a](http://b)\x1b[31m\x00\u202e\ud800%0A,=1+1"


def show(document: Document) -> None:
    Show(None, None)(document)


def junit(report: GateReport) -> str:
    return junit_writer.write(gate_document(report))


def annotations(report: GateReport) -> str:
    return github.write(gate_document(report))


def summary(report: GateReport) -> str:
    return markdown.write(gate_document(report))


def row(verdict: Verdict = "regressed", *, name: str = "rsum", **changes: object) -> Row:
    fields: dict[str, object] = {
        "name": name,
        "kind": "recall",
        "unit": "points",
        "baseline": 200.0,
        "value": 190.0,
        "drop": 10.0,
        "bound": 4.0,
        "upper": 16.0,
        "limit": 1.0,
        "verdict": verdict,
        "reason": f"{name} went from 200.00 to 190.00",
    }
    return Row(**(fields | changes))  # type: ignore[arg-type]


REPORT = GateReport(
    title="base: vsepp on toy",
    facts=("1 run against 5",),
    rows=(
        row(),
        row("pass", name="i2t.R@1"),
        row("unstable", name="scan over plain", kind="speed", unit="x"),
        row("unproven drop", name="t2i.R@1"),
        row("pass", name="scan FLOPs", kind="count", unit="FLOPs", baseline=1e9, value=1e9, drop=0.0, bound=None),
    ),
    notes=("torch: 3",),
)


def test_terminal_shows_table_reasons_notes_and_outcome(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    show(gate_document(REPORT))
    out = capsys.readouterr().out
    assert "base: vsepp on toy" in out
    assert "regressed: rsum went from 200.00 to 190.00" in out
    assert "unproven drop: t2i.R@1" in out
    assert "i2t.R@1 went" not in out
    assert "note: torch: 3" in out
    assert "1e+09" in out
    assert out.splitlines()[-1] == "regression"
    assert max(len(line) for line in out.splitlines()) <= 80
    show(gate_document(GateReport(title="t", rows=(row("below tolerance"),))))
    assert capsys.readouterr().out.splitlines()[-1] == "pass with 1 warning"
    show(gate_document(refusal("base", "no such file")))
    assert capsys.readouterr().out.splitlines() == ["base", "can't judge: no such file"]


def test_power_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    rows = (PowerRow("rsum", 1.0, 2.0, 3.0, 0.423, 9.87, 0.31),)
    show(power_document(GatePower(rows, 2.0, 1, 1, 0.05, "published", at_least=True)))
    out = capsys.readouterr().out
    assert "≥ 42%" in out
    assert "≤ 9.9" in out
    assert "if seeds spread twice as far as published, rsum's drop is caught in 31%" in out
    assert "save two or more" in out


def test_junit_has_a_case_for_each_row(tmp_path: Path) -> None:
    suite = ET.fromstring(junit(REPORT)).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    failure = suite.find("testcase[@name='recall rsum']/failure")
    assert failure is not None
    assert failure.get("message") == "rsum went from 200.00 to 190.00"
    skipped = suite.find("testcase[@name='recall t2i.R@1']/skipped")
    assert skipped is not None
    assert skipped.get("message") == "unproven drop: t2i.R@1 went from 200.00 to 190.00"
    assert suite.find("testcase[@name='speed scan over plain']/error") is not None
    refused = ET.fromstring(junit(refusal("base", "gone"))).find("testsuite/testcase/error")
    assert refused is not None
    assert refused.get("message") == "gone"


def test_markdown_is_a_table_and_a_list() -> None:
    lines = summary(REPORT).splitlines()
    assert lines[0] == "## base: vsepp on toy: regression"
    assert lines[4] == "| rsum | 200.00 | 190.00 | 10.00 | 4.00 | 16.00 | 1 | **regressed** |"
    assert lines[-1] == "- torch: 3"
    assert "unproven drop" in summary(GateReport(title="t", rows=(row("unproven drop"),)))
    assert "can't judge" in summary(refusal("base", "gone"))


def test_annotations_are_for_what_did_not_pass() -> None:
    lines = annotations(REPORT).splitlines()
    assert lines == [
        "::error title=base%3A vsepp on toy%3A regressed::rsum went from 200.00 to 190.00",
        "::error title=base%3A vsepp on toy%3A unstable::scan over plain went from 200.00 to 190.00",
        "::warning title=base%3A vsepp on toy%3A unproven drop::t2i.R@1 went from 200.00 to 190.00",
    ]
    assert annotations(GateReport(title="t", rows=(row("pass"),))) == ""
    assert annotations(refusal("b", "gone")) == "::error title=b%3A can't judge::gone\n"


def test_json_holds_everything_and_history_what_grows() -> None:
    whole = json.loads(json_writer.write(gate_document(REPORT)))
    assert (whole["outcome"], whole["exit_code"], len(whole["rows"])) == ("regression", 1, 5)
    points = json.loads(json_writer.write(history_document(REPORT)))
    assert points[0] == {
        "name": "base: vsepp on toy: rsum",
        "unit": "points",
        "value": 190.0,
        "range": "± 6.00",
        "extra": "regressed: rsum went from 200.00 to 190.00",
    }
    assert [point["name"].rpartition(": ")[2] for point in points] == ["rsum", "i2t.R@1", "scan over plain", "t2i.R@1"]


def test_reports_replace_older_ones_and_add_to_the_step_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "new" / "summary.md"
    write_file_beside(file, "one\n")
    write_file_beside(file, "two\n")
    assert file.read_bytes() == b"two\n"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    write_file_beside(file, "three\n")
    assert file.read_bytes() == b"two\nthree\n"
    with pytest.raises(OutputError, match="can't be written"):
        write_file_beside(file / "below", "")


@given(st.one_of(st.text(max_size=60), st.just(EVIL)))
def test_no_name_breaks_out_of_any_format(text: str) -> None:
    report = GateReport(title=text, rows=(row(name=text), row("below floor", name=text)), notes=(text,), facts=(text,))
    for one in (report, refusal(text, text)):
        suite = ET.fromstring(junit(one))
        assert len(suite.findall("testsuite")) == 1
        assert len(suite.findall("testsuite/testcase")) == max(len(one.rows), 1)
        for line in annotations(one).splitlines():
            assert re.fullmatch(r"::(error|warning) title=[^:,]*::.*", line)
        assert len(annotations(one).splitlines()) == max(len(one.rows), 1)
        assert json.loads(json_writer.write(gate_document(one)))["exit_code"] == one.exit_code
        assert len(json.loads(json_writer.write(history_document(one)))) == len(one.rows)
    table = [line for line in summary(report).split("\n") if line.startswith("|")]
    assert len(table) == 4
    for line in table:
        bare = line.replace(r"\\", "").replace(r"\|", "")
        assert bare.count("|") == 9


def test_escapes() -> None:
    assert one_line("a\tb\n\x1b[0m\x00\u202e") == r"a b \x1b[0m\x00\u202e"
    assert markdown.escape("a|b<c>`d` :cat: https://x @me #1") == r"a\|b&lt;c&gt;\`d\` \:cat: https\://x \@me \#1"
    assert github.annotation_data("50% a\nb") == "50%25 a b"
    assert github.annotation_property("a: b, c") == "a%3A b%2C c"
    assert without_commands("ok\n  ::error::x\n::y\n##[group]\na::b\n") == "ok\n  : :error::x\n: :y\n# #[group]\na::b\n"


def test_a_name_that_is_a_command_is_not_one_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show(gate_document(GateReport(title="::error::x", rows=(row(name="::stop-commands::x"),), notes=("##[error]",))))
    out = capsys.readouterr().out
    assert not any(line.lstrip().startswith("::") for line in out.splitlines())
    assert "##[" not in out
