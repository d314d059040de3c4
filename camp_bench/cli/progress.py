"""What `run` shows while it works: bars in a terminal, plain lines elsewhere. All of it goes to standard error."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress

from camp_bench.config import Settings, stage_settings
from camp_bench.evaluation.vitals import flat_parts
from camp_bench.records import EpochLog, RunRecord
from camp_bench.report import format_duration
from camp_bench.report.foreign_text import PlainColumn, PlainConsole
from camp_bench.runs.keep import Reporter
from camp_bench.runs.plan import RunPlan

__all__ = ["Pace", "make_reporter"]

QUIET_SECONDS = 30.0
"""A line log says something at least this often."""


class Pace:
    """How fast a run goes, and the time left of it: training steps and validations at their measured means."""

    def __init__(self, settings: Settings) -> None:
        stages = stage_settings(settings)
        self._epochs = self._of_one = sum(stage.epochs for stage in stages)
        self._validations = sum(stage.epochs // stage.validate_every for stage in stages)
        self._validations += stages[-1].epochs % stages[-1].validate_every > 0
        self._pairs, self._epoch_start = 0, time.perf_counter()
        self._train_seconds: list[float] = []
        self._dev_seconds: list[float] = []
        self._done = 0.0

    def step(self, epoch: int, epochs: int, step: int, steps: int, pairs: int) -> None:
        """Count one training step of `pairs` pairs."""
        self._epochs = epochs
        self._pairs += pairs
        self._done = epoch - 1 + step / steps

    def epoch(self, log: EpochLog) -> None:
        """Count a finished epoch; the next one starts now."""
        self._pairs, self._epoch_start = 0, time.perf_counter()
        self._train_seconds.append(log.train_seconds)
        if log.dev_seconds is not None:
            self._dev_seconds.append(log.dev_seconds)

    @property
    def pairs_per_second(self) -> float:
        """Positive pairs a second in the current epoch."""
        return self._pairs / max(time.perf_counter() - self._epoch_start, 1e-9)

    @property
    def seconds_left(self) -> float:
        """Seconds until the last validation, as far as one can tell; a validation not yet seen counts nothing."""
        epochs = self._epochs
        begun = self._done - len(self._train_seconds)
        if self._train_seconds:
            an_epoch = sum(self._train_seconds) / len(self._train_seconds)
        else:
            an_epoch = (time.perf_counter() - self._epoch_start) / max(begun, 1e-9)
        validations = self._validations * epochs // self._of_one - len(self._dev_seconds)
        a_validation = sum(self._dev_seconds) / max(len(self._dev_seconds), 1)
        return (epochs - self._done) * an_epoch + validations * a_validation


@contextmanager
def make_reporter() -> Iterator[Reporter]:
    """Yield the reporter that suits standard error; its display ends with the block."""
    console = PlainConsole(stderr=True)
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (
        PlainColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        PlainColumn("{task.fields[facts]}"),
    )
    with Progress(*columns, console=console, expand=True, transient=True) as progress:
        yield _Bars(console, progress)


class _Lines:
    """One line a stage, an epoch, and half a minute."""

    def __init__(self, console: PlainConsole) -> None:
        self._console = console
        self._name, self._last = "", time.perf_counter()
        self._pace: Pace | None = None

    def on_stage(self, text: str) -> None:
        self._say(text)

    def on_run(self, plan: RunPlan, number: int, total: int) -> None:
        self._name, self._pace = _name(plan), Pace(plan.settings)
        self._say(f"run {number} of {total}: {self._name} on {plan.config.data}, {plan.config.device}")

    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None:
        assert self._pace is not None  # on_run comes first
        self._pace.step(epoch, epochs, step, steps, pairs)
        if self._silent():
            self._say(f"{self._name}: epoch {epoch}, step {step} of {steps}, {_facts(loss, self._pace)}")

    def on_tile(self, split: str, done: int, total: int) -> None:
        if self._silent():
            of = f"{self._name}: " if self._name else ""
            self._say(f"{of}scoring {split}, tile {done:,} of {total:,}")

    def on_epoch(self, log: EpochLog, epochs: int) -> None:
        assert self._pace is not None  # on_run comes first
        self._pace.epoch(log)
        self._say(f"{self._name}: {_summary(log, epochs)}, {format_duration(self._pace.seconds_left)} left")
        for warning in _warnings(log):
            self._say(f"{self._name}: {warning}")

    def on_record(self, folder: Path, record: RunRecord) -> None:
        self._say(_outcome(self._name, folder, record))

    def _silent(self) -> bool:
        return time.perf_counter() - self._last > QUIET_SECONDS

    def _say(self, text: str) -> None:
        self._last = time.perf_counter()
        with suppress(OSError):  # a full disk or a reader that went away must not end a training
            self._console.print(text, soft_wrap=True)


class _Bars:
    """A bar for the steps of a run and one for scoring; what is done stays above them as lines."""

    def __init__(self, console: PlainConsole, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._name = ""
        self._pace: Pace | None = None
        self._steps = progress.add_task("", visible=False, facts="")
        self._tiles = progress.add_task("", visible=False, facts="")

    def on_stage(self, text: str) -> None:
        self._progress.reset(self._steps, total=None, description=text, visible=True, facts="")

    def on_run(self, plan: RunPlan, number: int, total: int) -> None:
        self._name, self._pace = _name(plan), Pace(plan.settings)
        label = f"{self._name} ({number}/{total})"
        self._progress.reset(self._steps, total=None, description=label, visible=True, facts="")

    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None:
        assert self._pace is not None  # on_run comes first
        self._pace.step(epoch, epochs, step, steps, pairs)
        done, total = (epoch - 1) * steps + step, epochs * steps
        self._progress.update(self._steps, completed=done, total=total, facts=_facts(loss, self._pace))

    def on_tile(self, split: str, done: int, total: int) -> None:
        description = f"scoring {split}"
        self._progress.update(self._tiles, description=description, completed=done, total=total, visible=done < total)

    def on_epoch(self, log: EpochLog, epochs: int) -> None:
        assert self._pace is not None  # on_run comes first
        self._pace.epoch(log)
        self._console.print(f"{self._name}: {_summary(log, epochs)}")
        for warning in _warnings(log):
            self._console.print(f"{self._name}: {warning}", style="yellow")

    def on_record(self, folder: Path, record: RunRecord) -> None:
        self._progress.update(self._steps, visible=False)
        self._console.print(_outcome(self._name, folder, record), soft_wrap=True)


def _name(plan: RunPlan) -> str:
    return f"{plan.model} seed {plan.config.seed}"


def _facts(loss: float, pace: Pace) -> str:
    return f"loss {loss:.3f}, {pace.pairs_per_second:,.0f} pairs/s, {format_duration(pace.seconds_left)} left"


def _summary(log: EpochLog, epochs: int) -> str:
    stage = f" ({log.stage})" if log.stage else ""
    words = [f"epoch {log.epoch}/{epochs}{stage}", f"loss {log.loss:.2f} ({log.negatives} negatives)"]
    if log.dev_rsum is not None:
        words.append(f"dev rsum {log.dev_rsum:.1f}")
    if log.train_rsum is not None:
        words.append(f"train rsum {log.train_rsum:.1f}")
    return ", ".join([*words, f"{log.train_seconds + (log.dev_seconds or 0):.1f} s"])


def _warnings(log: EpochLog) -> Iterator[str]:
    if log.collapsed:
        yield (
            f"collapsed: the loss {log.loss:.2f} is that of a model which scores every pair alike ({log.plateau:.2f}); "
            "train longer on all negatives (--warmup-epochs) or lower --learning-rate"
        )
    if log.epoch == 1 and (flat := flat_parts(log.vitals)):
        yield (
            f"flat {' and '.join(flat)}: nothing is told apart there; bring regions and words to the same length "
            "(even_rms = 0.3, similar_start = true), or raise the learning rate"
        )


def _outcome(name: str, folder: Path, record: RunRecord) -> str:
    assert record.training is not None  # it was trained here
    best = " and ".join(str(epoch) for epoch in record.training.best_epochs)
    rsum = record.evaluation("test").metrics["rsum"]
    return f"{name}: best epoch {best}, test rsum {rsum:.1f}, record in {folder}"
