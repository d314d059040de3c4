"""What makes two runs the same job: so that the same command again does what is missing and repeats nothing.

A job is named by a hash of all that its record's figures follow from: the resolved config with its seed, device and
precision, what the record is to keep, the fingerprints of the data, the checksums of a file of word vectors or of
weights to start from, and the code. Paths don't count, nor how many threads work on it.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

from camp_bench.config import Experiment
from camp_bench.data.fingerprints import Fingerprints
from camp_bench.errors import RecordError
from camp_bench.records import RunRecord, list_records, read_record
from camp_bench.runs.plan import RunPlan

__all__ = ["FinishedJobs", "job_of"]

ROOMS = ("config", "data", "evaluation", "machine", "models", "ranking", "runs")
"""Whose code figures depend on."""


def job_of(
    plan: RunPlan, experiment: Experiment, prints: Mapping[str, Fingerprints], started_from: Mapping[str, str]
) -> str:
    """Return the name of a job. prints: of each evaluated split. started_from: checksums of what it starts from."""
    config = msgspec.structs.replace(plan.config, data="", word_vectors="", init_from="")
    kept = (experiment.examples, experiment.save_scores, experiment.watch_train)
    parts = (
        config,
        kept,
        {split: (each.task, each.features, each.train) for split, each in sorted(prints.items())},
        dict(sorted(started_from.items())),
        _code(),
        _source_of(plan),
    )
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


class FinishedJobs:
    """The finished runs below a results folder, by their job. ignored: ids of runs that count for none."""

    def __init__(self, results: Path, ignored: frozenset[str] = frozenset()) -> None:
        self.ignored = ignored
        self._results, self._seen = results, set[Path]()
        self._runs: dict[str, list[tuple[Path, RunRecord]]] = {}

    def look(self, job: str) -> tuple[Path, RunRecord] | None:
        """Return the newest finished run of a job as the folder is now, None where there is none."""
        found = self.all(job)
        return max(found, key=lambda run: (run[1].created, run[1].run_id)) if found else None

    def all(self, job: str) -> list[tuple[Path, RunRecord]]:
        """Return all finished runs of a job that are still there."""
        for folder in list_records(self._results):
            if folder in self._seen:
                continue
            self._seen.add(folder)
            try:
                record = read_record(folder)
            except RecordError:
                continue  # a damaged run isn't a finished one; whoever reads it is told why
            if record.job is not None and record.run_id not in self.ignored:
                self._runs.setdefault(record.job, []).append((folder, record))
        return [run for run in self._runs.get(job, []) if run[0].exists()]


@cache
def _code() -> str:
    """Return the hash of the code that figures follow from."""
    home = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for room in ROOMS:
        for file in sorted((home / room).rglob("*.py")):
            digest.update(f"\n{file.relative_to(home).as_posix()}\n".encode() + file.read_bytes())
    return digest.hexdigest()


def _source_of(plan: RunPlan) -> str:
    """Return the hash of the file that defines a model, which may be a plug-in; empty where there is none."""
    try:
        return hashlib.sha256(Path(inspect.getfile(plan.variant.model)).read_bytes()).hexdigest()
    except (OSError, TypeError):
        return ""
