"""Seconds, from idle device to idle device."""

from __future__ import annotations

import time

import pytest
import torch

from camp_bench.machine.timing import Elapsed, synchronize, timed

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda", 1), torch.device("mps")


class Clock:
    """Stands in for the clock and the devices, and writes down who was called in which order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.now = 100.0
        clock = self

        class Event:
            def __init__(self, *, enable_timing: bool) -> None:
                assert enable_timing
                self.at = 0.0

            def record(self, stream: object) -> None:
                clock.calls.append(f"record on {stream}")
                self.at = clock.now

            def elapsed_time(self, end: Event) -> float:
                clock.calls.append("elapsed")
                return 1000 * (end.at - self.at)  # milliseconds

        def perf_counter() -> float:
            self.calls.append("clock")
            return self.now

        monkeypatch.setattr(time, "perf_counter", perf_counter)
        monkeypatch.setattr(torch.cuda, "Event", Event)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
        monkeypatch.setattr(torch.cuda, "synchronize", lambda device: self.calls.append(f"wait for {device}"))
        monkeypatch.setattr(torch.mps, "synchronize", lambda: self.calls.append("wait for mps"))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_on_a_cpu_the_clock_is_read_around_the_block(clock: Clock) -> None:
    with timed(CPU) as elapsed:
        assert elapsed == Elapsed(0.0), "nothing is known before the end"
        clock.now += 2.5
    assert elapsed.seconds == 2.5
    assert clock.calls == ["clock", "clock"]


def test_on_a_gpu_events_on_its_own_stream_are_timed_in_seconds(clock: Clock) -> None:
    with timed(CUDA) as elapsed:
        clock.calls.append("work")
        clock.now += 2.5
    assert elapsed.seconds == 2.5
    stream = "record on stream of cuda:1"
    assert clock.calls == ["wait for cuda:1", stream, "work", stream, "wait for cuda:1", "elapsed"]


def test_on_mps_queued_work_is_waited_for_before_and_after(clock: Clock) -> None:
    with timed(MPS) as elapsed:
        clock.calls.append("work")
        clock.now += 0.5
    assert elapsed.seconds == 0.5
    assert clock.calls == ["wait for mps", "clock", "work", "wait for mps", "clock"]


def test_there_is_nothing_to_wait_for_on_a_cpu(clock: Clock) -> None:
    synchronize(CPU)
    assert clock.calls == []


@pytest.mark.parametrize("device", [CPU, CUDA, MPS])
def test_errors_inside_pass_through(clock: Clock, device: torch.device) -> None:
    with pytest.raises(KeyError, match="inside"), timed(device):
        raise KeyError("inside")


def test_real_seconds() -> None:
    with timed(CPU) as elapsed:
        time.sleep(0.05)
    assert 0.05 <= elapsed.seconds < 30
