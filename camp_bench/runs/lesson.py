"""A model taught in one go: warm-up on all negatives, step decay, clipping, validation on dev, best weights kept."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import msgspec
import numpy as np
import torch
from torch import Tensor

from camp_bench.config import Settings
from camp_bench.data.batches import steps_per_epoch, training_batches
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.evaluation.evaluate import Asked, Evaluated, evaluate
from camp_bench.evaluation.vitals import vital_signs
from camp_bench.machine.timing import synchronize
from camp_bench.models.base import PairModel
from camp_bench.records import EpochLog
from camp_bench.runs.memory import Memory, State, evaluated_of, plain_evaluated
from camp_bench.runs.steps import Step, copy_weights, make_optimizer, take_step

__all__ = ["Learnt", "Lesson", "Observer", "Teaching", "teach", "validate"]

PLATEAU_BAND = 0.01
"""How near to that of a constant scorer, in parts of it, a step's loss counts as equal."""


@runtime_checkable
class Observer(Protocol):
    """Who wants to know how far a run is; every method is called from the training thread.

    epochs: how many there will be. loss: of one step, summed over its `pairs`. on_tile: a split is scored, `done` tiles
    of `total`.
    """

    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None: ...

    def on_tile(self, split: str, done: int, total: int) -> None: ...

    def on_epoch(self, log: EpochLog, epochs: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Teaching:
    """What all members are trained with. epochs: of all of them together. watched: training images to evaluate, too."""

    train: TokenizedSplit
    dev: TokenizedSplit
    watched: TokenizedSplit | None
    seed: int
    device: torch.device
    precision: str
    observer: Observer
    epochs: int
    memory: Memory


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a model is taught in one go. before: epochs of the run until then; `earlier`, those of the same member.

    final: its last epoch is validated whatever the settings say, so that it has a best one.
    """

    settings: Settings
    stage: str
    before: int
    earlier: int
    final: bool


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a lesson gave. best: number and evaluation of the best epoch, None where none was validated."""

    weights: dict[str, Tensor]
    best: tuple[int, Evaluated] | None
    steps: int
    pairs_seen: int
    logs: tuple[EpochLog, ...]


def teach(model: PairModel, job: Teaching, lesson: Lesson) -> Learnt:
    """Teach a lesson, or what is left of it; the model then holds the weights of the best epoch, or the last ones."""
    done = job.memory.learnt()
    if done is None:
        course = _Course(model, job, lesson)
        if (begun := job.memory.begun()) is not None:
            course.take(begun)
        course.run()
        done = course.state()
        done["weights"] = copy_weights(model) if course.best is None else course.best_weights
        for name in ("optimizer", "best_weights"):
            del done[name]
        job.memory.after_lesson(lesson.before + lesson.settings.epochs, done)
    model.load_state_dict(done["weights"])
    best = done["best"]
    steps = steps_per_epoch(job.train.split.n_captions, lesson.settings.batch_size) * lesson.settings.epochs
    logs = tuple(msgspec.convert(log, EpochLog) for log in done["logs"])
    found = None if best is None else (best[0], evaluated_of(best[1], job.dev.split))
    return Learnt(done["weights"], found, steps, done["pairs_seen"], logs)


def validate(model: PairModel, job: Teaching) -> Evaluated:
    """Evaluate a model on dev."""
    return evaluate(
        model, job.dev, Asked(device=job.device, on_tile=lambda done, total: job.observer.on_tile("dev", done, total))
    )


class _Epoch:
    """What an epoch has come to. steps: done so far; sums: of loss, plateau, steps on it, clamped, seconds."""

    def __init__(self) -> None:
        self.steps, self.sums, self.norms = 0, [0.0, 0.0, 0.0, 0.0, 0.0], list[float]()

    def add(self, step: Step) -> None:
        on_plateau = abs(step.loss - step.of_constant) <= PLATEAU_BAND * step.of_constant
        for place, value in enumerate((step.loss, step.of_constant, float(on_plateau), step.clamped)):
            self.sums[place] += value
        self.norms.append(step.gradient_norm)
        self.steps += 1


class _Course:
    """A lesson as it goes."""

    def __init__(self, model: PairModel, job: Teaching, lesson: Lesson) -> None:
        self._model, self._job, self._lesson = model, job, lesson
        self._optimizer = make_optimizer(model, lesson.settings)
        self._per_epoch = steps_per_epoch(job.train.split.n_captions, lesson.settings.batch_size)
        self._epochs_done, self._now, self._pairs_seen = 0, _Epoch(), 0
        self._logs: list[EpochLog] = []
        self.best: tuple[int, Evaluated] | None = None
        self.best_weights: dict[str, Tensor] = {}

    def state(self) -> State:
        """Return all that the rest of the lesson depends on; what it holds is this lesson's own, not a copy."""
        on_gpu = self._job.device.type == "cuda"
        return {
            "weights": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self._job.device) if on_gpu else None,
            "epochs_done": self._epochs_done,
            "steps": self._now.steps,
            "sums": list(self._now.sums),
            "norms": list(self._now.norms),
            "pairs_seen": self._pairs_seen,
            "logs": [msgspec.to_builtins(log) for log in self._logs],
            "best": None if self.best is None else [self.best[0], plain_evaluated(self.best[1])],
            "best_weights": self.best_weights,
        }

    def take(self, state: State) -> None:
        """Go on from a state."""
        self._model.load_state_dict(state["weights"])
        self._optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"], self._job.device)
        self._epochs_done, self._pairs_seen = state["epochs_done"], state["pairs_seen"]
        self._now.steps, self._now.sums, self._now.norms = state["steps"], state["sums"], state["norms"]
        self._logs = [msgspec.convert(log, EpochLog) for log in state["logs"]]
        best = state["best"]
        self.best = None if best is None else (best[0], evaluated_of(best[1], self._job.dev.split))
        self.best_weights = state["best_weights"]

    def run(self) -> None:
        """Do the epochs that are left."""
        for epoch in range(self._epochs_done + 1, self._lesson.settings.epochs + 1):
            number = self._lesson.before + epoch
            rate, hardest = self._train(epoch, number)
            dev, train_rsum = self._validate(epoch, number)
            self._logs.append(self._log(number, rate, dev, train_rsum, hardest=hardest))
            self._epochs_done, self._now = epoch, _Epoch()
            self._job.observer.on_epoch(self._logs[-1], self._job.epochs)
            if epoch < self._lesson.settings.epochs:
                self._job.memory.after_epoch(number, self.state)

    def _train(self, epoch: int, number: int) -> tuple[float, bool]:
        """Do the steps of an epoch that are left; return its learning rate and whether negatives are the hardest."""
        job, settings, now = self._job, self._lesson.settings, self._now
        rate = settings.learning_rate * 0.1 ** sum(epoch > after for after in settings.decay_epochs)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        hardest = epoch > settings.warmup_epochs and self._model.hardest_negatives
        rng = np.random.default_rng(np.random.SeedSequence([job.seed, self._lesson.earlier + epoch]))
        ids, size = job.train.token_ids, settings.batch_size
        self._model.train()
        begin, earlier = time.perf_counter(), now.sums[-1]
        for batch in training_batches(job.train.split, ids, size, rng, job.device, skip=now.steps):
            where = f"epoch {number}, step {now.steps + 1}"
            step = take_step(self._model, batch, self._optimizer, job.precision, hardest=hardest, where=where)
            now.add(step)
            self._pairs_seen += len(batch)
            now.sums[-1] = earlier + time.perf_counter() - begin  # a step has waited for its loss
            job.observer.on_step(number, job.epochs, now.steps, self._per_epoch, step.loss, len(batch))
            job.memory.after_step(now.steps, number, self.state)
        synchronize(job.device)
        return rate, hardest

    def _validate(self, epoch: int, number: int) -> tuple[Evaluated | None, float | None]:
        """Evaluate on dev where it is due, and on some of train; the best weights so far are kept."""
        settings, job = self._lesson.settings, self._job
        if epoch % settings.validate_every and not (epoch == settings.epochs and self._lesson.final):
            return None, None
        dev, train_rsum = validate(self._model, job), None
        if job.watched is not None:
            train_rsum = evaluate(self._model, job.watched, Asked(device=job.device)).metrics["rsum"]
        if self.best is None or dev.metrics["rsum"] > self.best[1].metrics["rsum"]:
            self.best, self.best_weights = (number, dev), copy_weights(self._model)
        return dev, train_rsum

    def _log(
        self, number: int, rate: float, dev: Evaluated | None, train_rsum: float | None, *, hardest: bool
    ) -> EpochLog:
        loss, plateau, stuck, clamped, seconds = self._now.sums
        vitals = vital_signs(self._model, self._job.train, self._job.device)
        if self._model.clamped is not None:
            vitals |= {"clamped": clamped / self._per_epoch}
        return EpochLog(
            epoch=number,
            steps=self._per_epoch,
            loss=loss / self._per_epoch,
            plateau=plateau / self._per_epoch,
            on_plateau=stuck / self._per_epoch,
            negatives="hardest" if hardest else "all",
            learning_rate=rate,
            train_seconds=seconds,
            dev_seconds=None if dev is None else dev.encode_seconds + dev.score_seconds,
            dev_rsum=None if dev is None else dev.metrics["rsum"],
            stage=self._lesson.stage,
            gradient_norm=float(np.median(self._now.norms)),
            train_rsum=train_rsum,
            vitals=vitals,
        )
