"""Runs that are killed and go on: the end is that of a run that nobody stopped, to the last bit."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from examples import TINY
from faults import in_child, start
from run_examples import Quiet

from camp_bench.config import Experiment
from camp_bench.records import RunRecord, list_records, read_arrays, read_record
from camp_bench.runs.experiment import resume_experiments, run_experiment
from camp_bench.runs.journal import list_journals

SMALL = {"epochs": 3, "warmup_epochs": 1, "dim": 8, "word_dim": 6, "batch_size": 16, "min_count": 1}  # 4 steps an epoch
STAGED = [
    {"name": "attention", "model": "camp:cross_attention_new", "settings": {"epochs": 1}},
    {"name": "all", "settings": {"epochs": 2}},
]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked here")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Killed(Quiet):
    """Ends its process at the n-th step of all, or the n-th tile of test."""

    def __init__(self, step: int = 0, tile: int = 0, number: int = signal.SIGKILL) -> None:
        self._step, self._tile, self._number = step, tile, number

    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None:
        self._step -= 1
        if self._step == 0:
            os.kill(os.getpid(), self._number)

    def on_tile(self, split: str, done: int, total: int) -> None:
        if split == "test" and self._tile:
            os.kill(os.getpid(), self._number)


class Told(Quiet):
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.steps: list[tuple[int, int]] = []

    def on_stage(self, text: str) -> None:
        self.stages.append(text)

    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None:
        self.steps.append((epoch, step))


def experiment(results: Path, model: str = "vsepp", **changes: Any) -> Experiment:
    own = {model: {"stages": STAGED}} if "fusion" in model else {}
    base = Experiment(models=(model,), data=TINY, device="cpu", results=str(results), settings=SMALL, threads=1)
    return msgspec.structs.replace(base, **{"model": own, **changes})


def stopped(asked: Experiment, reporter: Any, save_every: int) -> int:
    def act() -> int:
        list(run_experiment(asked, reporter, save_every=save_every))
        return 0

    return in_child(act)


def same(one: Path, other: Path) -> None:
    """Hold two results folders of one run each to the same figures, bit by bit."""
    ((first, a), (second, b)) = (
        (folder, read_record(folder)) for place in (one, other) for folder in list_records(place)
    )
    assert a.weights_sha256 == b.weights_sha256
    assert a.evaluations == b.evaluations
    assert a.training is not None
    assert b.training is not None
    assert a.training.best_epochs == b.training.best_epochs
    timeless = {"train_seconds": 0.0, "dev_seconds": 0.0}
    logs = [[msgspec.structs.replace(log, **timeless) for log in run.training.epochs] for run in (a, b)]
    assert logs[0] == logs[1]
    arrays, again = (read_arrays(home, record, "queries_test.npz") for home, record in ((first, a), (second, b)))
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


def only(results: Path) -> RunRecord:
    (folder,) = list_records(results)
    assert [path.name for path in results.iterdir()] == [folder.name], "something was left"
    return read_record(folder)


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        ("vsepp", SMALL),
        ("scan", SMALL | {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.1}),
        ("camp", SMALL | {"validate_every": 2}),
        ("scan:ensemble", SMALL),
        ("camp:gate_fusion_new", SMALL),
    ],
)
def test_killed_run_ends_as_one_that_nobody_stopped(tmp_path: Path, model: str, settings: dict[str, Any]) -> None:
    list(run_experiment(experiment(tmp_path / "whole", model, settings=settings), Quiet()))
    asked = experiment(tmp_path / "killed", model, settings=settings)
    rng = np.random.default_rng(len(model))
    kills = [Killed(step=int(rng.integers(1, 12))), Killed(step=int(rng.integers(1, 4))), Killed(tile=1)]
    for kill in kills:  # three in a row
        assert stopped(asked, kill, 1) == -signal.SIGKILL
    told = Told()
    list(run_experiment(asked, told))
    assert any(text.startswith("0 of 1 runs finished, 1 at epoch") for text in told.stages)
    assert told.steps == [], "all was trained; only the end was missing"
    same(tmp_path / "whole", tmp_path / "killed")
    left = [path.name for path in (tmp_path / "killed").iterdir()]
    assert len([name for name in left if not name.startswith(".")]) == 1


@pytest.mark.parametrize("step", [1, 4, 5, 7, 11])
@pytest.mark.parametrize("save_every", [0, 3])
def test_kill_at_any_step_repeats_little(tmp_path: Path, step: int, save_every: int) -> None:
    list(run_experiment(experiment(tmp_path / "whole"), Quiet()))
    asked = experiment(tmp_path / "killed")
    assert stopped(asked, Killed(step=step), save_every) == -signal.SIGKILL
    told = Told()
    list(run_experiment(asked, told))
    if save_every:
        assert len(told.steps) <= 12 - step + save_every + 1
    same(tmp_path / "whole", tmp_path / "killed")
    only(tmp_path / "killed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_what_a_kill_leaves(tmp_path: Path, number: int) -> None:
    from camp_bench.cli import main

    place = tmp_path / "r"
    words = ["--models", "vsepp", "--data", TINY, "--epochs", "2000", "--threads", "1", "--save-every", "20"]
    child = start(lambda: main(["run", *words, "--results", str(place)]))
    deadline = time.monotonic() + 60
    while not list(place.glob(".work/*/state")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(child, number)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + number
    (kept,) = list_journals(place)
    assert (kept.claimed, kept.epoch >= 1, kept.epochs) == (False, True, 2000)
    assert list_records(place) == []


def test_same_command_again_does_what_is_missing(tmp_path: Path) -> None:
    two = experiment(tmp_path, seeds=(0, 1))
    first = list(run_experiment(two, Quiet()))
    told = Told()
    again = list(run_experiment(experiment(tmp_path, seeds=(0, 1, 2)), told))
    assert [record.run_id for _, record in again[:2]] == [record.run_id for _, record in first]
    assert told.stages[-1] == "2 of 3 runs finished, 1 to do"
    assert len(told.steps) == 12
    assert len(list_records(tmp_path)) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"settings": SMALL | {"margin": 0.3}},
        {"data": TINY.replace("train=12", "train=13")},
        {"examples": 1},
        {"protocol": "full", "vocab_from": "train"},
    ],
)
def test_what_changes_figures_or_files_is_another_job(tmp_path: Path, changes: dict[str, Any]) -> None:
    list(run_experiment(experiment(tmp_path), Quiet()))
    list(run_experiment(experiment(tmp_path, **changes), Quiet()))
    assert len(list_records(tmp_path)) == 2


def test_fresh_runs_stand_beside_the_finished_ones(tmp_path: Path) -> None:
    list(run_experiment(experiment(tmp_path), Quiet()))
    ((_, record),) = run_experiment(experiment(tmp_path), Quiet(), fresh=True)
    assert len(list_records(tmp_path)) == 2
    ((_, newest),) = run_experiment(experiment(tmp_path), Quiet())
    assert newest.run_id == record.run_id


def test_resume_goes_on_with_what_was_begun_whatever_it_was(tmp_path: Path) -> None:
    list(run_experiment(experiment(tmp_path / "whole", settings=SMALL | {"epochs": 4}), Quiet()))
    place = tmp_path / "killed"
    list(run_experiment(experiment(place), Quiet()))
    assert stopped(experiment(place, settings=SMALL | {"epochs": 4}), Killed(step=9), 2) == -signal.SIGKILL
    ((folder, record),) = resume_experiments(place, Quiet())
    assert record.config.settings is not None
    assert record.config.settings.epochs == 4
    assert len(list_records(place)) == 2
    (whole,) = list_records(tmp_path / "whole")
    assert read_record(whole).weights_sha256 == read_record(folder).weights_sha256


def test_killed_fresh_run_is_resumed_as_what_it_was(tmp_path: Path) -> None:
    list(run_experiment(experiment(tmp_path), Quiet()))

    def act() -> int:
        list(run_experiment(experiment(tmp_path), Killed(step=7), fresh=True, save_every=2))
        return 0

    assert in_child(act) == -signal.SIGKILL
    assert len(list(run_experiment(experiment(tmp_path), Quiet()))) == 1
    assert len(list_records(tmp_path)) == 1, "there is one already"
    list(resume_experiments(tmp_path, Quiet()))
    assert len(list_records(tmp_path)) == 2
    assert list_journals(tmp_path) == []


def test_damaged_state_is_not_gone_on_from(tmp_path: Path) -> None:
    list(run_experiment(experiment(tmp_path / "whole"), Quiet()))
    assert stopped(experiment(tmp_path / "killed"), Killed(step=7), 2) == -signal.SIGKILL
    (file,) = (tmp_path / "killed").glob(".work/*/state")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    told = Told()
    list(run_experiment(experiment(tmp_path / "killed"), told))
    assert len(told.steps) == 12
    same(tmp_path / "whole", tmp_path / "killed")


def test_two_processes_do_each_job_once(tmp_path: Path) -> None:
    asked = experiment(tmp_path, seeds=(0, 1, 2, 3), settings=SMALL | {"epochs": 12})
    children = [start(lambda: len(list(run_experiment(asked, Quiet()))) - 4) for _ in range(2)]
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0, 0]
    seeds = sorted(read_record(folder).config.seed for folder in list_records(tmp_path))
    assert seeds == [0, 1, 2, 3]
    assert not (tmp_path / ".work").exists()


def test_job_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    asked = experiment(tmp_path, settings=SMALL | {"epochs": 2000})
    child = start(lambda: len(list(run_experiment(asked, Quiet(), save_every=1))))
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".work/*/state")) and time.monotonic() < deadline:
        time.sleep(0.02)
    (kept,) = list_journals(tmp_path)
    assert kept.claimed
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (kept,) = list_journals(tmp_path)
    assert not kept.claimed
