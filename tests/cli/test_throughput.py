"""`camp-bench throughput` as people call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from examples import TINY

from camp_bench.cli import main
from camp_bench.records.throughput import read_throughput
from camp_bench.throughput import products, sampling

SMALL = ("--images", "4", "--captions", "6", "--regions", "3", "--words", "4", "--dim", "8", "--turns", "2")


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "SAMPLE_SECONDS", 1e-4)
    monkeypatch.setitem(products.SIDE, "cpu", 64)
    monkeypatch.setenv("COLUMNS", "100")


def test_a_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", "--models", "vsepp,scan", *SMALL]) == 0
    text = capsys.readouterr().out
    assert text.startswith("fp32 on cpu")
    assert "scan:t2i-lse" in text
    assert "4 images x 6 captions, random; 3 regions, 4.2 words, D = 8" in text


def test_json_goes_to_a_file_and_reads_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.json"
    assert main(["throughput", "--models", "scan", *SMALL, "--threads", "1", "--format", "json", "-o", str(path)]) == 0
    report = read_throughput(path)
    assert report.environment.threads == 1
    assert report.model("scan:t2i-lse").workload.pairs == 24
    assert capsys.readouterr().out == ""


def test_json_on_the_terminal_is_nothing_but_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", "--models", "vsepp", *SMALL, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["models"][0]["model"] == "vsepp"


@pytest.mark.parametrize("output_format", ["table", "markdown"])
def test_text_goes_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], output_format: str) -> None:
    path = tmp_path / "t"
    assert main(["throughput", "--models", "vsepp", *SMALL, "--format", output_format, "-o", str(path)]) == 0
    assert "vsepp" in path.read_text()
    assert capsys.readouterr().out == ""


def test_a_dataset_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["throughput", "--models", "vsepp", "--data", TINY, "--images", "2", "--dim", "8", "--turns", "2"]
    assert main([*asked, "--scaling"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"2 images x 10 captions, {TINY}; 8 regions" in text
    assert "seconds ~ pairs^" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "scna"], "error: unknown model 'scna' (did you mean 'scan'?)"),
        (["--models", ","], "error: models: none given"),
        (["--images", "0"], "error: images: got 0, expected a whole number from 1"),
        (["--words", "nan"], "error: words: got nan"),
        (["--dim", "-3"], "error: dim: got -3"),
        (["--device", "cuda:9"], "error: device 'cuda:9' is not there"),
        (["--threads", "-1"], "error: threads: got -1"),
        (["--turns", "0"], "error: turns: got 0"),
        (
            ["--format", "jsno"],
            "error: --format: got 'jsno', expected one of table, markdown, latex, csv, json, html (did you",
        ),
        (["--data", "toy", "--words", "3"], "error: --words: --data says how many there are"),
        (["--data", "nowhere"], "error: nowhere: no such folder"),
        (["--data", TINY, "--images", "99"], "error: images: got 99, and the data has 5"),
        (["--images", "9999999", "--dim", "60000"], "lower --images"),
        (["-o", "/nowhere/t"], "error: /nowhere/t: can't be written"),
        (["-o", "/"], "error: /: can't be written"),
    ],
)
def test_what_can_be_mended_is_one_line_and_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["throughput", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_refusal_leaves_no_file_and_keeps_an_old_one(tmp_path: Path) -> None:
    assert main(["throughput", "--images", "0", "-o", str(tmp_path / "new")]) == 2
    (tmp_path / "old").write_text("old")
    assert main(["throughput", "--images", "0", "-o", str(tmp_path / "old")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"
