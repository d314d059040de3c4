"""`compare`, `published` and `export` as commands: output, files, exit codes, messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from comparison_examples import write_run
from examples import TINY

from camp_bench.cli import main


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for model, level in (("camp", 1.0), ("vsepp", 1.5)):
        write_run(folder, model=model, level=level, dataset={"source": TINY})
    return folder


def test_compare_prints_tables_notes_and_the_paragraph(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results.parent)
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["compare", "--resamples", "200"]) == 0
    short = capsys.readouterr().out
    assert short.splitlines()[1].startswith("camp leads (rsum ")
    assert "In short" in short
    assert "Differences" not in short
    assert main(["compare", "--full", "--explain", "--resamples", "200"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1] == short.splitlines()[1]
    for words in (
        "Models",
        "Differences",
        "camp − vsepp",
        "note: all rows have fewer than 3 seeds",
        "We evaluated 2 models",
    ):
        assert words in out
    assert max(map(len, out.splitlines())) <= 80


def test_compare_writes_files_by_their_suffix(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, start in (
        ("a.md", "## toy"),
        ("a.tex", "% "),
        ("a.csv", "dataset,"),
        ("a.html", "<!doctype"),
        ("a.txt", "toy,"),
    ):
        file = tmp_path / name
        assert main(["compare", str(results), "--resamples", "200", "-o", str(file)]) == 0
        assert file.read_text(encoding="utf-8").startswith(start)
    assert capsys.readouterr().out == ""
    assert main(["compare", str(results), "--resamples", "200", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["dataset"] == "toy"


def test_compare_lists_queries(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(results), "--queries", "4"]) == 0
    out = capsys.readouterr().out
    assert "rank camp" in out
    assert "of 720 queries both ways" in out
    assert "longer those that camp-s0" in " ".join(out.split())


def test_compare_goes_on_without_bad_records_only_when_asked(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = write_run(results, model="scan")
    (bad / "record.json").write_text("[]", encoding="utf-8")
    assert main(["compare", str(results), "--resamples", "200"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "scan-s0" in captured.err
    assert main(["compare", str(results), "--resamples", "200", "--skip-bad"]) == 0
    captured = capsys.readouterr()
    assert "skipped: " in captured.err
    assert "scan" not in captured.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metrics", "i2t.R@2"], "--metrics"),
        (["--metrics", ","], "names nothing"),
        (["--k", "1,x"], "--k"),
        (["--k", "1,²"], "--k"),
        (["--format", "xml"], "--format"),
        (["--published"], "--published"),
        (["--reference", "nobody"], "--reference"),
        (["--seed", "-1"], "--seed"),
        (["--split", "dev"], "split 'dev'"),
        (["-o", "/nowhere/x.md"], "/nowhere/x.md"),
    ],
)
def test_slips_are_one_line(results: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", str(results), "--resamples", "200", *options]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert captured.out == ""


def test_published_lists_the_papers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["published", "--protocol", "f30k-1k"]) == 0
    out = capsys.readouterr().out
    assert "SGRAF ensemble of 2" in out
    assert "466.9" in out
    assert main(["published", "--format", "json", "-o", str(tmp_path / "p")]) == 0
    assert len(json.loads((tmp_path / "p").read_text(encoding="utf-8"))) == 37
    for form in ("markdown", "latex", "csv", "html"):
        assert main(["published", "--format", form]) == 0
        assert "CAMP" in capsys.readouterr().out
    assert main(["published", "--protocol", "f30k"]) == 2
    assert "did you mean 'f30k-1k'" in capsys.readouterr().err


def test_export_names_its_files(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results.parent)
    assert main(["export", str(results / "camp-s0"), "--format", "trec"]) == 0
    assert "wrote exports/camp-s0-trec/i2t.run.trec" in capsys.readouterr().out
    assert main(["export", str(results / "camp-s0")]) == 2
    assert "is there already" in capsys.readouterr().err


def test_reporting_loads_nothing_heavy() -> None:
    code = "import sys, camp_bench.comparison, camp_bench.report, camp_bench.report.exports; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"torch", "scipy", "pandas", "nltk"} & set(done.stdout.split())


def test_queries_name_the_records_that_they_go_without(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "bad").mkdir()
    (results / "bad" / "record.json").write_text("{}")
    assert main(["compare", str(results), "--queries", "3", "--skip-bad"]) == 0
    assert "skipped: " in (err := capsys.readouterr().err)
    assert "bad/record.json: schema version None" in err
