"""Reads captions from tables whose first line names the columns, with commas, semicolons, pipes or tabs between.

    image,caption                             Kaggle's captions.txt of Flickr8k and Flickr30k
    image_name| comment_number| comment       Flickr30K's results.csv
    file_name,caption_1,...,caption_5         Clotho
    key,vid_key,video_id,sentence             MSR-VTT, with semicolons as well

A column `split` is used where there is one.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from camp_bench.config.text import decode_text
from camp_bench.data.folder.texts import read_content, strip_text
from camp_bench.data.imports.caption_table import NO_SPLIT, add_caption
from camp_bench.data.imports.captions import CaptionedImage, clean_name, read_split_word, unique_images
from camp_bench.data.imports.faults import Faults
from camp_bench.errors import DataError

__all__ = ["has_heading", "read_delimited"]

DELIMITERS = ",;|\t"
NAME_COLUMNS = ("image", "image_name", "file_name", "filename", "file", "img", "video_id", "image_id", "video", "path")
CAPTION_COLUMN = re.compile(r"(caption|comment|sentence|description|text|raw)s?(_?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class _Heading:
    """Which columns hold what. split: None where no column says it."""

    delimiter: str
    columns: int
    name: int
    captions: tuple[int, ...]
    split: int | None


def has_heading(file: Path) -> bool:
    """Return whether the first line names a column of pictures and one of captions."""
    with file.open("rb") as stream:
        first = stream.readline(4096)
    return _find_heading(first.decode("utf-8-sig", "replace")) is not None


def _find_heading(line: str) -> _Heading | None:
    for delimiter in DELIMITERS:
        words = [strip_text(word).strip("\"'").lower() for word in line.split(delimiter)]
        captions = tuple(place for place, word in enumerate(words) if CAPTION_COLUMN.fullmatch(word))
        names = [words.index(word) for word in NAME_COLUMNS if word in words]
        if names and captions and len(words) > 1:
            return _Heading(
                delimiter, len(words), names[0], captions, words.index("split") if "split" in words else None
            )
    return None


def read_delimited(file: Path, split: str | None, faults: Faults) -> list[CaptionedImage]:
    """Return the images of the file in the order of their first captions. split: take all into this one.

    Images are of `NO_SPLIT` where neither a column nor `split` says it. A row that is wrong is a fault.
    """
    text = decode_text(read_content(file), file, DataError)
    heading = _find_heading(text.partition("\n")[0])
    if heading is None:
        raise DataError(f"{file}: line 1 names no columns of pictures and captions; expected them; add the line")
    images: dict[str, tuple[str, CaptionedImage]] = {}
    for line, cells in _rows(text, heading.delimiter):
        where = f"{file}: line {line}"
        with faults.noted():
            if len(cells) > heading.columns and heading.captions == (heading.columns - 1,):  # commas without quotes
                cells[heading.columns - 1 :] = [heading.delimiter.join(cells[heading.columns - 1 :])]
            if len(cells) != heading.columns:
                raise DataError(
                    f"{where}: has {len(cells)} columns, {heading.delimiter.join(cells)[:40]!r}; expected "
                    f"{heading.columns}, as the first line names; mend it"
                )
            named = split or NO_SPLIT
            if split is None and heading.split is not None:
                named = read_split_word(cells[heading.split].strip(), where)
            name = clean_name(cells[heading.name], f"{where}, picture")
            for place in heading.captions:
                with faults.noted():
                    add_caption(images, name, named, cells[place], f"{where}, caption", f"line {line}")
    if not images and not faults.count:
        raise DataError(f"{file}: has no rows after the first line; expected a caption or more; get the file again")
    return unique_images(images.values(), file, faults)


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of every row but the first; pipes stand in no quotes, and a caption may hold some."""
    if delimiter == "|":
        for line, content in enumerate(text.split("\n")[1:], 2):
            if content.strip():
                yield line, [cell.strip() for cell in content.removesuffix("\r").split("|", 2)]
        return
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
    next(reader)
    begin = reader.line_num + 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"line {begin}: isn't CSV ({error}); expected cells with {delimiter!r} between; mend it"
        ) from None
