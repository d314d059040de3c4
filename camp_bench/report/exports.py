"""A run's top lists and relevance judgements in the formats of other tools: TREC's, ranx's JSON, CSV.

    DIR/i2t.run.trec   i2t.qrels.trec   queries are images (i0, i1, ...), candidates captions (c0, c1, ...), by row
    DIR/t2i.run.trec   t2i.qrels.trec   the other way round; .json for ranx, .csv for both in one

A run keeps the top 100 a query. A candidate below is missing there, so what these tools compute is exact for cut-offs
up to that alone; and they break ties by name or place, where camp-bench counts them by expectation.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from camp_bench.errors import ConfigError, RecordError, nearest
from camp_bench.records import new_folder, read_arrays, read_record, write_file

__all__ = ["EXPORTS", "export_run"]


class _Direction(NamedTuple):
    """Top lists of one direction. ids, scores: (queries, 100 or fewer); relevant: of each query, its own candidates."""

    name: str
    query: str
    candidate: str
    ids: npt.NDArray[np.integer]
    scores: npt.NDArray[np.floating]
    relevant: list[list[int]]
    tag: str

    def lines(self) -> Iterator[tuple[str, str, int, float, bool]]:
        """Yield query, candidate, rank, score and whether it is relevant."""
        for row, (ids, scores, own) in enumerate(zip(self.ids.tolist(), self.scores, self.relevant, strict=True)):
            wanted = set(own)
            for rank, (found, score) in enumerate(zip(ids, scores, strict=True), 1):
                yield f"{self.query}{row}", f"{self.candidate}{found}", rank, score, found in wanted


def _trec(way: _Direction) -> dict[str, str]:
    run = "".join(f"{query} Q0 {found} {rank} {score} {way.tag}\n" for query, found, rank, score, _ in way.lines())
    qrels = "".join(
        f"{way.query}{row} 0 {way.candidate}{item} 1\n" for row, own in enumerate(way.relevant) for item in own
    )
    return {f"{way.name}.run.trec": run, f"{way.name}.qrels.trec": qrels}


def _ranx(way: _Direction) -> dict[str, str]:
    run: dict[str, dict[str, float]] = {}
    for query, found, _, score, _ in way.lines():
        run.setdefault(query, {})[found] = float(score)
    qrels = {
        f"{way.query}{row}": {f"{way.candidate}{item}": 1 for item in own}
        for row, own in enumerate(way.relevant)
        if own
    }
    return {f"{way.name}.run.json": json.dumps(run), f"{way.name}.qrels.json": json.dumps(qrels)}


def _csv(way: _Direction) -> dict[str, str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("query", "candidate", "rank", "score", "relevant"))
    writer.writerows((query, found, rank, score, int(own)) for query, found, rank, score, own in way.lines())
    return {f"{way.name}.csv": buffer.getvalue()}


EXPORTS: dict[str, Callable[[_Direction], dict[str, str]]] = {"trec": _trec, "ranx": _ranx, "csv": _csv}


def export_run(run: str | Path, form: str, folder: Path, *, split: str = "test") -> list[Path]:
    """Write a finished run's top lists and qrels into a new folder, all or nothing, and return the files.

    Raises ConfigError for an unknown format, RecordError for a run that can't be read or keeps no per-query results,
    and OutputError where the folder exists already or can't be written.
    """
    if form not in EXPORTS:
        raise ConfigError(f"--format: got '{form}', expected one of {', '.join(EXPORTS)}{nearest(form, EXPORTS)}")
    files: dict[str, str] = {}
    for way in _directions(Path(run), split):
        files |= EXPORTS[form](way)
    with new_folder(folder) as scratch:
        for name, text in files.items():
            write_file(scratch / name, text.encode())
    return [folder / name for name in files]


def _require_lists(where: str, arrays: dict[str, npt.NDArray[Any]], way: str, candidates: int) -> None:
    """Raise RecordError for top lists that name what isn't there, or that have no order."""
    ids, scores = arrays[f"{way}_top_ids"], arrays[f"{way}_top_scores"]
    if ids.shape != scores.shape:
        raise RecordError(f"{where}: {ids.shape} ids and {scores.shape} scores; expected as many; evaluate it again")
    wrong = (ids < 0) | (ids >= candidates)
    if wrong.any():
        query, place = (int(part[0]) for part in np.nonzero(wrong))
        raise RecordError(
            f"{where}: query {query} has candidate {ids[query, place]} at place {place + 1}; expected 0 to "
            f"{candidates - 1}; evaluate it again"
        )
    if not np.isfinite(scores).all():
        query, place = (int(part[0]) for part in np.nonzero(~np.isfinite(scores)))
        raise RecordError(
            f"{where}: query {query} has the score {scores[query, place]} at place {place + 1}; expected a finite "
            "number, which other tools need; evaluate it again"
        )


def _directions(run: Path, split: str) -> list[_Direction]:
    record = read_record(run)
    evaluation = record.evaluation(split)
    if evaluation.queries is None:
        raise RecordError(
            f"{run}: keeps no per-query results of split '{split}'; take one it was evaluated on at its end"
        )
    arrays = read_arrays(run if run.is_dir() else run.parent, record, evaluation.queries)
    missing = {"image_of", *(f"{way}_top_{part}" for way in ("i2t", "t2i") for part in ("ids", "scores"))} - set(arrays)
    if missing:
        raise RecordError(f"{run}: its {evaluation.queries} holds no {', '.join(sorted(missing))}; nothing to export")
    for way, candidates in (("i2t", evaluation.captions), ("t2i", evaluation.images)):
        _require_lists(f"{run}: {evaluation.queries}, {way}", arrays, way, candidates)
    image_of = arrays["image_of"].tolist()
    if not all(0 <= image < evaluation.images for image in image_of):
        raise RecordError(f"{run}: its captions belong to images beyond the {evaluation.images}; nothing to export")
    own: list[list[int]] = [[] for _ in range(evaluation.images)]
    for caption, image in enumerate(image_of):
        own[image].append(caption)
    relevant = {"i2t": own, "t2i": [[image] for image in image_of]}
    return [
        _Direction(
            name=way,
            query=way[0].replace("t", "c"),
            candidate=way[2].replace("t", "c"),
            ids=arrays[f"{way}_top_ids"],
            scores=arrays[f"{way}_top_scores"],
            relevant=relevant[way],
            tag=record.run_id,
        )
        for way in ("i2t", "t2i")
    ]
