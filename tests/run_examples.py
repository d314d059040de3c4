"""Small runs that several tests start from."""

from __future__ import annotations

from pathlib import Path

from examples import TINY

from camp_bench.config import Experiment
from camp_bench.records import EpochLog, RunRecord
from camp_bench.runs.experiment import run_experiment
from camp_bench.runs.plan import RunPlan

SMALL = {"epochs": 1, "dim": 8, "word_dim": 6, "batch_size": 16, "min_count": 1}


class Quiet:
    def on_stage(self, text: str) -> None: ...

    def on_run(self, plan: RunPlan, number: int, total: int) -> None: ...

    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None: ...

    def on_tile(self, split: str, done: int, total: int) -> None: ...

    def on_epoch(self, log: EpochLog, epochs: int) -> None: ...

    def on_record(self, folder: Path, record: RunRecord) -> None: ...


def train_one(results: Path, model: str) -> Path:
    experiment = Experiment(models=(model,), data=TINY, device="cpu", results=str(results), settings=SMALL)
    ((folder, _),) = run_experiment(experiment, Quiet())
    return folder
