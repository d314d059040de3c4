"""The queries on which two models differ most, with their captions where the data can still be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from camp_bench.comparison.grouping import RowRuns, choose_rows, group_runs, rows_of
from camp_bench.comparison.loading import BadRecord, FinishedRun, load_runs
from camp_bench.comparison.options import CompareOptions
from camp_bench.data import open_dataset
from camp_bench.data.fingerprints import task_fingerprint
from camp_bench.errors import CampBenchError, ConfigError

__all__ = ["QueryDifference", "QueryDifferences", "query_differences", "read_texts"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class QueryDifference:
    """One query: `i2t` an image that looks for its captions, `t2i` a caption that looks for its image.

    query: its row in the split. image: the id of its image, "" where unknown. text: the caption, or the image's first
    one; "" where unknown. first_rank, second_rank: expected 1-based ranks, means over seeds.
    """

    way: Literal["i2t", "t2i"]
    query: int
    image: str
    text: str
    first_rank: float
    second_rank: float


@dataclass(frozen=True, slots=True)
class QueryDifferences:
    """The queries with the largest ratio of ranks, the largest first.

    missing_text: why there are no captions, "" where there are. skipped: the records that couldn't be used.
    """

    first: str
    second: str
    rows: tuple[QueryDifference, ...]
    total: int
    missing_text: str
    skipped: tuple[BadRecord, ...] = ()


def query_differences(
    paths: Sequence[str | Path], count: int, options: CompareOptions | None = None, *, skip_bad: bool = False
) -> QueryDifferences:
    """Return the `count` queries of both directions whose ranks under two rows differ by the largest factor.

    A factor, as rank 1 against 20 matters to whoever searches and 500 against 519 doesn't. Raises ConfigError unless
    exactly two rows of one task are left, and whatever `compare` raises for records.
    """
    if count < 1:
        raise ConfigError(f"--queries: got {count}, expected 1 or more")
    chosen = (options or CompareOptions()).checked()
    runs, bad = load_runs(paths, ks=chosen.ks, split=chosen.split, skip_bad=skip_bad)
    rows = choose_rows([row for group in group_runs(runs) for row in rows_of(group)[0]], chosen.models)
    shown = [row.runs[0].evaluation for row in rows]
    tasks = {(one.task_fingerprint, one.protocol, one.transductive) for one in shown}
    if len(rows) != 2 or len(tasks) != 1:
        told = ", ".join(row.label for row in rows) or "none"
        raise ConfigError(
            f"--queries: compares two rows of one table, there are {len(rows)} ({told}); pick with --models A,B"
        )
    return replace(_differences(rows[0], rows[1], count), skipped=tuple(bad))


def _differences(first: RowRuns[FinishedRun], second: RowRuns[FinishedRun], count: int) -> QueryDifferences:
    ranks = [(_mean_ranks(row.runs, "i2t_ranks"), _mean_ranks(row.runs, "t2i_ranks")) for row in (first, second)]
    a, b = (np.concatenate(both) for both in ranks)
    order = np.argsort(-np.abs(np.log(a) - np.log(b)), kind="stable")[:count]
    run = first.runs[0]
    image_of, images = run.results.image_of, run.results.n_images
    captions, ids, missing = read_texts(run)
    rows = []
    for place in order.tolist():
        way: Literal["i2t", "t2i"] = "i2t" if place < images else "t2i"
        query = place if way == "i2t" else place - images
        own = np.flatnonzero(image_of == query)
        image = query if way == "i2t" else int(image_of[query])
        caption = query if way == "t2i" else int(own[0]) if len(own) else None
        rows.append(
            QueryDifference(
                way=way,
                query=query,
                image=ids[image] if ids else "",
                text=captions[caption] if captions and caption is not None else "",
                first_rank=float(a[place]),
                second_rank=float(b[place]),
            )
        )
    return QueryDifferences(first.label, second.label, tuple(rows), len(a), missing)


def _mean_ranks(runs: Sequence[FinishedRun], name: str) -> Floats:
    return np.asarray(np.mean([getattr(run.results, name) for run in runs], axis=0), dtype=np.float64)


def read_texts(run: FinishedRun) -> tuple[tuple[str, ...], tuple[str, ...], str]:
    """Return captions and image ids of the split that a run was evaluated on, or none and why."""
    source, name = run.record.dataset.source, run.evaluation.split
    try:
        split = open_dataset(source, [name]).split(name)
        if task_fingerprint(split) != run.evaluation.task_fingerprint:
            return (), (), f"the captions in {source} are no longer those that {run.record.run_id} was evaluated on"
    except (CampBenchError, OSError) as error:
        return (), (), f"the captions can't be read: {error}"
    return split.captions, split.image_ids, ""
