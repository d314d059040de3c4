"""A run's top lists and relevance judgements in the formats of other tools: TREC's, ranx's JSON, CSV.

    DIR/i2t.run.trec   i2t.qrels.trec   queries are images (i0, i1, ...), candidates captions (c0, c1, ...), by row
    DIR/t2i.run.trec   t2i.qrels.trec   the other way round; .json for ranx, .csv for both in one

A run keeps the top 100 a query. A candidate below is missing there, so what these tools compute is exact for cut-offs
up to that alone; and they break ties by name or place, where camp-bench counts them by expectation. A candidate whose
score is minus infinity is in no list.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from camp_bench.errors import ConfigError, RecordError, nearest
from camp_bench.records import EvaluationRecord, RunFolder, new_folder, write_file

__all__ = ["EXPORTS", "export_run"]


class _Direction(NamedTuple):
    """Top lists of one direction. ids, scores: (queries, 100 or fewer); relevant: of each query, candidate to grade."""

    name: str
    query: str
    candidate: str
    ids: npt.NDArray[np.integer]
    scores: npt.NDArray[np.floating]
    relevant: list[dict[int, int]]
    tag: str

    @property
    def too_close(self) -> bool:
        """Whether scores differ that are one in float32, which is what TREC's own program reads them into."""
        narrow = self.scores.astype(np.float32)
        return bool(((narrow[:, 1:] == narrow[:, :-1]) & (self.scores[:, 1:] != self.scores[:, :-1])).any())

    def lines(self) -> Iterator[tuple[str, str, int, np.floating, int]]:
        """Yield query, candidate, rank, score and the grade of relevance, 0 for none."""
        for row, (ids, scores, true) in enumerate(zip(self.ids.tolist(), self.scores, self.relevant, strict=True)):
            for rank, (found, score) in enumerate(zip(ids, scores, strict=True), 1):
                if np.isfinite(score):
                    yield f"{self.query}{row}", f"{self.candidate}{found}", rank, score, true.get(found, 0)


def _trec(way: _Direction) -> dict[str, str]:
    ranked = way._replace(scores=_places(way.scores)) if way.too_close else way
    run = "".join(f"{query} Q0 {found} {rank} {score} {way.tag}\n" for query, found, rank, score, _ in ranked.lines())
    qrels = "".join(
        f"{way.query}{row} 0 {way.candidate}{item} {grade}\n"
        for row, true in enumerate(way.relevant)
        for item, grade in true.items()
    )
    return {f"{way.name}.run.trec": run, f"{way.name}.qrels.trec": qrels}


def _places(scores: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return small whole numbers in the order and with the ties of scores, (queries, list), best first."""
    falls = np.concatenate((np.zeros((len(scores), 1), bool), scores[:, 1:] != scores[:, :-1]), axis=1)
    places = (scores.shape[1] - np.cumsum(falls, axis=1)).astype(np.float64)
    return np.where(np.isfinite(scores), places, -np.inf)


def _ranx(way: _Direction) -> dict[str, str]:
    run: dict[str, dict[str, float]] = {}
    for query, found, _, score, _ in way.lines():
        run.setdefault(query, {})[found] = float(score)
    qrels = {
        f"{way.query}{row}": {f"{way.candidate}{item}": grade for item, grade in true.items()}
        for row, true in enumerate(way.relevant)
        if true
    }
    return {
        f"{way.name}.run.json": json.dumps(run, allow_nan=False),
        f"{way.name}.qrels.json": json.dumps(qrels, allow_nan=False),
    }


def _csv(way: _Direction) -> dict[str, str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("query", "candidate", "rank", "score", "relevant"))
    writer.writerows(way.lines())
    return {f"{way.name}.csv": buffer.getvalue()}


EXPORTS: dict[str, Callable[[_Direction], dict[str, str]]] = {"trec": _trec, "ranx": _ranx, "csv": _csv}


def export_run(
    run: str | Path,
    form: str,
    folder: Path,
    *,
    split: str = "test",
    own_only: bool = False,
    on_note: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write a finished run's top lists and qrels into a new folder, all or nothing, and return the files.

    Judged pairs count with their grade where the run was evaluated with them, unless `own_only`. on_note: told what
    readers of the files have to know. Raises ConfigError for
    an unknown format, RecordError for a run that can't be read, keeps no per-query results or lacks its judged pairs,
    and OutputError where the folder exists already or can't be written.
    """
    if form not in EXPORTS:
        raise ConfigError(f"--format: got '{form}', expected one of {', '.join(EXPORTS)}{nearest(form, EXPORTS)}")
    files: dict[str, str] = {}
    ways, notes = _directions(Path(run), split, own_only=own_only)
    for way in ways:
        files |= EXPORTS[form](way)
        if form == "trec" and way.too_close:
            notes.append(
                f"{way.name}: scores closer than float32 tells apart, which TREC's programs read; their places stand "
                f"instead, with the same order and ties (--format ranx and csv keep the scores)"
            )
        if left := int(np.isneginf(way.scores).sum()):
            notes.append(f"{way.name}: {left:,} candidates with a score of -inf are in no list")
    with new_folder(folder) as scratch:
        for name, text in files.items():
            write_file(scratch / name, text.encode())
    for note in notes:
        on_note(note)
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
    if np.isnan(scores).any():
        query, place = (int(part[0]) for part in np.nonzero(np.isnan(scores)))
        raise RecordError(
            f"{where}: query {query} has the score nan at place {place + 1}; expected a number; evaluate it again"
        )


def _directions(run: Path, split: str, *, own_only: bool) -> tuple[list[_Direction], list[str]]:
    folder = RunFolder.open(run)
    record = folder.record
    evaluation = record.evaluation(split)
    arrays = folder.queries(evaluation, [f"{way}_top_{part}" for way in ("i2t", "t2i") for part in ("ids", "scores")])
    for way, candidates in (("i2t", evaluation.captions), ("t2i", evaluation.images)):
        _require_lists(f"{run}: {evaluation.queries}, {way}", arrays, way, candidates)
    image_of = arrays["image_of"].tolist()
    own: list[dict[int, int]] = [{} for _ in range(evaluation.images)]
    for caption, image in enumerate(image_of):
        own[image][caption] = 1
    relevant = {"i2t": own, "t2i": [{image: 1} for image in image_of]}
    notes = ["qrels: the split's own pairs, grade 1"]
    if evaluation.relevance is not None and not own_only:
        relevant, note = _judged(run, arrays, evaluation)
        notes = [note]
    directions = []
    for way in ("i2t", "t2i"):
        scores = arrays[f"{way}_top_scores"]
        if np.isposinf(scores).any():
            raise RecordError(f"{run}: has {way} scores of +inf, an overflow that no tool can order; score it again")
        directions.append(
            _Direction(
                name=way,
                query=way[0].replace("t", "c"),
                candidate=way[2].replace("t", "c"),
                ids=arrays[f"{way}_top_ids"],
                scores=scores,
                relevant=relevant[way],
                tag=record.run_id,
            )
        )
    return directions, notes


def _judged(
    run: Path, arrays: Mapping[str, npt.NDArray[np.generic]], evaluation: EvaluationRecord
) -> tuple[dict[str, list[dict[int, int]]], str]:
    """Return of every query what is true with its grade, and what was judged and isn't with 0.

    Qrels hold whole numbers: a mean mark is rounded, to 1 or more where the pair is true. True pairs that nobody marked
    get the best mark there is, 1 where there are none.
    """
    facts = evaluation.relevance
    assert facts is not None  # as who calls has made sure
    wanted = ("i2t_true", "t2i_true", "judged_pairs", "grades")
    if missing := [name for name in wanted if name not in arrays]:
        raise RecordError(
            f"{run}: its {evaluation.queries} holds no {', '.join(missing)}: an earlier version kept no judged pairs; "
            f"evaluate it with --relevance again, or export --own-only"
        )
    pairs, grades = arrays["judged_pairs"].tolist(), arrays["grades"].tolist()
    best = max(1, round(max(grades, default=1.0)))
    relevant: dict[str, list[dict[int, int]]] = {}
    for way, queries in (("i2t", evaluation.images), ("t2i", evaluation.captions)):
        marked = {
            ((image, caption) if way == "i2t" else (caption, image)): grade
            for (image, caption), grade in zip(pairs, grades, strict=True)
        }
        true: list[dict[int, int]] = [{} for _ in range(queries)]
        for query, item in arrays[f"{way}_true"].tolist():
            grade = marked.pop((query, item), None)
            true[query][item] = best if grade is None else max(1, round(grade))
        for query, item in marked:
            true[query][item] = 0
        relevant[way] = true
    told = f"own and judged pairs of {facts.source}"
    if grades:
        told += f", with their marks, rounded; true pairs without a mark have the best, {best}; below "
        told += f"{facts.min_grade:g} is 0"
    return relevant, f"qrels: {told} (--own-only for the split's own pairs alone)"
