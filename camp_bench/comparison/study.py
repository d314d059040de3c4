"""What a report shows beside a comparison's tables: curves over K, histograms of ranks, settings, disagreements.

All of it is worked out here, from records and per-query results; `report` only draws it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from camp_bench.comparison.analysis import compare_with_runs
from camp_bench.comparison.grouping import RowRuns
from camp_bench.comparison.loading import BadRecord, FinishedRun
from camp_bench.comparison.options import CompareOptions
from camp_bench.comparison.queries import read_texts
from camp_bench.comparison.rows import Comparison
from camp_bench.comparison.stats import clustered_error, fold_mean, influences, metric_names, shares
from camp_bench.records import read_arrays

__all__ = [
    "CURVE_KS",
    "Candidate",
    "Curve",
    "Disagreement",
    "Study",
    "StudyRow",
    "disagreements",
    "examples_of",
    "pairs_per_second",
    "recall_curve",
    "setting_differences",
    "studies",
]

CURVE_KS = tuple(range(1, 101))
Z_95 = 1.959964
TOP = 5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class StudyRow:
    """One row of a comparison and the runs behind it, by seed."""

    letter: str
    label: str
    runs: tuple[FinishedRun, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """One comparison with the runs of its rows, in its order."""

    table: Comparison
    rows: tuple[StudyRow, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """R@K in percent for each of `ks`, mean over seeds, with a 95 % band; each (ks,)."""

    ks: tuple[int, ...]
    values: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of a model's first answers: what it is, whether it is right, and the id of the image where it is one."""

    id: int
    text: str
    right: bool
    image: str


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A query that models rank differently. text, image: as far as the data still tells; answers: by row letter."""

    way: str
    query: int
    image: str
    text: str
    right: tuple[str, ...]
    ranks: dict[str, float]
    answers: dict[str, tuple[Candidate, ...]]


def studies(
    paths: Sequence[str | Path], options: CompareOptions, *, skip_bad: bool = False
) -> tuple[list[Study], list[BadRecord]]:
    """Return each comparison of the paths with its runs, and the records that could not be used.

    Raises as `compare_groups` does.
    """
    found, bad = compare_with_runs(paths, options, skip_bad=skip_bad)
    return [Study(table, _rows(table, groups)) for table, groups in found], bad


def _rows(table: Comparison, groups: Sequence[RowRuns[FinishedRun]]) -> tuple[StudyRow, ...]:
    """Return the rows of a table with what curves over K need."""
    return tuple(
        StudyRow(row.letter, row.label, tuple(run.with_ks(CURVE_KS) for run in group.runs))
        for row, group in zip(table.rows, groups, strict=True)
    )


def recall_curve(row: StudyRow, way: str) -> Curve:
    """Return R@K both of images drawn anew and, from three seeds on, of training anew."""
    ks = row.runs[0].results.ks
    places = [metric_names(ks).index(f"{way}.R@{k}") for k in ks]
    by_seed = np.stack([fold_mean(shares(run.results), run.results.fold_of)[places] for run in row.runs])
    moved = np.mean([influences(run.results)[:, places] for run in row.runs], axis=0)
    first = row.runs[0].results
    variance = np.nan_to_num(clustered_error(moved, first.fold_of, first.group_of)) ** 2
    if len(row.runs) > 2:
        variance += by_seed.var(axis=0, ddof=1) / len(row.runs)
    values, half = by_seed.mean(axis=0), Z_95 * np.sqrt(variance)
    return Curve(ks, values, np.clip(values - half, 0, 100), np.clip(values + half, 0, 100))


def pairs_per_second(run: FinishedRun) -> float | None:
    """Return how many pairs a second the run scored and ranked on its last split, None where it wasn't measured."""
    seconds = [median(item.samples) for item in run.record.timings if item.name == "score_and_rank" and item.samples]
    return run.evaluation.images * run.evaluation.captions / seconds[0] if seconds and seconds[0] > 0 else None


def setting_differences(rows: Sequence[StudyRow]) -> list[tuple[str, tuple[str, ...]]]:
    """Return each setting that is not the same in all rows, with its value in each; seeds and paths of data apart."""
    flat = [_flat(msgspec.to_builtins(row.runs[0].record.config)) for row in rows]
    keys = sorted({key for one in flat for key in one} - {"seed", "data", "model", "settings"})
    told = [(key, tuple(_told(one.get(key, "–")) for one in flat)) for key in keys]
    return [(key, values) for key, values in told if len(set(values)) > 1]


def disagreements(study: Study, count: int) -> tuple[list[Disagreement], str]:
    """Return the queries on which ranks differ by the largest factor, half of them each way, and what is missing.

    Each row is asked by its first run alone: top lists have no mean.
    """
    firsts = {row.letter: row.runs[0] for row in study.rows}
    if len(firsts) < 2:
        return [], "there is one model alone"
    arrays = {
        letter: read_arrays(run.folder, run.record, str(run.evaluation.queries)) for letter, run in firsts.items()
    }
    if any(f"{way}_top_ids" not in one for one in arrays.values() for way in ("i2t", "t2i")):
        return [], "a run keeps no top lists"
    run = study.rows[0].runs[0]
    captions, ids, missing = read_texts(run)
    found = []
    for way in ("i2t", "t2i"):
        ranks = {letter: getattr(one.results, f"{way}_ranks") for letter, one in firsts.items()}
        spread = np.ptp(np.log(np.stack(list(ranks.values()))), axis=0)
        for query in np.argsort(-spread, kind="stable")[: count // 2].tolist():
            tops = {letter: one[f"{way}_top_ids"][query][:TOP].tolist() for letter, one in arrays.items()}
            found.append(_disagreement(way, query, run.results.image_of, tops, ranks, captions, ids))
    return found, missing


def _disagreement(
    way: str,
    query: int,
    image_of: npt.NDArray[np.int64],
    tops: dict[str, list[int]],
    ranks: dict[str, Floats],
    captions: Sequence[str],
    ids: Sequence[str],
) -> Disagreement:
    image = query if way == "i2t" else int(image_of[query])
    own = np.flatnonzero(image_of == image).tolist()
    right = set(own) if way == "i2t" else {image}

    def name(item: int) -> str:
        return (ids[item] if ids else f"image {item}") if way == "t2i" else ""

    def text(item: int) -> str:
        if way == "i2t":
            return captions[item] if captions else f"caption {item}"
        first = np.flatnonzero(image_of == item)
        told = captions[int(first[0])] if captions and len(first) else ""
        return f"{name(item)}{f': {told}' if told else ''}"

    return Disagreement(
        way=way,
        query=query,
        image=ids[image] if ids else f"image {image}",
        text=(captions[query] if captions else f"caption {query}") if way == "t2i" else "",
        right=tuple(text(item) for item in sorted(right)),
        ranks={letter: float(values[query]) for letter, values in ranks.items()},
        answers={
            letter: tuple(Candidate(item, text(item), item in right, name(item)) for item in top)
            for letter, top in tops.items()
        },
    )


def examples_of(run: FinishedRun) -> dict[str, npt.NDArray[Any]]:
    """Return attention and gates of the pairs that the run kept, by the names of its file; empty where it kept none."""
    name = run.evaluation.examples
    return {} if name is None else read_arrays(run.folder, run.record, name)


def _flat(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        name = f"{before}{key}"
        flat |= (
            _flat(item, "" if name in ("settings", "options") else f"{name}.")
            if isinstance(item, dict)
            else {name: item}
        )
    return flat


def _told(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
