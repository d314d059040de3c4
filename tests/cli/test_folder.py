"""What stopped runs leave: listed with how far it is, swept only where that is said, never from under a process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from examples import TINY
from faults import in_child

from camp_bench.cli import main
from camp_bench.records import claim, list_records
from camp_bench.runs import lesson

RUN = ["run", "--models", "vsepp", "--data", TINY, "--epochs", "4", "--threads", "1", "--save-every", "1"]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a finished run and one that was killed in its third epoch."""
    monkeypatch.setenv("OMP_WAIT_POLICY", os.environ.get("OMP_WAIT_POLICY", ""))
    threads = torch.get_num_threads()
    place = tmp_path / "r"
    assert main([*RUN, "--results", str(place)]) == 0
    steps = 0

    def act() -> int:
        nonlocal steps
        real = lesson.take_step

        def step(*given: object, **options: object) -> object:
            nonlocal steps
            steps += 1
            if steps == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **options)  # type: ignore[arg-type]

        lesson.take_step = step  # type: ignore[assignment]
        return main([*RUN, "--seeds", "7", "--results", str(place)])

    assert in_child(act) == -signal.SIGKILL
    yield place
    torch.set_num_threads(threads)


def test_list_says_what_is_there_and_how_far_it_is(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["results", "list", str(results)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{results}: 1 finished run(s)"
    assert "vsepp seed 7 on toy" in second
    assert "epoch 2 of 4" in second


def test_clean_asks_and_keeps_finished_runs(
    results: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (results / ".20260101-000000-x.partial").mkdir()
    finished = list_records(results)
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(["results", "clean", str(results)]) == 0
    assert "nothing was removed" in capsys.readouterr().out
    assert (results / ".work").exists()
    assert main(["results", "clean", str(results), "--yes"]) == 0
    assert capsys.readouterr().out.count("removed ") == 2
    assert [path for path in results.iterdir() if path.name.startswith(".")] == []
    assert list_records(results) == finished


def test_what_a_process_works_on_is_not_swept(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder,) = (path for path in (results / ".work").iterdir() if path.is_dir())
    with claim(results, folder.name) as mine:
        assert mine
        assert main(["results", "clean", str(results), "--yes"]) == 0
        assert "nothing to remove" in capsys.readouterr().out
        assert main(["results", "list", str(results)]) == 0
        assert "being worked on" in capsys.readouterr().out
    assert folder.exists()


def test_resume_is_said_to_go_on_alone(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--resume", "--results", str(results), "--epochs", "3"]) == 2
    assert "leave out epochs" in capsys.readouterr().err
    assert main(["run", "--resume", "--results", str(results)]) == 0
    assert len(list_records(results)) == 2
    assert main(["run", "--resume", "--results", str(results)]) == 2
    assert "nothing was begun" in capsys.readouterr().err


def test_folder_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("list", "clean"):
        assert main(["results", verb, str(tmp_path / "none")]) == 2
        assert "no such folder" in capsys.readouterr().err
