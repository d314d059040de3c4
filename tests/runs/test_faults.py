"""A fault at the n-th thing asked of the disk, for every n: no wrong figure, no lost run, and the same command ends.

A fault is a full disk, a broken one or a kill. A command that met one either says so in one line with exit code 2, or
went on without what it couldn't keep.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from examples import TINY
from faults import FAULTS, KILL, failing_disk, in_child

from camp_bench.cli import main
from camp_bench.errors import CampBenchError
from camp_bench.records import list_records, read_record

TRAIN = ["run", "--models", "vsepp", "--data", TINY, "--epochs", "2", "--threads", "1", "--save-every", "2"]
FEW = 7
"""Without `slow`, every so manieth fault is tried."""
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OMP_WAIT_POLICY",):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a finished run, scores of another system, and what the commands give where nothing fails."""
    place = tmp_path_factory.mktemp("whole")
    assert main([*TRAIN, "--results", str(place / "results")]) == 0
    np.save(place / "s.npy", np.random.default_rng(0).standard_normal((5, 25)).astype(np.float32))
    return place


def figures(results: Path) -> list[tuple[str, object]]:
    """Return what the runs that can be read say, sorted."""
    found = []
    for folder in list_records(results):
        record = read_record(folder)
        found.append((record.config.model, (record.weights_sha256, record.evaluations)))
    return sorted(found, key=repr)


def tried(step: int, command: list[str], fault: int, prepare: Callable[[], None], check: Callable[[], None]) -> int:
    """Let the command meet a fault at the 1st, the (1 + step)-th, ... thing it asks; return how many were tried."""
    number = 1
    while True:
        prepare()

        def act(number: int = number) -> int:
            with failing_disk(number, fault) as disk:
                code = main(command)
            return code if disk.failed else 77

        code = in_child(act)
        if code == 77:
            return number
        assert code == (-signal.SIGKILL if fault == KILL else code), f"fault {number}"
        assert fault == KILL or code in (0, 2), f"fault {number}: ended with {code}"
        check()
        assert main(command) == 0, f"after fault {number}"
        check()
        number += step


def steps() -> list[object]:
    return [
        pytest.param(FEW, id="some"),
        pytest.param(1, id="all", marks=(pytest.mark.slow, pytest.mark.timeout(3600))),
    ]


@pytest.mark.parametrize("step", steps())
@pytest.mark.parametrize("fault", FAULTS)
def test_training(whole: Path, tmp_path: Path, fault: int, step: int, capfd: pytest.CaptureFixture[str]) -> None:
    results, expected = tmp_path / "r", figures(whole / "results")

    def prepare() -> None:
        shutil.rmtree(results, ignore_errors=True)

    def check() -> None:
        assert figures(results) in ([], expected) if results.exists() else True

    last = tried(step, [*TRAIN, "--results", str(results)], fault, prepare, check)
    assert figures(results) == expected
    assert last > 30
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("step", steps())
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", ["evaluate", "add"])
def test_records_of_one_step(
    whole: Path, tmp_path: Path, verb: str, fault: int, step: int, capfd: pytest.CaptureFixture[str]
) -> None:
    (run,) = list_records(whole / "results")
    results = tmp_path / "r"
    command = {
        "evaluate": ["evaluate", str(run), "--device", "cpu", "--results", str(results)],
        "add": ["add", "--name", "mine", "--scores", str(whole / "s.npy"), "--data", TINY, "--results", str(results)],
    }[verb]
    assert main(command) == 0
    expected = figures(results)[0]

    def check() -> None:
        assert all(found == expected for found in figures(results))

    last = tried(step, command, fault, lambda: shutil.rmtree(results, ignore_errors=True), check)
    assert last > 8
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("fault", FAULTS)
def test_comparison_in_a_file(whole: Path, tmp_path: Path, fault: int, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "table.md"
    command = ["compare", str(whole / "results"), "-o", str(file)]
    assert main(command) == 0
    expected = file.read_bytes()

    def check() -> None:
        assert not file.exists() or file.read_bytes() == expected

    tried(1, command, fault, lambda: file.unlink(missing_ok=True), check)
    assert "Traceback" not in capfd.readouterr().err


def test_flipped_bytes_of_a_record_are_found(whole: Path, tmp_path: Path) -> None:
    (run,) = list_records(whole / "results")
    shutil.copytree(run, tmp_path / "run")
    file = tmp_path / "run" / "record.json"
    content, record = file.read_bytes(), read_record(run)
    rng = np.random.default_rng(0)
    for place in rng.integers(len(content), size=400).tolist():
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        file.write_bytes(changed)
        with suppress(CampBenchError):
            assert read_record(tmp_path / "run") == record, f"byte {place}"
