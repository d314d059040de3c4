"""Workers side by side do what one process does: each job once, with the same figures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from examples import TINY
from run_examples import SMALL, Quiet

from camp_bench.config import Experiment
from camp_bench.errors import ConfigError, DataError
from camp_bench.records import list_records, read_record
from camp_bench.runs.engine import Workers
from camp_bench.runs.experiment import open_plan, run_experiment


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def experiment(results: Path, **changes: object) -> Experiment:
    base = {"models": ("vsepp",), "seeds": (0, 1, 2), "settings": SMALL, "threads": 1}
    return Experiment(data=TINY, device="cpu", results=str(results), **{**base, **changes})  # type: ignore[arg-type]


def test_workers_give_what_one_process_gives(tmp_path: Path) -> None:
    one = {r.config.seed: r for _, r in run_experiment(experiment(tmp_path / "one"), Quiet())}
    two = {r.config.seed: r for _, r in run_experiment(experiment(tmp_path / "two"), Quiet(), workers=2)}
    assert sorted(two) == [0, 1, 2]
    assert len(list_records(tmp_path / "two")) == 3
    for seed, record in two.items():
        assert record.weights_sha256 == one[seed].weights_sha256
        assert record.evaluations == one[seed].evaluations
        assert record.environment.threads == 1
    assert not (tmp_path / "two" / ".work").exists()


def test_a_worker_that_is_ended_leaves_no_lock(tmp_path: Path) -> None:
    """As one is that waits for a job of another when the last is done."""
    asked = experiment(tmp_path, seeds=(0,))
    engine = Workers(asked, 1, Quiet(), frozenset(), {})
    (job,) = open_plan(asked, Quiet()).jobs
    lock = tmp_path / ".work" / f"{job.name[:16]}.lock"
    lock.parent.mkdir()
    lock.touch()
    engine.sweep([job])
    assert list(tmp_path.iterdir()) == []


def test_fresh_runs_of_workers_are_done_once_each(tmp_path: Path) -> None:
    list(run_experiment(experiment(tmp_path, seeds=(0, 1)), Quiet()))
    again = list(run_experiment(experiment(tmp_path, seeds=(0, 1)), Quiet(), workers=2, fresh=True))
    assert len(again) == 2
    assert sorted(read_record(folder).config.seed for folder in list_records(tmp_path)) == [0, 0, 1, 1]


def test_error_of_a_worker_is_the_error_of_the_run(tmp_path: Path) -> None:
    asked = msgspec.structs.replace(experiment(tmp_path), data="toy:train=1,dev=2,test=2,regions=8,feature_size=16")
    with pytest.raises(DataError, match="training needs 2 images or more"):
        list(run_experiment(asked, Quiet(), workers=2))
    assert list_records(tmp_path) == []


def test_no_worker_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workers: got 0"):
        list(run_experiment(experiment(tmp_path), Quiet(), workers=0))
