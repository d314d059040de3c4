"""Raw samples of how long jobs take: warmed up, in turns, each sample long enough to mean something."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from camp_bench.machine.timing import timed
from camp_bench.records import Measurement

__all__ = ["Job", "seconds", "take_turns", "time_once"]

Job = Callable[[], object]

SAMPLE_SECONDS = 0.2
"""A sample repeats its job until it lasts about so long: shorter ones measure the clock and the scheduler."""


def take_turns(
    jobs: Mapping[str, Job], turns: int, device: torch.device, on_stage: Callable[[str], None]
) -> dict[str, list[float]]:
    """Return `turns` samples of each job, in seconds a pass; every turn has one of each, in order.

    So a machine that slows down for a while slows all jobs of a turn. Each job runs twice before, untimed.
    """
    passes = {}
    for name, job in jobs.items():
        on_stage(f"warming up ({name})")
        job()
        passes[name] = max(1, round(SAMPLE_SECONDS / max(time_once(job, device), 1e-9)))
    samples: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(turns):
        on_stage(f"timing, turn {turn + 1} of {turns}")
        for name, job in jobs.items():
            samples[name].append(time_once(job, device, passes[name]))
    return samples


def time_once(job: Job, device: torch.device, passes: int = 1) -> float:
    """Return the seconds of one pass, of so many that are timed together."""
    with timed(device) as elapsed:
        for _ in range(passes):
            job()
    return elapsed.seconds / passes


def seconds(name: str, samples: list[float], items: int = 1) -> Measurement:
    """Return samples as a measurement, divided by the items that each of them is about."""
    if items == 1:
        return Measurement(name=name, unit="s", samples=tuple(samples))
    return Measurement(name=name, unit="s/item", samples=tuple(sample / items for sample in samples))
