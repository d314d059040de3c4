"""The command line as people meet it: output, exit codes, one line for whatever they can mend."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from examples import TINY

import camp_bench
from camp_bench.cli import main
from camp_bench.config import parse_experiment
from camp_bench.models.registry import variants
from camp_bench.records import list_records, read_record

FAST = ["--epochs", "1", "--device", "cpu"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the command sets for its own process out of the other tests."""
    for name in ("OMP_WAIT_POLICY", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("COLUMNS", "80")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line with which a command is refused."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    *progress, line = err.splitlines()
    assert line.startswith("error: ")
    assert not any(text.startswith(("error", "Traceback")) for text in progress)
    return line


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "Usage: camp-bench" in capsys.readouterr().out
    assert main([]) == 0
    assert "Usage: camp-bench" in capsys.readouterr().out
    assert main(["run", "--help"]) == 0
    assert "--models" in capsys.readouterr().out
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"camp-bench {camp_bench.__version__}\n"


def test_run_prints_a_table_and_where_the_records_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "--models", "vsepp,scan", "--data", TINY, *FAST, "--results", str(tmp_path)]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    records = [read_record(folder) for folder in list_records(tmp_path)]
    assert {record.config.model for record in records} == {"vsepp", "scan:t2i-lse"}
    assert len({record.evaluation("test").task_fingerprint for record in records}) == 1
    assert len({record.dataset.train_fingerprint for record in records}) == 1
    for record in records:
        assert record.run_id in out
        assert f"{record.evaluation('test').metrics['rsum']:.1f}" in out
    assert max(len(line) for line in out.splitlines() if str(tmp_path) not in line) <= 80
    assert "so far: " in out
    assert f"\n  camp-bench report {tmp_path} -o report.html\n" in out
    assert "epoch 1/1" in err


def test_experiment_file_runs_and_options_win_over_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        f'models = ["vsepp"]\ndata = "{TINY}"\n[settings]\nepochs = 3\ndim = 8\n[model.vsepp]\nepochs = 4\n'
    )
    assert main(["run", str(file), *FAST, "--results", str(tmp_path / "r")]) == 0
    (folder,) = list_records(tmp_path / "r")
    settings = read_record(folder).config.settings
    assert (settings.epochs, settings.dim) == (1, 8)


def test_dry_run_prints_an_experiment_that_resolves_to_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "--models", "scan,camp", "--seeds", "0-2", "--epochs", "2", "--results", str(tmp_path / "r")]
    assert main([*arguments, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    experiment = parse_experiment(printed.encode())
    assert experiment.seeds == (0, 1, 2)
    assert experiment.model["scan"]["epochs"] == experiment.model["camp"]["epochs"] == 2
    assert experiment.model["scan"]["lambda_attention"] == 9.0
    file = tmp_path / "again.toml"
    file.write_text(printed)
    assert main(["run", str(file), "--dry-run"]) == 0
    assert capsys.readouterr().out == printed
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--models", "scn"], "error: unknown model 'scn' (did you mean 'scan'?)"),
        (["run", "--models", ""], "error: models: none given"),
        (["run", "--seeds", "one"], "error: --seeds: got 'one'"),
        (["run", "--seeds=-1"], "error: --seeds: got '-1'"),
        (["run", "--epochs", "0"], "error: epochs: got 0, expected 1 or more"),
        (["run", "--epochs", "many"], "error: Invalid value for '--epochs'"),
        (["run", "--batch-size", "1"], "error: batch_size: got 1"),
        (["run", "--device", "cuda:99"], "error: device 'cuda:99' is not there"),
        (["run", "--precision", "fp16"], "error: precision: got 'fp16'"),
        (["run", "--preset", "slow"], "error: preset: got 'slow'"),
        (["run", "--vocab-from", "test"], "error: vocab_from: got 'test'"),
        (["run", "--data", "toy:trian=3"], "error: data 'toy:trian=3': no option 'trian' (did you mean 'train'?)"),
        (["run", "--data", "no/such/folder"], "error: no/such/folder: no such folder"),
        (["run", "missing.toml"], "error: missing.toml: can't be read"),
        (["run", "--modles", "camp"], "error: No such option: --modles"),
        (["rnu"], "error: No such command 'rnu'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *arguments)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_results_that_cannot_be_written_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert "can't be written" in refused(capsys, "run", "--data", TINY, "--results", str(tmp_path / "file"))


def write_folder(folder: Path) -> None:
    for split, images in (("train", 6), ("dev", 3), ("test", 3)):
        rng = np.random.default_rng(images)
        np.save(folder / f"{split}_ims.npy", rng.random((images, 2, 4), dtype=np.float32))
        (folder / f"{split}_caps.txt").write_text("".join(f"a dog number {i} runs\n" for i in range(5 * images)))


def test_folder_of_features_and_captions_runs(tmp_path: Path) -> None:
    write_folder(tmp_path)
    arguments = ["run", "--models", "vsepp", "--data", str(tmp_path), *FAST, "--results", str(tmp_path / "r")]
    assert main(arguments) == 0
    (folder,) = list_records(tmp_path / "r")
    assert read_record(folder).dataset.captions == {"train": 30, "dev": 15, "test": 15}


def test_nan_feature_is_one_line_and_leaves_no_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path)
    features = np.load(tmp_path / "train_ims.npy")
    features[4, 1, 2] = np.nan
    np.save(tmp_path / "train_ims.npy", features)
    line = refused(capsys, "run", "--data", str(tmp_path), "--results", str(tmp_path / "r"))
    assert "train_ims.npy" in line or "train" in line
    assert "nan" in line.lower()
    assert list_records(tmp_path / "r") == []


def test_missing_split_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path)
    (tmp_path / "dev_caps.txt").unlink()
    assert "dev" in refused(capsys, "run", "--data", str(tmp_path), "--results", str(tmp_path / "r"))


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_ctrl_c_keeps_finished_runs_and_says_so(tmp_path: Path) -> None:
    data = "toy:train=60,dev=8,test=8,regions=8,feature_size=16"
    command = [sys.executable, "-m", "camp_bench", "run", "--models", "vsepp,scan", "--data", data]
    started = subprocess.Popen(
        [*command, "--epochs", "150", "--results", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert started.stderr is not None
    for line in started.stderr:
        if line.startswith("scan seed 0: epoch 1/"):
            started.send_signal(signal.SIGINT)
            break
    out, err = started.communicate(timeout=60)
    assert started.returncode == 130
    assert err.splitlines()[-1] == "stopped: 1 run(s) finished; the same command goes on with the rest"
    (folder,) = list_records(tmp_path)
    assert folder.name in out
    assert read_record(folder).config.model == "vsepp"
    begun = {".work"}  # what scan has learnt so far, if it was quick enough to keep it
    assert {path.name for path in tmp_path.iterdir()} - begun == {folder.name}


def test_evaluate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "--models", "vsepp", "--data", TINY, *FAST, "--results", str(tmp_path)]
    assert main(arguments) == 0
    (folder,) = list_records(tmp_path)
    capsys.readouterr()
    assert main(["evaluate", str(folder), "--split", "dev", "--device", "cpu"]) == 0
    out, _ = capsys.readouterr()
    assert "toy, dev split, protocol full: 4 images, 20 captions" in out
    assert "of the words of dev are unknown" in out
    assert f"\n{tmp_path}{os.sep}" in out
    assert len(list_records(tmp_path)) == 2
    assert "protocol f30k-1k needs 1,000" in refused(capsys, "evaluate", str(folder), "--protocol", "f30k-1k")
    assert "can't be read" in refused(capsys, "evaluate", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path.parent)
    assert main(["evaluate", str(folder), "--device", "cpu"]) == 0
    assert f"\n{tmp_path.name}{os.sep}" in capsys.readouterr().out


@pytest.mark.parametrize(("columns", "widest"), [("60", 80), ("80", 80), ("100", 100)])
def test_models_are_listed_within_the_terminal(
    columns: str, widest: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["models"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= widest
    names = [line[: lines[0].index("cosine")].strip() for line in lines]
    assert "camp" in names
    assert "scan = scan:t2i-lse" in names
    assert [name.split(" = ")[-1] for name in names if name] == [variant.name for variant in variants()]


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_being_terminated_leaves_nothing_half_written(tmp_path: Path) -> None:
    data = "toy:train=60,dev=8,test=8,regions=8,feature_size=16"
    command = [sys.executable, "-m", "camp_bench", "run", "--models", "vsepp", "--data", data, "--epochs", "2000"]
    started = subprocess.Popen([*command, "--results", str(tmp_path)], stderr=subprocess.PIPE, text=True)
    assert started.stderr is not None
    for line in started.stderr:
        if line.startswith("vsepp seed 0: epoch 1/"):
            started.send_signal(signal.SIGTERM)
            break
    started.communicate(timeout=60)
    assert started.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_unprintable_letters_are_shown_as_escapes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\\x1b[31mX" in refused(capsys, "run", "--preset", "\x1b[31mX", "--results", str(tmp_path))
    assert "'r\\udcff'" in refused(capsys, "run", "--results", "r\udcff")


def test_narrow_terminals_get_the_whole_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    assert main(["run", "--models", "vsepp", "--data", TINY, *FAST, "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "…" not in out
    assert "MedR" in out
