"""`report`, `plot`, `show`, `list` and `compare --diff` as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from comparison_examples import write_run
from examples import TINY

from camp_bench.cli import main


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "results"
    for model, level in (("camp", 1.0), ("scan:t2i-lse", 1.5)):
        write_run(folder, model=model, level=level, images=30, dataset={"source": TINY})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return folder


def test_a_page_is_written_and_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(results), "-o", "page.html"]) == 0
    assert "wrote page.html" in capsys.readouterr().err
    text = Path("page.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "camp leads (rsum" in text
    assert "seed x image" in text


@pytest.mark.parametrize(
    "command", [["report", "-o", "p.html"], ["plot", "-o", "p.svg"], ["compare", "--diff"]], ids=lambda words: words[0]
)
def test_what_is_skipped_is_named(results: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    bad = write_run(results, model="vsepp", images=30)
    (bad / "record.json").write_text("[]", encoding="utf-8")
    assert main([*command, str(results)]) == 2
    assert "pass --skip-bad" in capsys.readouterr().err
    assert main([*command, str(results), "--skip-bad"]) == 0
    assert "results/vsepp-s0/record.json: not a run record" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["pdf", "svg", "png"])
def test_figures_are_files(results: Path, suffix: str) -> None:
    start = {"pdf": b"%PDF", "svg": b"<?xml", "png": b"\x89PNG"}[suffix]
    for name in ("one", "two"):
        assert main(["plot", str(results), "--kind", "forest", "-o", f"{name}.{suffix}"]) == 0
    assert Path(f"one.{suffix}").read_bytes().startswith(start)
    assert Path(f"one.{suffix}").read_bytes() == Path(f"two.{suffix}").read_bytes()


def test_runs_are_listed_and_shown(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "results", "--format", "json"]) == 0
    assert [one["record"]["config"]["model"] for one in json.loads(capsys.readouterr().out)] == ["camp", "scan:t2i-lse"]
    assert main(["list", "--model", "scan", "--data", "toy", "--since", "2026-01-01"]) == 0
    out = capsys.readouterr().out
    assert "scan:t2i" in out
    assert "camp" not in out
    assert main(["show", "results/camp-s0"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("camp seed 0 on toy: results/camp-s0\n")
    assert "\ncamp-bench run\n" in out


def test_settings_that_differ_are_a_line_a_key(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(results, model="vsepp", images=30, config={"precision": "bf16"})
    assert main(["compare", "--diff", "--format", "csv"]) == 0
    assert capsys.readouterr().out == "setting,camp,vsepp,scan:t2i-lse\nprecision,fp32,bf16,fp32\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plot", "--kind", "forst", "-o", "a.pdf"], "did you mean 'forest'"),
        (["plot", "-o", "a.gif"], "expected .pdf, .svg, .png"),
        (["plot", "--kind", "seeds", "-o", "a.pdf"], "it takes two seeds or more"),
        (["plot", "--kind", "gates", "-o", "a.pdf"], "--examples N"),
        (["list", "--since", "yesterday"], "expected a day such as 2026-01-31"),
        (["list", "--model", "vsepp"], "no run is left"),
        (["show", "nowhere"], "nowhere"),
        (["report", "results", "-o", "/nowhere/x.html"], "/nowhere/x.html"),
    ],
)
def test_slips_are_one_line(
    results: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
