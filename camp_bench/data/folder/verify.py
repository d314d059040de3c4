"""Checks a dataset folder and finds all that is wrong with it, where opening it would stop at the first.

An error is what a run refuses, or what makes its figures worthless, such as an image of test in train. A warning is
what a run can live with and whoever made the folder should know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from camp_bench.config.text import BYTE_ORDER_MARK, is_blank
from camp_bench.data.fingerprints import CAPTIONS_AN_IMAGE, differing_group
from camp_bench.data.folder.layout import SPLITS, captions_a_row, differing_rows
from camp_bench.data.folder.staging import Progress
from camp_bench.data.folder.texts import (
    find_caption_faults,
    find_id_faults,
    find_index_faults,
    ids_an_image,
    read_content,
    split_lines,
)
from camp_bench.data.leaks import shared_captions, shared_ids
from camp_bench.data.tokenizers import TokenizerName, segmentation_warning, tokenize
from camp_bench.data.vocabulary import build_vocabulary, unknown_share
from camp_bench.errors import DataError
from camp_bench.records.npy import Header, read_header, read_rows

__all__ = ["Problem", "verify_folder"]

SHOWN = 5
"""Faults of one kind in one file that are listed one by one; more are counted."""

HUGE = 1e6
"""Features of detectors stay below a hundred: beyond this, one is broken."""
CHUNK_BYTES = 16 * 2**20
NESTED = {"test", "testall"}
"""COCO's test is a part of testall, so they share images on purpose."""

MISREAD = ("\ufffd", "Ã©", "Ã¨", "â€™", "â€œ", "Ã¼")
"""What is left of letters that were read in another encoding than they were written in."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. where: the file or files."""

    severity: Literal["error", "warning"]
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.where}: {self.text}"


@dataclass(slots=True)
class _Found:
    """What is known of a split, as far as its files could be read. hashes: of each image's features."""

    name: str
    header: Header | None = None
    captions: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    image_of: npt.NDArray[np.int64] | None = None
    hashes: list[bytes] = field(default_factory=list)


def verify_folder(folder: Path, progress: Progress, tokenizer: TokenizerName = "treebank") -> Iterator[Problem]:
    """Yield the problems of a folder in SCAN's layout, split by split, then those between splits.

    All features are read once, a few megabytes at a time. tokenizer: that the captions will be split by.
    Raises DataError where there is no such folder.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise DataError(f"{folder}: {what}; expected a folder with {{train,dev,test}}_ims.npy and _caps.txt")
    names = [name for name in SPLITS if any((folder / f"{name}_{kind}").exists() for kind in ("ims.npy", "caps.txt"))]
    if not names:
        raise DataError(f"{folder}: has no split; expected {{train,dev,test}}_ims.npy and _caps.txt in it")
    for name in [split for split in SPLITS[:3] if split not in names]:
        yield Problem("warning", str(folder), f"has no split {name}; a run needs train, dev and test")
    splits = []
    for name in names:
        found = _Found(name)
        yield from _check_texts(folder, found)
        yield from _check_features(folder, found, progress)
        splits.append(found)
    yield from _check_sizes(splits)
    yield from _check_words(splits, tokenizer, progress)
    for one, other in combinations(splits, 2):
        if {one.name, other.name} != NESTED:
            yield from _check_shared(one, other)


def _check_texts(folder: Path, found: _Found) -> Iterator[Problem]:
    """Check captions, ids and index for themselves and against the number of rows, and keep them."""
    ims, caps, ids, index = (f"{found.name}_{kind}" for kind in ("ims.npy", "caps.txt", "ids.txt", "index.txt"))
    try:
        with (folder / ims).open("rb") as stream:
            found.header = read_header(stream, ims)
        found.header.require_features(ims, (folder / ims).stat().st_size)
    except OSError as error:
        yield Problem("error", ims, f"can't be read ({error.strerror}); expected the features of {found.name}")
    except DataError as error:
        found.header = None
        yield _problem(error, ims)
    rows = found.header.shape[0] if found.header else None
    captions = yield from _lines(folder / caps)
    yield from _listed(caps, "captions", (text for _, text in find_caption_faults(captions)))
    yield from _check_captions(caps, captions)
    found.captions = captions
    if rows is None or not captions:
        return
    every = 1
    if (folder / index).exists():
        lines = yield from _lines(folder / index)
        faults = list(find_index_faults(lines, rows, len(captions)))
        yield from _listed(index, "lines", faults)
        if not faults:
            found.image_of = np.array([int(line) for line in lines], dtype=np.int64)
    else:
        try:
            every = CAPTIONS_AN_IMAGE if captions_a_row(rows, len(captions), ims, caps) == 1 else 1
            found.image_of = np.arange(len(captions), dtype=np.int64) // CAPTIONS_AN_IMAGE
        except DataError as error:
            yield _problem(error, caps)
    if (folder / ids).exists():
        lines = yield from _lines(folder / ids, exact=True)
        grouped = not (folder / index).exists()
        yield from _listed(ids, "lines", find_id_faults(lines, rows // every, grouped=grouped))
        images = lines[:: ids_an_image(lines, rows // every, grouped=grouped)]
        if images != [str(row) for row in range(len(images))]:  # which only numbers the images
            found.ids = images


def _check_captions(caps: str, captions: Sequence[str]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    again = [(line, text) for line, text in enumerate(captions, 1) if text and first.setdefault(text, line) != line]
    if again:
        line, text = again[0]
        yield Problem(
            "warning",
            caps,
            f"{len(again):,} of {len(captions):,} captions repeat an earlier one, the first is line {line}, "
            f"{text[:40]!r} of line {first[text]}",
        )
    odd = [line for line, text in enumerate(captions, 1) if any(letters in text for letters in MISREAD)]
    if odd:
        yield Problem(
            "warning",
            caps,
            f"{_count(odd, 'caption seems', 'captions seem')} to have been read in a wrong encoding, the first is line "
            f"{odd[0]}, {captions[odd[0] - 1][:40]!r}",
        )


def _check_features(folder: Path, found: _Found, progress: Progress) -> Iterator[Problem]:
    """Read all features: numbers that aren't finite, images that are nothing or twice there; keep a hash an image."""
    header, ims = found.header, f"{found.name}_ims.npy"
    if header is None:
        return
    if header.dtype not in (np.float16, np.float32):
        remedy = "import the folder" if header.dtype.kind == "f" else "save it again after .astype('float32')"
        yield Problem("error", ims, f"holds {header.dtype} values; expected float16 or float32; {remedy}")
        found.header = None
        return
    if (more := (folder / ims).stat().st_size - header.file_bytes) > 0:
        yield Problem("warning", ims, f"has {more:,} bytes more than its header announces")
    rows = header.shape[0]
    repeated = rows == len(found.captions) and not (folder / f"{found.name}_index.txt").exists()
    every = CAPTIONS_AN_IMAGE if repeated and rows % CAPTIONS_AN_IMAGE == 0 else 1
    bad: list[str] = []
    empty: list[int] = []
    huge: list[int] = []
    differing: list[int] = []
    with (folder / ims).open("rb") as stream:
        step = max(1, CHUNK_BYTES // (header.row_bytes * every)) * every
        for first, chunk in read_rows(stream, header, ims, start=0, step=step):
            images = np.ascontiguousarray(chunk[::every])
            flat = images.reshape(len(images), -1)
            finite = np.isfinite(flat).all(axis=1)
            bad += [f"row {first + int(i) * every} has a NaN or infinite feature" for i in np.flatnonzero(~finite)]
            huge += [
                first + int(i) * every
                for i in np.flatnonzero(finite & (np.abs(flat).max(axis=1).astype(np.float64) > HUGE))
            ]
            empty += [first + int(i) * every for i in np.flatnonzero(~flat.any(axis=1))]
            starts = np.arange(0, len(chunk), every, dtype=np.int64)
            whole = chunk.reshape(len(chunk), 1, -1)
            if every > 1 and (row := differing_group(whole, starts)) is not None:
                differing.append(first + row)
            found.hashes += [hashlib.blake2b(row.data, digest_size=16).digest() for row in flat]
            progress(f"reading {found.name}", min(first + step, rows), rows)
    yield from _listed(ims, "rows", (f"{text}; expected finite numbers; extract that image again" for text in bad))
    if differing:
        yield Problem("error", ims, differing_rows(rows, differing[0], ims))
    if huge:
        told = _count(huge, "image has", "images have")
        yield Problem(
            "warning", ims, f"{told} a feature beyond {HUGE:,.0f}, which sums can't hold; the first is row {huge[0]}"
        )
    if empty:
        yield Problem(
            "warning", ims, f"{_count(empty, 'image is', 'images are')} all zeros, the first is row {empty[0]}"
        )
    place: dict[bytes, int] = {}
    again = [(n, key) for n, key in enumerate(found.hashes) if place.setdefault(key, n) != n]
    if again:
        number, key = again[0]
        yield Problem(
            "warning",
            ims,
            f"{_count(again, 'image has', 'images have')} the features of an earlier one, the first is "
            f"image {number}, that of {place[key]}",
        )


def _check_sizes(splits: Sequence[_Found]) -> Iterator[Problem]:
    """Compare the feature sizes, regions and dtypes of the splits."""
    known = [(split.name, split.header) for split in splits if split.header is not None]
    if not known:
        return
    name, first = known[0]
    for other, header in known[1:]:
        files = f"{name}_ims.npy, {other}_ims.npy"
        if header.shape[-1] != first.shape[-1]:
            yield Problem("error", files, f"feature sizes {first.shape[-1]} and {header.shape[-1]}; expected one size")
        elif header.shape[1:] != first.shape[1:]:
            yield Problem("warning", files, f"{first.shape[1]} and {header.shape[1]} regions an image")
        if header.dtype != first.dtype:
            yield Problem("warning", files, f"{first.dtype} and {header.dtype}")


def _check_words(splits: Sequence[_Found], tokenizer: TokenizerName, progress: Progress) -> Iterator[Problem]:
    """Look for captions that aren't split into words, or into words that hardly ever come again."""
    tokens: dict[str, list[list[str]]] = {}
    for number, split in enumerate(splits, 1):
        tokens[split.name] = [tokenize(text, tokenizer) for text in split.captions if not is_blank(text)]
        progress("splitting captions into words", number, len(splits))
    try:
        vocabulary = build_vocabulary(
            (words for name in ("train", "dev") for words in tokens.get(name, ())), tokenizer=tokenizer
        )
    except DataError:  # no word occurs often enough
        vocabulary = None
    for name, lists in tokens.items():
        unknown = unknown_share(lists, vocabulary) if vocabulary and any(lists) else 0.0
        if told := segmentation_warning(lists, tokenizer, unknown, what=name):
            yield Problem("warning", f"{name}_caps.txt", told)


def _check_shared(one: _Found, other: _Found) -> Iterator[Problem]:
    """Look for images of one split in another one, by id and by content, and for captions."""
    if shared := shared_ids(one.ids, other.ids):
        yield Problem(
            "error",
            f"{one.name}_ids.txt, {other.name}_ids.txt",
            f"{_count(shared, 'image is', 'images are')} in both, the first is {shared[0]!r}; "
            f"expected every image in one split; remove them from one",
        )
    if told := shared_captions(one.name, one.captions, other.name, other.captions):
        yield Problem("warning", f"{one.name}_caps.txt, {other.name}_caps.txt", told)
    place = {key: number for number, key in reversed(list(enumerate(one.hashes)))}
    same = [(place[key], number) for number, key in enumerate(other.hashes) if key in place]
    if same:
        mine, its = same[0]
        yield Problem(
            "warning",
            f"{other.name}_ims.npy",
            f"{_count(same, 'image has', 'images have')} the very features of one of {one.name}, the first is image "
            f"{its}{_named(other, its)}, that of image {mine}{_named(one, mine)}",
        )


def _count(found: Sequence[object], one: str, many: str) -> str:
    return f"{len(found):,} {one if len(found) == 1 else many}"


def _named(found: _Found, image: int) -> str:
    return f" ({found.ids[image]})" if image < len(found.ids) else ""


def _lines(file: Path, *, exact: bool = False) -> Generator[Problem, None, list[str]]:
    """Yield what is wrong with a text file as a whole, and return its lines; none where it can't be read."""
    try:
        content = read_content(file)
        if content.startswith(BYTE_ORDER_MARK):
            yield Problem("warning", file.name, "begins with a byte order mark, which is left out")
        return split_lines(content, file, exact=exact)
    except DataError as error:
        yield Problem("error", file.name, str(error).removeprefix(f"{file}: "))
        return []


def _listed(where: str, what: str, faults: Iterable[str]) -> Iterator[Problem]:
    """Yield the first faults one by one, and how many more there are."""
    count = 0
    for count, fault in enumerate(faults, 1):
        if count <= SHOWN:
            yield Problem("error", where, fault)
    if count > SHOWN:
        yield Problem("error", where, f"and {count - SHOWN:,} more {what} like these")


def _problem(error: DataError, where: str) -> Problem:
    text = str(error)
    return Problem("error", where, text.removeprefix(f"{where}: "))
