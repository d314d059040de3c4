"""What is true beyond a dataset's own pairs: people's marks, from a file, the data itself, or for COCO a package.

A file has tab-separated lines: image row, caption row, and one or more marks, of which the mean counts; rows are
numbered from 0 in the order of the split, and a first line of words is a heading.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camp_bench.config.protocols import require_one_gallery
from camp_bench.config.text import read_number
from camp_bench.data.dataset import Split
from camp_bench.data.folder.texts import read_content, split_lines
from camp_bench.data.names import coco_number
from camp_bench.errors import ConfigError, DataError
from camp_bench.machine.extras import install_extra
from camp_bench.ranking.positives import Positives, make_positives

__all__ = ["ECCV_SETS", "MIN_GRADE", "OF_DATA", "Judgements", "check_relevance", "read_judgements"]

OF_DATA = "data"
"""Stands for what the dataset itself knows, as the toy data does."""
MIN_GRADE = 3.0
"""The mean mark from which a pair counts as true, unless another one is asked for."""
ECCV_SETS = {"eccv": "ECCV Caption", "cxc": "CxC"}
"""Sets of the package `eccv_caption`: extended truth of COCO's 5,000 test images."""
COCO_IMAGES, COCO_CAPTIONS = 5000, 25000

Pairs = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False)
class Judgements:
    """Positives of both directions, with the graded pairs that they come from.

    source, sha256: where they are from; the checksum is empty for what isn't a file. images, captions, grades: (P,)
    graded pairs, empty where there are no marks. note: what a reader of the figures has to know, or empty.
    """

    source: str
    sha256: str
    i2t: Positives
    t2i: Positives
    images: npt.NDArray[np.int64]
    captions: npt.NDArray[np.int64]
    grades: npt.NDArray[np.float64]
    note: str = ""

    @property
    def most(self) -> int:
        """The most positives of a query: top lists have to be as long."""
        return max(self.i2t.most, self.t2i.most)

    @property
    def true_pairs(self) -> tuple[Pairs, Pairs]:
        """Images and captions of all positives, of i2t and of t2i, each in the order of its keys."""
        captions, images = self.t2i.pairs
        return self.i2t.pairs, (images, captions)


def check_relevance(source: str | None, min_grade: float | None, protocol: str) -> None:
    """Raise ConfigError where options about judgements make no sense together."""
    if min_grade is not None and not math.isfinite(min_grade):
        raise ConfigError(f"min_grade: got {min_grade}, expected a finite number")
    if min_grade is not None and source in (None, OF_DATA, *ECCV_SETS):
        raise ConfigError("min_grade: means nothing without marks; give --relevance a file, or leave --min-grade out")
    if source is not None:
        require_one_gallery("relevance", protocol)


def read_judgements(source: str, split: Split, min_grade: float) -> Judgements:
    """Return what is true in a split: its own pairs, and those with a mean mark of `min_grade` or more.

    source: a file, `data`, `eccv` or `cxc`; the last two take the package's pairs and queries as they are. Raises
    DataError for a source that isn't there, doesn't fit the split or can't be read, naming the line.
    """
    if source in ECCV_SETS:
        return _of_package(source, split)
    if source == OF_DATA:
        if split.also_true is None:
            raise DataError(
                f"relevance: the split '{split.name}' knows of no other pairs than its own; give a file of judgements"
            )
        images, captions = split.also_true.T
        grades, sha256 = np.full(len(images), np.inf), ""
    else:
        images, captions, grades, sha256 = _read_file(Path(source), split)
    good = grades >= min_grade
    all_images = np.concatenate((split.image_of, images[good]))
    all_captions = np.concatenate((np.arange(split.n_captions), captions[good]))
    marked = np.isfinite(grades)
    return Judgements(
        source=source,
        sha256=sha256,
        i2t=make_positives(all_images, all_captions, split.n_captions, np.arange(split.n_images)),
        t2i=make_positives(all_captions, all_images, split.n_images, np.arange(split.n_captions)),
        images=images[marked],
        captions=captions[marked],
        grades=grades[marked],
    )


def _read_file(
    file: Path, split: Split
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], str]:
    if not file.exists():
        raise DataError(f"{file}: can't be read (no such file); expected judgements, or {_words()}")
    content = read_content(file)
    lines = split_lines(content, file)
    rows: dict[tuple[int, int], float] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        pair, grade = _read_line(line.split("\t"), f"{file}, line {number}", split, heading=number == 1)
        if pair is None:
            continue
        if pair in rows:
            raise DataError(f"{file}, line {number}: image {pair[0]} and caption {pair[1]} have marks already")
        rows[pair] = grade
    if not rows:
        raise DataError(f"{file}: no judgements; expected lines of image row, caption row and marks, tab-separated")
    pairs = np.array(list(rows), dtype=np.int64)
    return pairs[:, 0], pairs[:, 1], np.array(list(rows.values())), hashlib.sha256(content).hexdigest()


def _read_line(
    fields: Sequence[str], where: str, split: Split, *, heading: bool
) -> tuple[tuple[int, int] | None, float]:
    numbers = [read_number(field.strip()) for field in fields]
    if heading and len(fields) > 2 and all(number is None for number in numbers[:2]):
        return None, 0.0
    rows = [int(text) for field in fields[:2] if re.fullmatch("-?[0-9]{1,18}", text := field.strip())]
    if len(rows) < 2:
        raise DataError(
            f"{where}: got {fields!r:.80}; expected image row, caption row and marks as numbers, of the digits 0 to 9"
        )
    image, caption = rows
    marks = [number for number in numbers[2:] if number is not None]
    if not marks or len(marks) < len(numbers) - 2:
        raise DataError(f"{where}: got marks {fields[2:]!r:.80}; expected one finite number or more")
    for what, value, count in (("image", image, split.n_images), ("caption", caption, split.n_captions)):
        if not 0 <= value < count:
            raise DataError(f"{where}: {what} row {value}; expected 0 to {count - 1}, as {split.name} has {count}")
    return (image, caption), float(np.mean(marks))


def _of_package(name: str, split: Split) -> Judgements:
    """Return the package's pairs in the rows of COCO's 5,000 test images, whose order the package knows as well."""
    if (split.n_images, split.n_captions) != (COCO_IMAGES, COCO_CAPTIONS):
        raise DataError(
            f"relevance: {ECCV_SETS[name]} is about COCO's 5,000 test images with 25,000 captions; '{split.name}' has "
            f"{split.n_images:,} and {split.n_captions:,}"
        )
    found = importlib.util.find_spec("eccv_caption")  # found, not imported: only its files are wanted
    if found is None or not found.submodule_search_locations:
        raise DataError(f"relevance: '{name}' needs the package eccv_caption; {install_extra('eccv')}")
    folder = Path(found.submodule_search_locations[0]) / "data"
    row_of = {int(caption): row for row, caption in enumerate(np.load(folder / "coco_test_ids.npy"))}
    own = _read_json(folder / "original_caption_to_image.json")
    order = [own[caption][0] for caption in row_of]
    image_row, note = _rows_of_images(order, split, ECCV_SETS[name])
    row_of = _rows_of_captions(row_of, own, image_row, split)
    i2t = _pairs(_read_json(folder / f"{name}_image_to_caption.json"), image_row, row_of)
    t2i = _pairs(_read_json(folder / f"{name}_caption_to_image.json"), row_of, image_row)
    none = np.empty(0, dtype=np.int64)
    return Judgements(
        source=name,
        sha256="",
        i2t=make_positives(*i2t, split.n_captions),
        t2i=make_positives(*t2i, split.n_images),
        images=none,
        captions=none,
        grades=np.empty(0),
        note=note,
    )


def _rows_of_images(order: Sequence[int], split: Split, name: str) -> tuple[dict[int, int], str]:
    """Return the row of each of COCO's images, by its number, and a note where the order is taken on trust.

    order: the image of each caption in the package's order. The ids of a split tell its images in any form and order;
    where they only count rows there is nothing to check. Raises DataError where they tell of other images.
    """
    images = list(dict.fromkeys(order))
    if split.image_ids == tuple(map(str, range(COCO_IMAGES))):
        if not np.array_equal(split.image_of, np.repeat(np.arange(COCO_IMAGES), COCO_CAPTIONS // COCO_IMAGES)):
            raise DataError(
                f"relevance: '{split.name}' has no ids, and not five captions an image in order; expected the order of "
                f"COCO's 5,000 test images; write {split.name}_ids.txt with COCO's numbers"
            )
        return {image: row for row, image in enumerate(images)}, (
            f"{name} is joined by row: '{split.name}' has no image ids, so its order is taken on trust"
        )
    numbers = [coco_number(text) for text in split.image_ids]
    known = set(images)
    wrong = next((row for row, number in enumerate(numbers) if number not in known), None)
    if wrong is not None or len(set(numbers)) < COCO_IMAGES:
        wrong = 0 if wrong is None else wrong
        raise DataError(
            f"relevance: row {wrong} is {split.image_ids[wrong]!r}, which is not the number of one of COCO's 5,000 "
            f"test images; expected each of them once, such as {images[0]} or COCO_val2014_{images[0]:012d}.jpg; write "
            f"COCO's numbers into {split.name}_ids.txt, or remove it to take the package's order on trust"
        )
    return {number: row for row, number in enumerate(numbers) if number is not None}, ""


def _rows_of_captions(
    place: Mapping[int, int], own: Mapping[int, list[int]], image_row: Mapping[int, int], split: Split
) -> dict[int, int]:
    """Return the row of each caption: those of an image are in the package's order, wherever it stands."""
    captions: list[list[int]] = [[] for _ in range(split.n_images)]
    for row, image in enumerate(split.image_of.tolist()):
        captions[image].append(row)
    if any(len(rows) != COCO_CAPTIONS // COCO_IMAGES for rows in captions):
        raise DataError(f"relevance: '{split.name}' has not five captions an image; expected COCO's 25,000")
    rows_of = [iter(rows) for rows in captions]
    return {caption: next(rows_of[image_row[own[caption][0]]]) for caption in place}


def _read_json(file: Path) -> dict[int, list[int]]:
    return {
        int(key): [int(item) for item in items] for key, items in json.loads(file.read_text(encoding="utf-8")).items()
    }


def _pairs(
    relevant: Mapping[int, Sequence[int]], query_row: Mapping[int, int], found_row: Mapping[int, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the pairs in rows, without the two captions of ECCV Caption that are not among the 25,000."""
    pairs = [
        (query_row[query], found_row[item]) for query, items in relevant.items() for item in items if item in found_row
    ]
    queries, found = np.array(pairs, dtype=np.int64).T
    return queries, found


def _words() -> str:
    return f"'{OF_DATA}', " + " or ".join(f"'{name}'" for name in ECCV_SETS)
