"""The text files of a dataset folder: captions, which image each describes, image ids.

Each has a `find_` function that yields every fault, for `camp-bench data verify`, and a `read_` function that raises
the first one. Only a line feed ends a line: captions can hold U+2028 and the like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camp_bench.config.text import INVISIBLE, decode_text, is_blank, read_whole
from camp_bench.data.fingerprints import CAPTIONS_AN_IMAGE
from camp_bench.errors import DataError

__all__ = [
    "PRINTED_BYTES",
    "find_caption_faults",
    "find_id_faults",
    "find_index_faults",
    "ids_an_image",
    "read_captions",
    "read_content",
    "read_ids",
    "read_index",
    "split_lines",
    "strip_text",
]

PRINTED_BYTES = re.compile(r"""b(['"]).*\1""")
SPACES = re.compile(rf"\A[\s{INVISIBLE}]+|[\s{INVISIBLE}]+\Z")


def read_content(file: Path) -> bytes:
    """Return what the file holds; DataError where it can't be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); expected a readable text file") from None


def split_lines(content: bytes, where: object, *, exact: bool = False) -> list[str]:
    """Return the lines of UTF-8 text; DataError where it is anything else or empty.

    exact: keep the spaces around each, as in names of files, of which they may be a part.
    """
    lines = decode_text(content, where, DataError).split("\n")
    lines = [line.removesuffix("\r") if exact else strip_text(line) for line in lines]
    for _ in range(2):  # the last line's end, and one blank line after it
        if lines and not lines[-1].strip():
            lines.pop()
    if not lines:
        raise DataError(f"{where}: has no lines; expected one a caption or image; get the file again")
    return lines


def strip_text(text: str) -> str:
    """Return a text without the spaces, of any width or none, around it."""
    return SPACES.sub("", text)


def read_captions(content: bytes, where: object) -> tuple[str, ...]:
    """Return the captions, none of them empty."""
    captions = split_lines(content, where)
    _raise_first((text for _, text in find_caption_faults(captions)), where)
    return tuple(captions)


def find_caption_faults(captions: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the line of each caption that is wrong, and what is wrong with it."""
    for line, caption in enumerate(captions, 1):
        if is_blank(caption):
            what = f"{caption[:20]!a}, which shows nothing" if caption else "empty"
            yield line, f"line {line} is {what}; expected a caption on every line; write one there"
        elif PRINTED_BYTES.fullmatch(caption):
            told = (
                f"line {line} is printed Python bytes, {caption[:40]!r}; expected plain text; a Python 3 port "
                f"wrote str(caption) of bytes, so write caption.decode('utf-8') instead"
            )
            yield line, told


def read_index(content: bytes, where: object, rows: int, n_captions: int) -> npt.NDArray[np.int64]:
    """Return (M,) the image of each caption."""
    lines = split_lines(content, where)
    _raise_first(find_index_faults(lines, rows, n_captions), where)
    return np.array([int(text) for text in lines], dtype=np.int64)


def find_index_faults(lines: Sequence[str], rows: int, n_captions: int) -> Iterator[str]:
    """Yield what is wrong with the lines of an index file."""
    if len(lines) != n_captions:
        yield f"{len(lines)} lines for {n_captions} captions; expected one line a caption; mend it"
    has_caption = np.zeros(rows, dtype=np.bool_)
    for line, text in enumerate(lines, 1):
        row = read_whole(text)
        if row is not None and row < rows:
            has_caption[row] = True
        else:
            yield f"line {line} is {text[:40]!r}; expected the 0-based row of an image, 0 to {rows - 1}; mend it"
    if not has_caption.all():
        yield (
            f"{rows - has_caption.sum()} of {rows} images have no caption, the first is row {has_caption.argmin()}; "
            f"expected one or more captions an image; remove those rows or add captions"
        )


def read_ids(content: bytes, where: object, n_images: int, *, grouped: bool) -> tuple[str, ...]:
    """Return the N image ids; `grouped`: five lines an image will do as well."""
    ids = split_lines(content, where, exact=True)
    _raise_first(find_id_faults(ids, n_images, grouped=grouped), where)
    return tuple(ids[:: ids_an_image(ids, n_images, grouped=grouped)])


def ids_an_image(ids: Sequence[str], n_images: int, *, grouped: bool) -> int:
    """Return how many lines of an id file stand for one image."""
    return CAPTIONS_AN_IMAGE if grouped and len(ids) == CAPTIONS_AN_IMAGE * n_images else 1


def find_id_faults(ids: Sequence[str], n_images: int, *, grouped: bool) -> Iterator[str]:
    """Yield what is wrong with the lines of an id file."""
    every = ids_an_image(ids, n_images, grouped=grouped)
    if len(ids) != every * n_images:
        also = f" or {CAPTIONS_AN_IMAGE * n_images}, one a caption" if grouped else ""
        yield (
            f"{len(ids)} ids for {n_images} images; expected {n_images}{also}; "
            f"mend it, or remove it to number the images"
        )
    images = ids[::every]
    seen: dict[str, int] = {}
    for line, image_id in enumerate(ids, 1):
        image = (line - 1) // every
        if is_blank(image_id):
            yield f"line {line} is empty; expected an id on every line; write one there"
        elif image_id != images[image]:
            yield (
                f"line {line} is {image_id[:40]!r}, of an image whose other id is {images[image][:40]!r}; "
                f"expected {every} equal lines an image; mend it, or remove it to number the images"
            )
        elif seen.setdefault(image_id, image) != image:
            yield (
                f"line {line} repeats {image_id[:40]!r} of line {seen[image_id] * every + 1}; "
                f"expected an id of its own for every image; mend it, or remove it to number the images"
            )


def _raise_first(faults: Iterable[str], where: object) -> None:
    for fault in faults:
        raise DataError(f"{where}: {fault}")
