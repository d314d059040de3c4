"""What every format of region features gives, image by image, and how a folder is made of that.

A format is one file with `claims` and `read` (see `requests`); those that have one entry an image need only say how
entries are found, and how one is decoded: `assemble` does the rest. Entries are gone through twice. The first pass
finds every fault that sizes show, before anything is written; the second decodes what is wanted.

Every image of a dataset folder has the same number of regions, and published files have 10 to 100 boxes an image or
36. Of uneven numbers nothing is cut or filled unasked: `boxes` keeps the first K of each image, in the file's order; an
image with fewer is refused, or with `repeat_boxes` filled by its own boxes from the first on, which weighs those more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from camp_bench.data.folder.staging import Progress, Staging, file_identity, finite_as
from camp_bench.data.imports.captions import CaptionedImage, caption_texts
from camp_bench.data.imports.faults import Faults
from camp_bench.data.names import match_names, tidy_name
from camp_bench.errors import ConfigError, DataError

__all__ = ["FeatureRow", "FilesOfRows", "RowSource", "RowsRequest", "assemble"]


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One image's entry: where it is, in words, and what its sizes say. place: where its source finds it again."""

    where: str
    image_id: str
    boxes: int
    feature_size: int
    place: Any


@runtime_checkable
class RowSource(Protocol):
    """The entries of one or more files. name: of the files, for messages."""

    @property
    def name(self) -> str: ...

    def identity(self) -> dict[str, str]:
        """Return what tells these files from others, for the plan."""

    def rows(self, faults: Faults, progress: Progress) -> Iterator[FeatureRow]:
        """Yield all entries; one that can't be used is a fault."""

    def read(self, row: FeatureRow) -> npt.NDArray[np.floating]:
        """Return the features of an entry, (boxes, feature size); DataError where they can't be decoded."""


class FilesOfRows:
    """What a source of one or more files says of them."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = list(files)

    @property
    def name(self) -> str:
        return ", ".join(map(str, self.files))

    def identity(self) -> dict[str, str]:
        return {str(file): file_identity(file) for file in self.files}


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsRequest:
    """What is to be made of entries: a folder at `dest`, of the images of each split.

    captions_plan: what the images were read from. faults: with those that the captions had.
    """

    dest: Path
    images: Mapping[str, Sequence[CaptionedImage]]
    captions_plan: Mapping[str, str]
    boxes: int | None = None
    repeat_boxes: bool = False
    dtype: str = "float32"
    restart: bool = False
    progress: Progress
    faults: Faults


def assemble(source: RowSource, asked: RowsRequest) -> dict[str, tuple[int, int, int]]:
    """Import the images of each split from their entries, and return the shapes (images, regions, feature size).

    Raises DataError, naming file, place and image, where entries can't be used, an image is missing or there twice, or
    the numbers of boxes differ and `boxes` says nothing; all faults of a pass are told in one go.
    """
    if asked.boxes is not None and asked.boxes < 1:
        raise ConfigError(f"--boxes: got {asked.boxes}; expected 1 or more")
    if asked.repeat_boxes and asked.boxes is None:
        raise ConfigError("--repeat-boxes: fills up to --boxes, which isn't given; expected both")
    faults = asked.faults
    plan = source.identity() | dict(asked.captions_plan)
    rows = _distinct(source, faults, asked.progress)
    images, found = _join(source, rows, asked.images, faults)
    faults.refuse()
    if not any(images.values()):
        raise DataError(f"{source.name}: has none of the images with captions; expected them; give the files that do")
    entries = [row for members in found.values() for row in members]
    regions, size = _regions(entries, asked), entries[0].feature_size
    shapes = {split: (len(members), regions, size) for split, members in images.items()}
    plan |= {"regions": str(regions), "repeat_boxes": str(asked.repeat_boxes), "dtype": asked.dtype}
    cut, filled = sum(row.boxes > regions for row in entries), sum(row.boxes < regions for row in entries)
    with Staging(asked.dest, plan, restart=asked.restart) as staging:
        there = staging.add_features(shapes, asked.dtype, asked.progress)
        _write(source, found, staging, regions, there, asked)
        faults.refuse()
        done = {split: staging.done(split) for split in images}
        kept = {
            split: [image for image, is_there in zip(members, done[split], strict=True) if is_there]
            for split, members in images.items()
        }
        if empty := [split for split, members in kept.items() if not members]:
            raise DataError(f"{source.name}: no image of {empty[0]} can be used; expected one or more; mend the file")
        staging.finish(caption_texts(kept), {"images_cut": cut, "images_filled": filled, **faults.facts()})
    return {split: (len(members), regions, size) for split, members in kept.items()}


def _write(
    source: RowSource,
    found: Mapping[str, Sequence[FeatureRow]],
    staging: Staging,
    regions: int,
    there: int,
    asked: RowsRequest,
) -> None:
    """Decode and write what isn't there yet, in the order of the source."""
    total = sum(map(len, found.values()))
    label = f"importing {', '.join(found)}"
    asked.progress(label, there, total)
    waiting = [
        (row, split, at)
        for split, members in found.items()
        for at, row in enumerate(members)
        if not staging.done(split)[at]
    ]
    waiting.sort(key=lambda one: one[0].place)
    for number, (row, split, at) in enumerate(waiting, there + 1):
        with asked.faults.noted():
            taken = source.read(row)[np.arange(regions) % row.boxes][np.newaxis]
            staging.write(split, at, finite_as(asked.dtype, taken, row.where, 0))
        asked.progress(label, number, total)


def _distinct(source: RowSource, faults: Faults, progress: Progress) -> list[FeatureRow]:
    """Return the entries, of equal ones the first; where two differ under one name, neither, which is a fault."""
    first: dict[str, FeatureRow] = {}
    doubtful: set[str] = set()
    size: FeatureRow | None = None
    for row in source.rows(faults, progress):
        size = size or row
        if row.feature_size != size.feature_size:
            faults.add(
                f"{row.where}: has features of size {row.feature_size}, {size.where} of {size.feature_size}; "
                f"expected one size; import files of one extractor"
            )
            continue
        key = tidy_name(row.image_id)
        if (before := first.setdefault(key, row)) is not row and not _same(source, before, row):
            doubtful.add(key)
            faults.add(
                f"{row.where}: the same image as {before.where} with other features; expected every image once; remove "
                f"one of them"
            )
    return [row for key, row in first.items() if key not in doubtful]


def _same(source: RowSource, one: FeatureRow, other: FeatureRow) -> bool:
    if (one.boxes, one.feature_size) != (other.boxes, other.feature_size):
        return False
    try:
        return bool(np.array_equal(source.read(one), source.read(other)))
    except DataError:
        return False


def _join(
    source: RowSource,
    rows: Sequence[FeatureRow],
    images: Mapping[str, Sequence[CaptionedImage]],
    faults: Faults,
) -> tuple[dict[str, list[CaptionedImage]], dict[str, list[FeatureRow]]]:
    """Return the images that have an entry, and their entries, split by split. One without is a fault."""
    members = [image for split in images.values() for image in split]
    places, doubtful = match_names([image.names for image in members], [row.image_id for row in rows])
    for text in doubtful:
        faults.add(f"{source.name}: {text}; expected one image a name; give the folder in the names as well")
    place_of = {id(image): place for image, place in zip(members, places, strict=True)}
    kept: dict[str, list[CaptionedImage]] = {}
    found: dict[str, list[FeatureRow]] = {}
    for split, all_of in images.items():
        pairs = [(image, place) for image in all_of if (place := place_of[id(image)]) is not None]
        kept[split], found[split] = [image for image, _ in pairs], [rows[place] for _, place in pairs]
        if missing := [image.name for image in all_of if place_of[id(image)] is None]:
            told = (
                f"{source.name}: no row for {len(missing)} of {len(all_of)} images of {split}, the first is "
                f"{missing[0]}; expected all; give the files that have them as well, or leave {split} out of --splits"
            )
            if not pairs:
                faults.refuse()
                raise DataError(told)
            faults.add(told)
    return kept, found


def _regions(rows: Sequence[FeatureRow], asked: RowsRequest) -> int:
    """Return the number of regions; DataError where images have fewer boxes than that, or numbers that differ."""
    fewest, most = min(rows, key=lambda row: row.boxes), max(rows, key=lambda row: row.boxes)
    boxes = asked.boxes
    if boxes is None:
        if fewest.boxes != most.boxes:
            raise DataError(
                f"{fewest.where} has {fewest.boxes} boxes and {most.where} {most.boxes}; expected as many for every "
                f"image; keep the first so many of each with, say, --boxes 36"
            )
        return most.boxes
    if fewest.boxes < boxes and not asked.repeat_boxes:
        few = sum(row.boxes < boxes for row in rows)
        raise DataError(
            f"{fewest.where}: has {fewest.boxes} boxes, and {few - 1} other images have fewer than {boxes}; expected "
            f"{boxes} or more; give --boxes {fewest.boxes}, or --repeat-boxes to fill up with an image's own boxes"
        )
    return boxes
