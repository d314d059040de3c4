"""From an experiment to its records: every model and seed under the same splits, each a job that is done once.

Whatever can be refused is refused before the first step: names, settings, the device, the data with its every
feature, and a results folder that can't be written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from camp_bench.config import Experiment, user_path
from camp_bench.config.checks import require
from camp_bench.errors import ConfigError, OutputError
from camp_bench.records import RunRecord, require_writable
from camp_bench.runs.engine import Engine, InProcess, Workers
from camp_bench.runs.jobs import FinishedJobs, job_of
from camp_bench.runs.journal import Journal, list_journals
from camp_bench.runs.keep import Reporter
from camp_bench.runs.material import Material, open_material
from camp_bench.runs.plan import plan_runs
from camp_bench.runs.train_run import TrainJob

__all__ = ["OpenPlan", "open_plan", "resume_experiments", "run_experiment"]

MAX_WORKERS = 1024


@dataclass(frozen=True, slots=True)
class OpenPlan:
    """The jobs of an experiment, with all that they need. places: of each job, from 1 on."""

    material: Material
    jobs: tuple[TrainJob, ...]
    finished: FinishedJobs

    @property
    def places(self) -> dict[str, int]:
        return {job.name: place for place, job in enumerate(self.jobs, start=1)}


def open_plan(
    experiment: Experiment, reporter: Reporter, command: Sequence[str] = (), *, ignored: frozenset[str] = frozenset()
) -> OpenPlan:
    """Read all that an experiment needs and name its jobs. ignored: ids of runs that count for no job."""
    plans = plan_runs(experiment)
    results = user_path(experiment.results)
    require_writable(results)
    if experiment.threads:
        torch.set_num_threads(experiment.threads)
    material = open_material(experiment, plans, reporter)
    jobs = tuple(
        TrainJob(
            plan, job_of(plan, experiment, material.fingerprints, material.checksums(plan)), results, tuple(command)
        )
        for plan in plans
    )
    return OpenPlan(material, jobs, FinishedJobs(results, ignored))


def run_experiment(
    experiment: Experiment,
    reporter: Reporter,
    command: Sequence[str] = (),
    *,
    fresh: bool = False,
    workers: int = 1,
    save_every: int = 0,
    ignored: frozenset[str] = frozenset(),
) -> Iterator[tuple[Path, RunRecord]]:
    """Do the runs of an experiment that are missing; yields the folder and record of each once it is on disk.

    Runs of the same job that are finished below `results` are yielded first; one that was begun goes on where it was
    left. command: the words that started it, for the record. fresh: do all of them anew, beside those that are there.
    workers: processes side by side. save_every: steps between two states within an epoch, 0 for none. ignored: ids of
    runs that count for no job. Raises CampBenchError; what was yielded before stays.
    """
    require("workers", workers, f"1 to {MAX_WORKERS}", 1 <= workers <= MAX_WORKERS)
    require("save_every", save_every, "0 or more", save_every >= 0)
    plan = open_plan(experiment, reporter, command, ignored=ignored)
    if fresh:
        plan = _forgotten(plan)
    _say_what_is_left(plan, reporter)
    missing = []
    for job in plan.jobs:
        if (run := plan.finished.look(job.name)) is None:
            missing.append(job)
        else:
            _sweep(job, run[1])
            yield run
    engine: Engine
    if workers > 1:
        hidden = plan.finished.ignored
        engine = Workers(experiment, workers, reporter, hidden, plan.places, tuple(command), save_every)
    else:
        engine = InProcess(plan.material, reporter, plan.finished, plan.places, save_every)
    for _, run in engine.run(missing):
        yield run


def resume_experiments(
    results: Path, reporter: Reporter, *, workers: int = 1, save_every: int = 0
) -> Iterator[tuple[Path, RunRecord]]:
    """Go on with every job that was begun below `results`, as its journal says; raises as `run_experiment`.

    Raises ConfigError where there is none.
    """
    try:
        begun = [kept.entry for kept in list_journals(results) if kept.entry is not None]
    except OSError as error:
        raise OutputError(f"{results}: can't be read ({error.strerror})") from None
    if not begun:
        raise ConfigError(f"--resume: nothing was begun in {results}; expected a folder in which a run was stopped")
    for entry in begun:
        experiment = msgspec.structs.replace(entry.experiment, results=str(results))
        yield from run_experiment(
            experiment,
            reporter,
            entry.command,
            workers=workers,
            save_every=save_every,
            ignored=frozenset(entry.ignored),
        )


def _forgotten(plan: OpenPlan) -> OpenPlan:
    """Return the plan with nothing finished or begun."""
    for job in plan.jobs:
        journal = _journal(job)
        with journal.claimed() as mine:
            if mine:
                journal.remove()
    names = {job.name for job in plan.jobs}
    ids = frozenset(record.run_id for name in names for _, record in plan.finished.all(name))
    return OpenPlan(plan.material, plan.jobs, FinishedJobs(plan.jobs[0].results, plan.finished.ignored | ids))


def _sweep(job: TrainJob, record: RunRecord) -> None:
    """Remove what a process that ended between its record and its sweeping has left."""
    journal = _journal(job)
    if (entry := journal.entry()) is not None and record.run_id not in entry.ignored:
        with journal.claimed() as mine:
            if mine:
                journal.remove()


def _say_what_is_left(plan: OpenPlan, reporter: Reporter) -> None:
    """Say how much of the plan is there already, where anything is."""
    finished = [job for job in plan.jobs if plan.finished.look(job.name) is not None]
    places = [_journal(job).place() for job in plan.jobs if job not in finished]
    begun = [place for place in places if place is not None]
    if not finished and not begun:
        return
    words = [f"{len(finished)} of {len(plan.jobs)} runs finished"]
    words += [f"1 at epoch {epoch} of {epochs}" for epoch, epochs in begun]
    if left := len(places) - len(begun):
        words.append(f"{left} to do")
    reporter.on_stage(", ".join(words))


def _journal(job: TrainJob) -> Journal:
    return Journal(job.results, job.name, torch.device(job.plan.config.device))
