"""What a run shows while it works: lines where there is no terminal, bars where there is one, an honest time left."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from examples import SETTINGS, example_record

from camp_bench.cli import progress
from camp_bench.cli.progress import Pace, make_reporter
from camp_bench.config import Experiment, Stage
from camp_bench.records import EpochLog
from camp_bench.report.foreign_text import PlainConsole
from camp_bench.runs.keep import Reporter
from camp_bench.runs.plan import plan_runs


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def log(epoch: int, *, dev_seconds: float | None, collapsed: bool = False) -> EpochLog:
    return EpochLog(
        epoch=epoch,
        steps=5,
        loss=12.345,
        plateau=12.4,
        on_plateau=0.95 if collapsed else 0.5,
        negatives="hardest" if collapsed else "all",
        learning_rate=0.1,
        train_seconds=10.0,
        dev_seconds=dev_seconds,
        dev_rsum=None if dev_seconds is None else 77.7,
    )


def test_time_left_counts_the_epochs_and_the_validations_to_come(clock: Clock) -> None:
    pace = Pace(msgspec.structs.replace(SETTINGS, epochs=5, validate_every=2))
    for step in range(1, 6):
        clock.now += 2.0
        pace.step(1, 5, step, 5, 8)
    assert pace.pairs_per_second == pytest.approx(4.0)
    assert pace.seconds_left == pytest.approx(4 * 10.0)  # no validation has been seen yet
    pace.epoch(log(1, dev_seconds=None))
    for step in range(1, 6):
        pace.step(2, 5, step, 5, 8)
    pace.epoch(log(2, dev_seconds=3.0))
    assert pace.seconds_left == pytest.approx(3 * 10.0 + 2 * 3.0)  # epochs 4 and 5 are validated


def show(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, act: Any) -> str:
    stream = io.StringIO()
    console = PlainConsole(file=stream, force_terminal=terminal, width=100)
    monkeypatch.setattr(progress, "PlainConsole", lambda **_: console)
    with make_reporter() as reporter:
        act(reporter)
    return stream.getvalue()


def story(reporter: Reporter) -> None:
    (plan,) = plan_runs(Experiment(models=("vsepp",), device="cpu"))
    reporter.on_stage("reading toy")
    reporter.on_run(plan, 1, 1)
    reporter.on_step(1, 10, 1, 5, 1.5, 8)
    reporter.on_tile("dev", 1, 2)
    reporter.on_tile("dev", 2, 2)
    reporter.on_epoch(log(1, dev_seconds=2.0), 10)
    reporter.on_record(Path("results/x"), example_record())


def test_lines_tell_stage_run_epoch_and_record(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = show(monkeypatch, terminal=False, act=story).splitlines()
    assert lines[0] == "reading toy"
    assert lines[1] == "run 1 of 1: vsepp seed 0 on toy, cpu"
    assert lines[2].startswith("vsepp seed 0: epoch 1/10, loss 12.35 (all negatives), dev rsum 77.7, 12.0 s, ")
    assert lines[3] == "vsepp seed 0: best epoch 1, test rsum 60.0, record in results/x"
    assert len(lines) == 4


def test_lines_break_a_long_silence(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    def wait(reporter: Reporter) -> None:
        (plan,) = plan_runs(Experiment(models=("vsepp",), device="cpu"))
        reporter.on_run(plan, 1, 1)
        for step in range(1, 5):
            clock.now += 20.0
            reporter.on_step(1, 10, step, 100, 1.5, 8)
        clock.now += 31.0
        reporter.on_tile("test", 7, 9)

    lines = show(monkeypatch, terminal=False, act=wait).splitlines()
    assert [line.split(",")[1] for line in lines[1:3]] == [" step 2 of 100", " step 4 of 100"]
    assert lines[3] == "vsepp seed 0: scoring test, tile 7 of 9"


def test_terminal_keeps_epochs_as_lines_and_clears_its_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    text = show(monkeypatch, terminal=True, act=story)
    assert "epoch 1/10" in text
    assert "record in results/x" in text
    assert "\x1b[2K" in text  # the bars are wiped at the end


@pytest.mark.parametrize("terminal", [False, True])
def test_collapse_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    def collapse(reporter: Reporter) -> None:
        (plan,) = plan_runs(Experiment(models=("vsepp",), device="cpu"))
        reporter.on_run(plan, 1, 1)
        reporter.on_epoch(log(1, dev_seconds=2.0, collapsed=True), 10)

    text = " ".join(show(monkeypatch, terminal=terminal, act=collapse).split())
    assert "collapsed: the loss 12.35 is that of a model which scores every pair alike (12.40)" in text
    assert "--warmup-epochs" in text


def test_time_left_knows_which_stages_are_validated(clock: Clock) -> None:
    stages = (Stage(name="one", settings={"epochs": 1}), Stage(name="two", settings={"epochs": 3}))
    pace = Pace(msgspec.structs.replace(SETTINGS, validate_every=2, stages=stages))
    clock.now += 10.0
    pace.step(1, 4, 5, 5, 8)
    pace.epoch(log(1, dev_seconds=None))
    assert pace.seconds_left == pytest.approx(3 * 10.0)
    pace.step(3, 4, 5, 5, 8)
    pace.epoch(log(2, dev_seconds=None))
    pace.epoch(log(3, dev_seconds=6.0))
    assert pace.seconds_left == pytest.approx(10.0 + 6.0), "one more epoch, and the end of the last stage"


def test_lines_name_the_stage() -> None:
    assert "epoch 2/4, loss" in progress._summary(log(2, dev_seconds=None), 4)
    named = msgspec.structs.replace(log(2, dev_seconds=None), stage="fusion")
    assert "epoch 2/4 (fusion), loss" in progress._summary(named, 4)
