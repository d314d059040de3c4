"""`camp-bench run --until decided` as people meet it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from examples import TINY

from camp_bench.cli import main
from camp_bench.records import list_records, read_record


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the command sets for its own process out of the other tests."""
    for name in ("OMP_WAIT_POLICY", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("COLUMNS", "80")


def until(results: Path, *more: str) -> list[str]:
    """Return a command whose two models can hardly be told apart on the tiny dataset."""
    models = ["--models", "vsepp,vsepp:vse0", "--data", TINY, "--epochs", "1", "--device", "cpu"]
    return ["run", *models, "--results", str(results), "--until", "decided", *more]


def test_seeds_are_added_until_it_is_decided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(until(tmp_path, "--rope", "590", "--reference", "vsepp")) == 0
    err = capsys.readouterr().err
    assert "look 1 of 5 at most: 3 seeds a model" in err
    assert "decided after 3 seeds, within 590 points of rsum" in err
    records = [read_record(folder) for folder in list_records(tmp_path)]
    assert sorted(record.config.seed for record in records) == [0, 0, 1, 1, 2, 2]
    assert all(record.until is not None and record.until.max_seeds == 20 for record in records)
    assert main(["compare", str(tmp_path), "--full"]) == 0
    assert "5 looks at most" in " ".join(capsys.readouterr().out.split())


def test_what_stays_undecided_says_what_is_missing_and_the_same_command_repeats_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = until(tmp_path, "--rope", "0.001", "--max-seeds", "4", "--seeds", "7")
    assert main(command) == 0
    err = capsys.readouterr().err
    assert "look 2 of 2 at most: 4 seeds a model" in err
    assert "undecided after 4 seeds: " in err
    assert {read_record(folder).config.seed for folder in list_records(tmp_path)} == {7, 8, 9, 10}
    assert main(command) == 0
    assert len(list_records(tmp_path)) == 8
    assert "8 of 8 runs finished" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "expected --rope POINTS"),
        (["--rope", "0"], "rope"),
        (["--rope", "1", "--max-seeds", "2"], "max_seeds"),
        (["--rope", "1", "--seeds", "0,1"], "--seeds: got 0,1, expected one"),
        (["--rope", "1", "--reference", "vsep"], "did you mean"),
        (["--rope", "1", "--models", "vsepp"], "expected two or more"),
        (["--rope", "1", "--fresh"], "--fresh"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    assert main(until(tmp_path, *more)) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: ")
    assert told in line
    assert list_records(tmp_path) == []


def test_parts_of_it_are_refused_without_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--data", TINY, "--rope", "1", "--results", str(tmp_path)]) == 2
    assert "expected it with --until decided" in capsys.readouterr().err


def test_a_file_can_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*until(tmp_path, "--rope", "2.5"), "--dry-run"]) == 0
    text = capsys.readouterr().out
    assert "[until]\nrope = 2.5\nmax_seeds = 20" in text
    (tmp_path / "e.toml").write_text(text)
    assert main(["run", str(tmp_path / "e.toml"), "--dry-run"]) == 0
    assert capsys.readouterr().out == text
