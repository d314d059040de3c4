"""Top lists that other tools wrote, as TREC's lines or ranx's JSON, with what their ids mean in a split.

    i0 Q0 c12 1 0.73 tag          query, Q0, candidate, rank, score, tag; the score orders, as in TREC's own program
    {"i0": {"c12": 0.73, ...}}    ranx: query to candidate to score

An image is `i` and its row, as `camp-bench export` writes it, the split's own id, or its row; a caption is `c` and its
row, its row, or its image's id, # and its number among that image's captions. All ids of a kind are of one form.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from camp_bench.config.text import decode_text, read_number, read_whole
from camp_bench.data.dataset import Split
from camp_bench.data.folder.texts import read_content
from camp_bench.data.names import match_names
from camp_bench.errors import DataError

__all__ = ["TopList", "read_run"]

FIELDS = 6
_Run = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, eq=False)
class TopList:
    """What one query found: candidates by row and their scores, in no order."""

    candidates: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]


def read_run(file: Path, split: Split, direction: str) -> list[TopList]:
    """Return the list of every query of a split, an empty one where the file has none. direction: `i2t` or `t2i`.

    Raises DataError, with the line, where the file is no run, and where an id is of no image or caption of the split.
    """
    text = decode_text(read_content(file), file, DataError)
    found = _read_ranx(text, file) if text.lstrip()[:1] == "{" else _read_trec(text, file)
    if not found:
        raise DataError(f"{file}: has no results; expected lines of query, Q0, candidate, rank, score, tag")
    query, candidate = ("image", "caption") if direction == "i2t" else ("caption", "image")
    candidates = dict.fromkeys(item for items in found.values() for item in items)
    rows_of = _rows(found, query, split, file), _rows(candidates, candidate, split, file)
    lists = [_EMPTY] * (split.n_images if query == "image" else split.n_captions)
    for name, items in found.items():
        ids = np.array([rows_of[1][item] for item in items], dtype=np.int64)
        lists[rows_of[0][name]] = TopList(ids, np.array(list(items.values()), dtype=np.float64))
    return lists


_EMPTY = TopList(np.empty(0, dtype=np.int64), np.empty(0))


def _read_trec(text: str, file: Path) -> _Run:
    found: _Run = {}
    for line, content in enumerate(text.split("\n"), 1):
        fields = content.split()
        if not fields:
            continue
        score = read_number(fields[4]) if len(fields) == FIELDS else None
        if score is None:
            raise DataError(
                f"{file}: line {line}: is {content.strip()[:60]!r}; expected query, Q0, candidate, rank, a finite "
                f"score and a tag, or ranx's JSON; mend it"
            )
        items = found.setdefault(fields[0], {})
        if fields[2] in items:
            raise DataError(f"{file}: line {line}: {fields[0]} has {fields[2]} already; expected each candidate once")
        items[fields[2]] = score
    return found


def _read_ranx(text: str, file: Path) -> _Run:
    try:
        found = msgspec.json.decode(text, type=dict[str, dict[str, float]])
    except (msgspec.DecodeError, RecursionError) as error:
        raise DataError(f"{file}: isn't ranx's JSON of query, candidate and score ({error}); mend it") from None
    for query, items in found.items():
        if wrong := [item for item, score in items.items() if not math.isfinite(score)]:
            raise DataError(f"{file}: {query}: the score of {wrong[0]} isn't finite; expected a number; mend it")
    return found


def _rows(names: Iterable[str], kind: str, split: Split, file: Path) -> Mapping[str, int]:
    """Return the row of each id; DataError where no form fits them all."""
    listed = list(names)
    count = split.n_images if kind == "image" else split.n_captions
    forms: list[Callable[[list[str]], list[int | None]]] = [
        _own_images(split) if kind == "image" else _own_captions(split),
        lambda ids: [_numbered(text, rf"{kind[0]}([0-9]+)", count) for text in ids],
        lambda ids: [_numbered(text, "([0-9]+)", count) for text in ids],
    ]
    if split.image_ids == tuple(map(str, range(split.n_images))) and kind == "image":
        forms = forms[1:]
    best: list[int | None] = [None] * len(listed)
    for form in forms:
        rows = form(listed)
        if None not in rows and len(set(rows)) == len(rows):
            return {text: row for text, row in zip(listed, rows, strict=True) if row is not None}
        if rows.count(None) < best.count(None):
            best = rows
    wrong = listed[best.index(None)] if None in best else listed[0]
    raise DataError(
        f"{file}: {wrong!r:.60} is no {kind} of '{split.name}'; expected {kind[0]}0 to {kind[0]}{count - 1}, a row "
        f"from 0 to {count - 1}, or " + ("its id" if kind == "image" else "its image's id, # and its number")
    )


def _numbered(text: str, pattern: str, count: int) -> int | None:
    found = re.fullmatch(pattern, text)
    row = read_whole(found[1]) if found else None
    return row if row is not None and row < count else None


def _own_images(split: Split) -> Callable[[list[str]], list[int | None]]:
    def rows(ids: list[str]) -> list[int | None]:
        places, _ = match_names([[text] for text in ids], list(split.image_ids))
        return places

    return rows


def _own_captions(split: Split) -> Callable[[list[str]], list[int | None]]:
    def rows(ids: list[str]) -> list[int | None]:
        counts = [0] * split.n_images
        place: dict[str, int] = {}
        for caption, image in enumerate(split.image_of.tolist()):
            place[f"{split.image_ids[image]}#{counts[image]}"] = caption
            counts[image] += 1
        return [place.get(text) for text in ids]

    return rows
