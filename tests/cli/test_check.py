"""`baseline`, `check` and `power` as people and CI meet them; what can't be read never passes."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import numpy as np
import pytest
from examples import lock
from gate_examples import World, write_run, write_runs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camp_bench.cli import main

WORLD = World(images=60)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a baseline of five runs, runs that hold and runs that don't."""
    folder = tmp_path_factory.mktemp("gate")
    write_runs(folder / "old", WORLD, 5)
    write_runs(folder / "same", WORLD, 2, seed=20)
    write_runs(folder / "worse", WORLD, 2, seed=30, worse=1.0)
    write_runs(folder / "camp", WORLD, 1, seed=40, model="camp")
    assert main(["baseline", "save", str(folder / "old"), "-o", str(folder / "base.json")]) == 0
    return folder


@pytest.fixture(autouse=True)
def inside(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "80")
    capsys.readouterr()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    return line


def test_what_cannot_be_looked_into_never_passes(
    place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("same", "worse"):
        (tmp_path / name).symlink_to(place / name)
    assert main(["check", str(tmp_path), "--baseline", "base.json"]) == 1  # the linked ones are judged
    capsys.readouterr()
    lock(monkeypatch, tmp_path / "worse")
    told = "worse: can't be read (Permission denied), so runs may be missing"
    assert told in refused(capsys, "check", str(tmp_path), "--baseline", "base.json")
    assert told in refused(capsys, "baseline", "save", str(tmp_path), "-o", str(tmp_path / "new.json"))
    assert not (tmp_path / "new.json").exists()
    assert told in refused(capsys, "compare", str(tmp_path))


def test_baseline_is_saved_shown_and_listed(place: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "b" / "one.json"
    assert main(["baseline", "save", "old", "-o", str(file)]) == 0
    assert "vsepp on toy, test split, protocol full, 5 runs, rsum" in capsys.readouterr().out
    assert "--force to replace it" in refused(capsys, "baseline", "save", "old", "-o", str(file))
    assert main(["baseline", "save", "same", "-o", str(file), "--force"]) == 0
    capsys.readouterr()
    assert main(["baseline", "show", "base.json"]) == 0
    out = capsys.readouterr().out
    assert "spread between seeds: measured between the baseline's 5 seeds" in out
    assert out.count(" seed ") == 5
    assert main(["baseline", "list", str(file.parent)]) == 0
    assert "2 runs" in capsys.readouterr().out
    file.with_name("bad.json").write_text("{}")
    assert main(["baseline", "list", str(file.parent)]) == 2
    out, err = capsys.readouterr()
    assert "2 runs" in out
    assert "bad.json: schema version None" in err
    assert "expected a folder of baselines" in refused(capsys, "baseline", "list", str(tmp_path / "none"))
    assert "RUNS: none given" in refused(capsys, "baseline", "save", "-o", "x.json")


def test_exit_codes_of_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "same", "--baseline", "base.json"]) == 0
    out = capsys.readouterr().out
    assert "base: vsepp on toy, test split, protocol full" in out
    assert out.splitlines()[-1] == "unproven drop"  # by 2.9 points, with a standard error of 18
    assert main(["check", "worse", "--baseline", "base.json", "--metric", "rsum", "--metric", "i2t.R@5"]) == 1
    out = capsys.readouterr().out
    assert "Holm over 2 metrics" in out
    assert "regressed: rsum went from" in out
    assert max(map(len, out.split("2 runs against")[0].splitlines())) <= 80
    assert main(["check", "same", "--baseline", "base.json", "--floor", "rsum=599"]) == 1
    assert main(["check", "worse", "--baseline", "base.json", "--fail", "rsum:600"]) == 0
    assert main(["check", "worse", "--baseline", "base.json", "--fail", "rsum:600", "--strict"]) == 1
    assert main(["check", "old", "--baseline", "base.json", "--same-checkpoint"]) == 0


def test_all_outputs_of_a_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = {name: tmp_path / name for name in ("junit", "markdown", "json", "benchmark-json")}
    options = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    assert main(["check", "worse", "--baseline", "base.json", "--github", *options]) == 1
    assert capsys.readouterr().out.startswith("::error title=base%3A vsepp on toy")
    assert ET.parse(files["junit"]).find("testsuite/testcase/failure") is not None
    assert "regression" in files["markdown"].read_text()
    assert json.loads(files["json"].read_text())["exit_code"] == 1
    assert json.loads(files["benchmark-json"].read_text())[0]["unit"] == "points"
    assert main(["check", "worse", "--baseline", "none.json", "--github", *options]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("::error title=none%3A can't judge::none.json%3A can't be read".replace("json%3A", "json:"))
    assert err.startswith("error: none.json: can't be read")
    assert ET.parse(files["junit"]).find("testsuite/testcase/error") is not None
    assert json.loads(files["json"].read_text())["outcome"] == "can't judge"
    assert json.loads(files["benchmark-json"].read_text()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check", "none", "--baseline", "base.json"], "none: no such folder"),
        (["check", "camp", "--baseline", "base.json"], "no run of vsepp under protocol full"),
        (["check", "--baseline", "base.json"], "RUNS: none given"),
        (["check", "same"], "Missing option '--baseline'"),
        (["check", "same", "--baseline", "base.json", "--metric", "rsun"], "did you mean 'rsum'?"),
        (["check", "same", "--baseline", "base.json", "--tolerance", "-1"], "--tolerance: got -1.0"),
        (["check", "same", "--baseline", "base.json", "--same-checkpoint"], "weights are not among the baseline's"),
        (["check", "same", "old", "--baseline", "same"], "same: can't be read"),
        (["check", "same", "--baseline", "base.json", "--throughput"], "holds no speed; save it with"),
        (["check", "same", "--baseline", "base.json", "--report", "base.json"], "base.json: "),
        (["power", "--baseline", "base.json", "--drop", "0"], "--drop: got 0.0"),
        (["power", "--baseline", "none.json"], "none.json: can't be read"),
        (["baseline", "show", "none.json"], "none.json: can't be read"),
        (["baseline", "save", "camp", "old", "-o", "x.json"], "name runs that belong together"),
    ],
)
def test_what_cannot_be_judged_is_one_line_and_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, *arguments)


def test_runs_on_other_data_or_with_wrong_figures_are_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays = WORLD.run(np.random.default_rng(0))
    for number, evaluation in enumerate(
        ({"task_fingerprint": "x"}, {"features_fingerprint": "x"}, {"metrics": {"rsum": 1.0}}, {"images": 59})
    ):
        run = write_run(tmp_path / str(number), arrays, evaluation=evaluation)
        assert main(["check", str(run), "--baseline", "base.json"]) == 2
        assert capsys.readouterr().err.startswith("error: ")
    run = write_run(tmp_path / "cut", arrays)
    (run / "queries_test.npz").write_bytes(b"PK")
    assert "checksum differs" in refused(capsys, "check", str(run), "--baseline", "base.json")
    run = write_run(tmp_path / "nan", arrays)
    record = (run / "record.json").read_text()
    (run / "record.json").write_text(record.replace('"rsum": ', '"rsum": NaN, "old": '))
    assert "not a run record" in refused(capsys, "check", str(run), "--baseline", "base.json")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_baselines_never_pass(place: Path, data: st.DataObject, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut, changed, empty, of a future version, or another model's: exit code 2 and one line, whatever was damaged."""
    content = (place / "base.json").read_bytes()
    at = data.draw(st.integers(0, len(content) - 2))
    kind = data.draw(st.sampled_from(["cut", "change", "empty", "future", "noise"]))
    letter = data.draw(st.sampled_from(b"abcXYZ0123456789"))
    damaged = {
        "cut": content[:at],
        "change": content[:at] + bytes([letter]) + content[at + 1 :],
        "empty": b"",
        "future": content.replace(b'"schema_version": 1', b'"schema_version": %d' % data.draw(st.integers(2, 10**9))),
        "noise": data.draw(st.binary(max_size=200)),
    }[kind]
    (place / "damaged.json").write_bytes(damaged)
    unchanged = kind == "change" and _content(damaged) == _content(content)  # a blank between two values
    assert main(["check", "same", "--baseline", "damaged.json"]) == (0 if unchanged else 2)
    out, err = capsys.readouterr()
    if not unchanged:
        assert out == ""
        assert len(err.splitlines()) == 1
        assert err.startswith("error: damaged.json: ")


def _content(text: bytes) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def test_power_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["power", "--baseline", "base.json", "--drop", "40", "--runs", "2", "--metric", "rsum"]
    assert main([*arguments, "--metric", "t2i.R@1"]) == 0
    out = capsys.readouterr().out
    assert "2 new runs against 5 of the baseline, alpha 0.05 over 2 metrics" in out
    assert "drop of 40 caught" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 80


def test_names_that_are_commands_stay_names(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = tmp_path / "x\n::error::pwned|<b>.json"
    evil.write_bytes((place / "base.json").read_bytes())
    summary = tmp_path / "summary.md"
    assert main(["check", "same", "--baseline", str(evil), "--markdown", str(summary)]) == 0
    assert not any(line.startswith("::") for line in capsys.readouterr().out.splitlines())
    assert summary.read_text().splitlines()[0].startswith(r"## x \:\:error\::pwned\|&lt;b&gt;")
