"""Who does the jobs of a plan: this process, or several side by side. An engine is one class: jobs in, records out.

Every process claims a job before it begins, and one that is claimed is left for last: so several engines can work on
one results folder, and what a process that ended has left is done by whoever comes to it.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec
import torch

from camp_bench.config import Experiment
from camp_bench.errors import CampBenchError, OutputError
from camp_bench.machine.process import prepare_process
from camp_bench.records import EpochLog, RunRecord, read_record
from camp_bench.runs.jobs import FinishedJobs
from camp_bench.runs.journal import Entry, Journal
from camp_bench.runs.keep import Reporter
from camp_bench.runs.material import Material
from camp_bench.runs.memory import Memory, State
from camp_bench.runs.plan import RunPlan, resolved_experiment
from camp_bench.runs.train_run import TrainJob, train_run

__all__ = ["Engine", "InProcess", "Workers"]

CPU = torch.device("cpu")
POLL_SECONDS = 0.2

Run = tuple[Path, RunRecord]


@runtime_checkable
class Engine(Protocol):
    """Does jobs."""

    def run(self, jobs: Sequence[TrainJob]) -> Iterator[tuple[TrainJob, Run]]:
        """Yield each job with its run once that is on disk; raises CampBenchError, what was yielded before stays."""


@dataclass(frozen=True, slots=True)
class InProcess:
    """One job after the other, here. finished: what is there already, looked at again before each job.

    places: of each job in the whole plan. total: of the plan. save_every: steps between two states within an epoch.
    """

    material: Material
    reporter: Reporter
    finished: FinishedJobs
    places: dict[str, int]
    save_every: int = 0
    warned: list[str] = field(default_factory=list)

    def run(self, jobs: Sequence[TrainJob]) -> Iterator[tuple[TrainJob, Run]]:
        """Do the jobs that are free, then wait for those that other processes have."""
        elsewhere: list[TrainJob] = []
        for job in jobs:
            run = self._do(job, wait=False)
            if run is None:
                elsewhere.append(job)
            else:
                yield job, run
        if elsewhere:
            self.reporter.on_stage(f"waiting for {len(elsewhere)} run(s) that other processes do")
        for job in elsewhere:
            run = self._do(job, wait=True)
            assert run is not None  # it waited
            yield job, run

    def _do(self, job: TrainJob, *, wait: bool) -> Run | None:
        """Return the run of a job, done here unless it is there already; None where another process has it."""
        journal = Journal(job.results, job.name, torch.device(job.plan.config.device))
        try:
            with journal.claimed(wait=wait) as mine:
                if not mine:
                    return None
                run = self.finished.look(job.name)
                if run is None:
                    self.reporter.on_run(job.plan, self.places[job.name], len(self.places))
                    run = train_run(job, self.material, self._memory(job, journal), self.reporter)
                    self.reporter.on_record(*run)
                journal.remove()
                return run
        except OSError as error:
            if isinstance(error, CampBenchError):
                raise
            raise OutputError(f"{job.results}: can't be written ({error.strerror or error})") from None

    def _memory(self, job: TrainJob, journal: Journal) -> Memory:
        """Return what an earlier process has kept of a job, and keeps what this one does."""
        where, state = journal.place(), journal.load()
        if state is not None and where is not None:
            self.reporter.on_stage(f"goes on at epoch {where[0]} of {where[1]}")
        config = job.plan.config
        asked = resolved_experiment(self.material.asked)
        single = msgspec.structs.replace(
            asked,
            models=(job.plan.model,),
            seeds=(config.seed,),
            model={job.plan.model: asked.model[job.plan.model]},
        )
        entry = Entry(
            job=job.name,
            model=config.model,
            seed=config.seed,
            data=config.data,
            command=job.command,
            experiment=single,
            ignored=tuple(sorted(self.finished.ignored)),
        )
        return Memory(partial(self._save, journal, entry), state, self.save_every)

    def _save(self, journal: Journal, entry: Entry, state: State, epoch: int, epochs: int) -> None:
        """Keep a state; a full disk doesn't end a training, it only can't go on after a kill."""
        try:
            journal.save(entry, state, epoch, epochs)
        except OSError as error:
            if not self.warned:
                self.warned.append(str(error))
                self.reporter.on_stage(f"warning: the state can't be saved ({error.strerror}); the run goes on without")


@dataclass(frozen=True, slots=True)
class Workers:
    """Several processes on this machine, which share its threads, and its GPUs, one each where there are several."""

    experiment: Experiment
    count: int
    reporter: Reporter
    ignored: frozenset[str]
    places: dict[str, int]
    command: tuple[str, ...] = ()
    save_every: int = 0

    def run(self, jobs: Sequence[TrainJob]) -> Iterator[tuple[TrainJob, Run]]:
        """Yield jobs as they are done; a worker that ends too early leaves its job to the others."""
        if not jobs:
            return
        context = multiprocessing.get_context("spawn")
        told: Any = context.Queue()
        threads = max(1, (self.experiment.threads or torch.get_num_threads()) // self.count)
        options = msgspec.structs.replace(self.experiment, threads=threads)
        workers = []
        for number in range(min(self.count, len(jobs))):
            turn = tuple(job.name for job in (*jobs[number:], *jobs[:number]))
            given = (options, turn, self.ignored, self.command, self.save_every, told)
            worker = context.Process(target=_work, args=given, daemon=True)
            with _own_gpu(number):
                worker.start()
            workers.append(worker)
        open_jobs = {job.name: job for job in jobs}
        try:
            while open_jobs:
                for name, run in self._hear(told, workers):
                    if (job := open_jobs.pop(name, None)) is not None:
                        self.reporter.on_run(job.plan, self.places[name], len(self.places))
                        self.reporter.on_record(*run)
                        yield job, run
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.join()
            self.sweep(jobs)

    @staticmethod
    def sweep(jobs: Sequence[TrainJob]) -> None:
        """Remove the locks that workers held when they were ended."""
        for job in jobs:
            with suppress(OSError), Journal(job.results, job.name, CPU).claimed():
                pass

    def _hear(self, told: Any, workers: Sequence[Any]) -> list[tuple[str, Run]]:
        """Return the next run that a worker tells of; raises what one of them has raised."""
        try:
            kind, content = told.get(timeout=POLL_SECONDS)
        except queue.Empty:
            if any(worker.is_alive() for worker in workers):
                return []
            raise OutputError(
                f"workers: all ended before their jobs, with {', '.join(str(worker.exitcode) for worker in workers)}; "
                "the same command goes on from what they have kept"
            ) from None
        if kind == "error":
            raise content
        if kind == "text":
            self.reporter.on_stage(content)
            return []
        name, folder = content
        return [(name, (folder, read_record(folder)))]


@contextmanager
def _own_gpu(number: int) -> Iterator[None]:
    """Let a process that is started in the block see one GPU only, where there are several and nobody chose."""
    gpus = torch.cuda.device_count()
    if gpus < 2 or "CUDA_VISIBLE_DEVICES" in os.environ:
        yield
        return
    os.environ["CUDA_VISIBLE_DEVICES"] = str(number % gpus)
    try:
        yield
    finally:
        del os.environ["CUDA_VISIBLE_DEVICES"]


class _Teller:
    """The reporter of a worker: what is worth a line goes to the one that started it."""

    def __init__(self, told: Any) -> None:
        self._told, self._name = told, ""

    def on_stage(self, text: str) -> None:
        if self._name:
            self._told.put(("text", f"{self._name}: {text}"))

    def on_run(self, plan: RunPlan, number: int, total: int) -> None:
        self._name = f"{plan.model} seed {plan.config.seed}"
        self._told.put(("text", f"run {number} of {total}: {self._name} on {plan.config.data}, {plan.config.device}"))

    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None: ...

    def on_tile(self, split: str, done: int, total: int) -> None: ...

    def on_epoch(self, log: EpochLog, epochs: int) -> None:
        dev = "" if log.dev_rsum is None else f", dev rsum {log.dev_rsum:.1f}"
        self.on_stage(f"epoch {log.epoch}/{epochs}, loss {log.loss:.2f}{dev}")

    def on_record(self, folder: Path, record: RunRecord) -> None: ...


def _work(
    experiment: Experiment,
    turn: Sequence[str],
    ignored: frozenset[str],
    command: tuple[str, ...],
    save_every: int,
    told: Any,
) -> None:
    """Do what is free of a plan, in this process. turn: names of the jobs in the order in which it tries them."""
    from camp_bench.runs.experiment import open_plan  # which itself starts workers

    prepare_process()
    try:
        plan = open_plan(experiment, _Teller(told), command, ignored=ignored)
        engine = InProcess(plan.material, _Teller(told), plan.finished, plan.places, save_every)
        jobs = {job.name: job for job in plan.jobs}
        for job, (folder, _) in engine.run([jobs[name] for name in turn]):
            told.put(("record", (job.name, folder)))
    except CampBenchError as error:
        told.put(("error", type(error)(str(error))))
