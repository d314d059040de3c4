"""Imports bottom-up-attention's TSV: image_id, image_w, image_h, num_boxes, boxes, features; the last two are base64.

Every image of a dataset folder has the same number of regions, and the published files have 10 to 100 boxes an image or
36. Of uneven numbers nothing is cut or filled unasked: `boxes` keeps the first K of each image, in the file's order,
which is the detector's order of proposals (the file has no scores to choose by); an image with fewer is refused, or
with `repeat_boxes` filled by its own boxes from the first on, which weighs those more.

The file is read twice. The first pass finds every fault that the sizes show, before anything is written; the second
decodes the rows that are wanted.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camp_bench.data.folder.staging import Progress, Staging, file_identity, finite_as
from camp_bench.data.imports.captions import CaptionedImage, caption_texts, image_key
from camp_bench.errors import ConfigError, DataError

__all__ = ["COLUMNS", "import_bottom_up"]

COLUMNS = ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features")
LINE_BYTES = 64 * 2**20
"""The longest line that is read: 100 boxes of 2,048 numbers take 1.1 MB."""

BOX_BYTES, NUMBER_BYTES = 16, 4
"""Of a box, four float32, and of a number."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One line: where it is and what its sizes say."""

    file: Path
    line: int
    offset: int
    image_id: str
    boxes: int
    feature_size: int

    @property
    def where(self) -> str:
        return f"{self.file}: line {self.line} (image {self.image_id})"


def import_bottom_up(
    files: Sequence[Path],
    dest: Path,
    images: Mapping[str, Sequence[CaptionedImage]],
    *,
    captions_plan: Mapping[str, str],
    boxes: int | None = None,
    repeat_boxes: bool = False,
    dtype: str = "float32",
    restart: bool = False,
    progress: Progress,
) -> dict[str, tuple[int, int, int]]:
    """Import the images of each split from the files, and return the shapes (images, regions, feature size).

    captions_plan: what the images were read from. Raises DataError, naming file, line and image, where a row can't be
    used, an image is missing or there twice, or the numbers of boxes differ and `boxes` says nothing.
    """
    if boxes is not None and boxes < 1:
        raise ConfigError(f"--boxes: got {boxes}; expected 1 or more")
    if repeat_boxes and boxes is None:
        raise ConfigError("--repeat-boxes: fills up to --boxes, which isn't given; expected both")
    plan = {str(file): file_identity(file) for file in files} | dict(captions_plan)
    place = {image.key: (split, row) for split, members in images.items() for row, image in enumerate(members)}
    rows = _find_rows(files, place, progress)
    _require_all(images, rows, files)
    regions = _regions(list(rows.values()), boxes, repeat_boxes)
    size = next(iter(rows.values())).feature_size
    shapes = {split: (len(members), regions, size) for split, members in images.items()}
    plan |= {"regions": str(regions), "repeat_boxes": str(repeat_boxes), "dtype": dtype}
    cut = sum(row.boxes > regions for row in rows.values())
    filled = sum(row.boxes < regions for row in rows.values())
    with Staging(dest, plan, restart=restart) as staging:
        there = staging.add_features(shapes, dtype, progress)
        label = f"importing {', '.join(images)}"
        progress(label, there, len(rows))
        done = {split: staging.done(split) for split in images}
        wanted = (row for key, row in rows.items() if not done[place[key][0]][place[key][1]])
        for number, (row, features) in enumerate(_decode(wanted), there + 1):
            split, at = place[image_key(row.image_id)]
            taken = features[np.arange(regions) % row.boxes][np.newaxis]
            staging.write(split, at, finite_as(dtype, taken, row.where, 0))
            progress(label, number, len(rows))
        staging.finish(caption_texts(images), {"images_cut": cut, "images_filled": filled})
    return shapes


def _find_rows(files: Sequence[Path], wanted: Mapping[str, object], progress: Progress) -> dict[str, _Row]:
    """Return the wanted rows by the key of their image, in the order of the files. All rows are checked."""
    found: dict[str, _Row] = {}
    seen: dict[str, _Row] = {}
    total, read = sum(file.stat().st_size for file in files), 0
    first: _Row | None = None
    for file in files:
        for line, (offset, content) in enumerate(_lines(file), 1):
            fields = content.rstrip(b"\r\n").split(b"\t")
            read += len(content)
            progress("reading sizes, MB", read // 10**6, total // 10**6)
            if line == 1 and fields[0] == b"image_id":  # a header, which the published files don't have
                continue
            row = _measure(fields, file, line, offset)
            first = first or row
            if row.feature_size != first.feature_size:
                raise DataError(
                    f"{row.where}: has features of size {row.feature_size}, {first.where} of {first.feature_size}; "
                    f"expected one size; import files of one extractor"
                )
            key = image_key(row.image_id)
            if (before := seen.setdefault(key, row)) is not row:
                raise DataError(
                    f"{row.where}: the same image as {before.where}; expected every image once; remove one of the lines"
                )
            if key in wanted:
                found[key] = row
    return found


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield offset and content of every line that isn't blank."""
    try:
        with file.open("rb") as stream:
            offset = 0
            while content := stream.readline(LINE_BYTES):
                if len(content) == LINE_BYTES:
                    raise DataError(
                        f"{file}: the line at byte {offset} is longer than {LINE_BYTES:,} bytes; expected one image "
                        f"a line; give bottom-up-attention's TSV"
                    )
                if content.strip():
                    yield offset, content
                offset += len(content)
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); expected a readable TSV file") from None


def _measure(fields: Sequence[bytes], file: Path, line: int, offset: int) -> _Row:
    """Check everything about a row that can be told without decoding it."""
    where = f"{file}: line {line}"
    if len(fields) != len(COLUMNS):
        start = b" ".join(fields)[:40].decode("utf-8", "backslashreplace")
        raise DataError(
            f"{where}: has {len(fields)} columns, {start!r}; expected {len(COLUMNS)}, {' '.join(COLUMNS)}, "
            f"with tabs between; the file is cut off there or another one"
        )
    image_id = fields[0].decode("utf-8", "backslashreplace").strip()
    where += f" (image {image_id})"
    count = fields[3].decode("ascii", "backslashreplace").strip()
    if not image_id or not (count.isdecimal() and len(count) < 7 and int(count)):
        raise DataError(f"{where}: num_boxes is {count[:20]!r}; expected a number of boxes, 1 or more; mend the line")
    boxes = int(count)
    box_bytes, feature_bytes = (_decoded_bytes(fields[i], f"{where}: {COLUMNS[i]}") for i in (4, 5))
    if box_bytes != boxes * BOX_BYTES:
        raise DataError(
            f"{where}: boxes holds {box_bytes} bytes for {boxes} boxes; expected {boxes * BOX_BYTES}, four float32 "
            f"a box; mend the line"
        )
    if not feature_bytes or feature_bytes % (boxes * NUMBER_BYTES):
        raise DataError(
            f"{where}: features holds {feature_bytes} bytes for {boxes} boxes; expected a multiple of "
            f"{boxes * NUMBER_BYTES}, float32; mend the line"
        )
    return _Row(file, line, offset, image_id, boxes, feature_bytes // (boxes * NUMBER_BYTES))


def _decoded_bytes(text: bytes, where: str) -> int:
    if len(text) % 4:
        raise DataError(f"{where} isn't base64, it has {len(text)} letters; expected a multiple of 4; mend the line")
    return len(text) // 4 * 3 - text[-2:].count(b"=")


def _require_all(
    images: Mapping[str, Sequence[CaptionedImage]], rows: Mapping[str, _Row], files: Sequence[Path]
) -> None:
    for split, members in images.items():
        if missing := [image.name for image in members if image.key not in rows]:
            raise DataError(
                f"{', '.join(map(str, files))}: no row for {len(missing)} of {len(members)} images of {split}, the "
                f"first is {missing[0]}; expected all; give the TSV files that have them as well, or leave {split} "
                f"out of --splits"
            )


def _regions(rows: Sequence[_Row], boxes: int | None, repeat_boxes: bool) -> int:
    """Return the number of regions; DataError where images have fewer boxes than that, or numbers that differ."""
    fewest, most = min(rows, key=lambda row: row.boxes), max(rows, key=lambda row: row.boxes)
    if boxes is None:
        if fewest.boxes != most.boxes:
            raise DataError(
                f"{fewest.where} has {fewest.boxes} boxes and {most.where} {most.boxes}; expected as many for every "
                f"image; keep the first so many of each with, say, --boxes 36"
            )
        return most.boxes
    if fewest.boxes < boxes and not repeat_boxes:
        few = sum(row.boxes < boxes for row in rows)
        raise DataError(
            f"{fewest.where}: has {fewest.boxes} boxes, and {few - 1} other images have fewer than {boxes}; expected "
            f"{boxes} or more; give --boxes {fewest.boxes}, or --repeat-boxes to fill up with an image's own boxes"
        )
    return boxes


def _decode(rows: Iterator[_Row]) -> Iterator[tuple[_Row, npt.NDArray[np.float32]]]:
    """Yield each row with its features, (boxes, feature size)."""
    stream, opened = None, None
    try:
        for row in rows:
            if stream is None or opened != row.file:
                if stream is not None:
                    stream.close()
                stream, opened = row.file.open("rb"), row.file
            stream.seek(row.offset)
            fields = stream.readline(LINE_BYTES).rstrip(b"\r\n").split(b"\t")
            if len(fields) != len(COLUMNS):
                raise DataError(f"{row.where}: was changed while it was read; expected a file that rests; try again")
            _decode_base64(fields[4], row, COLUMNS[4])
            content = _decode_base64(fields[5], row, COLUMNS[5])
            yield row, np.frombuffer(content, "<f4").reshape(row.boxes, row.feature_size)
    finally:
        if stream is not None:
            stream.close()


def _decode_base64(text: bytes, row: _Row, column: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        start = text[:20].decode("ascii", "backslashreplace")
        raise DataError(
            f"{row.where}: {column} isn't base64 ({error}), it starts with {start!r}; expected base64 of float32; "
            f"mend the line"
        ) from None
