"""Finds run records under folders and reads what a comparison needs of them, per-query results included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.comparison.stats import PerImage, fold_mean, metric_names, per_image, shares
from camp_bench.config.protocols import find_protocol, fold_images
from camp_bench.errors import DataError, RecordError, nearest
from camp_bench.ranking.metrics import RECALL_AT
from camp_bench.records import EvaluationRecord, RunFolder, RunRecord, find_records

__all__ = ["BadRecord", "FinishedRun", "load_runs"]

GROUPS = "similar_images"
"""The array with the group of each image, which records of earlier versions don't have: then each counts by itself."""
AGREES = 1e-6
"""Percentage points by which metrics may differ from those recorded: sums in another order."""


_Counts = tuple[npt.NDArray[np.integer[Any]], npt.NDArray[np.integer[Any]], npt.NDArray[np.integer[Any]]]


@dataclass(frozen=True, slots=True, eq=False)
class FinishedRun:
    """One evaluation of one run, with its results by image.

    counts: b, n and p of each query, of both ways. tied: by metric that ties leave open, the least and the most that it
    can be, in percent.
    """

    folder: Path
    record: RunRecord
    evaluation: EvaluationRecord
    results: PerImage
    counts: tuple[_Counts, _Counts]
    tied: dict[str, tuple[float, float]] = field(default_factory=dict)

    def with_ks(self, ks: Sequence[int]) -> FinishedRun:
        """Return the same with R@K of other K."""
        own = self.results
        groups = own.group_of
        return replace(self, results=per_image(*self.counts, own.image_of, ks=ks, folds=own.folds, groups=groups))


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A path that can't be read as a record or looked into for some, and why."""

    path: Path
    reason: str


def load_runs(
    places: Sequence[str | Path], *, ks: Sequence[int] = RECALL_AT, split: str | None = None, skip_bad: bool = False
) -> tuple[list[FinishedRun], list[BadRecord]]:
    """Read records and their per-query results: one run for each evaluation that has any.

    places: as for `find_records`, which raises for one without runs. split: only evaluations of it. Raises RecordError
    for the first path that can't be used, naming how many more there are; with skip_bad they are returned in place of
    that.
    """
    runs: list[FinishedRun] = []
    bad: list[BadRecord] = []
    for file in find_records(places, on_unread=lambda path, error: bad.append(BadRecord(path, str(error)))):
        try:
            runs.extend(_read(file, ks, split))
        except RecordError as error:
            bad.append(BadRecord(file, str(error)))
    if bad and not skip_bad:
        more = f" (and {len(bad) - 1} more like it)" if len(bad) > 1 else ""
        raise RecordError(f"{bad[0].reason}{more}; mend or remove it, or pass --skip-bad to go without")
    return runs, bad


def _read(file: Path, ks: Sequence[int], split: str | None) -> list[FinishedRun]:
    run = RunFolder.open(file)
    record = run.record
    wanted = [item for item in record.evaluations if item.queries and split in (None, item.split)]
    if not wanted:
        kept = [item.split for item in record.evaluations if item.queries]
        what = f"of split '{split}'{nearest(split, kept)}" if split else "of any split"
        raise RecordError(
            f"{file}: keeps no per-query results {what}, without which nothing can be tested; it has them of "
            f"{', '.join(dict.fromkeys(kept)) or 'none'}"
        )
    return [_finished(run, item, ks) for item in wanted]


def _finished(run: RunFolder, evaluation: EvaluationRecord, ks: Sequence[int]) -> FinishedRun:
    path = run.path / str(evaluation.queries)
    arrays = run.queries(evaluation)
    i2t, t2i = ((arrays[f"{way}_b"], arrays[f"{way}_n"], arrays[f"{way}_p"]) for way in ("i2t", "t2i"))
    try:
        folds = fold_images(find_protocol(evaluation.protocol), len(i2t[0]), len(t2i[0]), evaluation.split)
        results = per_image(i2t, t2i, arrays["image_of"], ks=ks, folds=folds, groups=arrays.get(GROUPS))
    except (DataError, ValueError) as error:
        raise RecordError(f"{path}: {error}") from None
    found = dict(zip(metric_names(results.ks), fold_mean(shares(results), results.fold_of), strict=True))
    for name, value in found.items():
        recorded = evaluation.metrics.get(name, value)
        if abs(recorded - value) > AGREES:
            raise RecordError(f"{path}: gives {name} = {value:.4f}, the record says {recorded:.4f}; not of one run")
    return FinishedRun(run.path, run.record, evaluation, results, (i2t, t2i), _tied(results, i2t, t2i))


def _tied(results: PerImage, i2t: _Counts, t2i: _Counts) -> dict[str, tuple[float, float]]:
    """Return what R@K is if ties fall against each query and if they fall for it, where that differs."""
    found = {}
    for way, (b, n, _), fold_of in (("i2t", i2t, results.fold_of), ("t2i", t2i, results.fold_of[results.image_of])):
        for k in results.ks:
            ends = (b.astype(np.int64) + n < k, b < k)
            low, high = (
                100 * float(np.mean([hits[fold_of == fold].mean() for fold in range(len(results.folds))]))
                for hits in ends
            )
            if low < high:
                found[f"{way}.R@{k}"] = low, high
    return found
