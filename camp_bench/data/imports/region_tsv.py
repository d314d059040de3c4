"""Region features in TSV, a line an image, arrays as base64 of float32: bottom-up attention's, LXMERT's and VinVL's.

    image_id image_w image_h num_boxes boxes features                          bottom-up attention, no heading
    img_id img_h img_w objects_id objects_conf attrs_id attrs_conf num_boxes boxes features       LXMERT
    image_id num_boxes features                                                VinVL, as its retrieval data has it
    image_id {"num_boxes": ..., "features": ...}                               VinVL, as its feature files have it

VinVL's features have 2,054 numbers a box, 2,048 and 6 of its position. A `.lineidx` beside a file has the offset of
each line, which is held against it: so a file that was cut off at the end of a line is found as well.
"""

from __future__ import annotations

import binascii
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from camp_bench.config.text import read_whole, without_mark
from camp_bench.data.folder.staging import Progress
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.looks import looks_like
from camp_bench.data.imports.requests import ImportRequest
from camp_bench.data.imports.rows import FeatureRow, FilesOfRows, assemble
from camp_bench.errors import DataError

__all__ = ["RegionTsv", "claims", "read"]

LINE_BYTES = 64 * 2**20
"""The longest line that is read: 100 boxes of 2,048 numbers take 1.1 MB."""

BOX_BYTES, NUMBER_BYTES = 16, 4
"""Of a box, four float32, and of a number."""
SAMPLED_LINES = 9
"""By which most of a file's lines are told to be of one kind."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the columns of a file are. boxes: None where it has no column of box corners."""

    names: tuple[str, ...]
    count: int
    boxes: int | None
    features: int


_BOTTOM_UP = _Kind(("image_id", "image_w", "image_h", "num_boxes", "boxes", "features"), 3, 4, 5)
_LXMERT = "img_id img_h img_w objects_id objects_conf attrs_id attrs_conf num_boxes boxes features"
KINDS = {
    6: _BOTTOM_UP,
    10: _Kind(tuple(_LXMERT.split()), 7, 8, 9),
    3: _Kind(("image_id", "num_boxes", "features"), 1, None, 2),
    2: _Kind(("image_id", "JSON of num_boxes and features"), 1, None, 1),
}
"""By the number of columns."""
HEADINGS = (b"image_id", b"img_id")


class _VinVL(msgspec.Struct):
    """The second column of VinVL's feature files."""

    num_boxes: int
    features: str


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    file: int
    offset: int


def claims(sources: Sequence[Path]) -> bool:
    """Return whether these may be TSV files: files that look like nothing else."""
    return all(source.is_file() and looks_like(source) is None for source in sources)


def read(request: ImportRequest) -> dict[str, tuple[int, int, int]]:
    """Make the folder, and return the shapes of its splits."""
    return assemble(RegionTsv(request.sources), request.for_rows())


class RegionTsv(FilesOfRows):
    """Lines of one or more files of one kind or several."""

    def __init__(self, files: Sequence[Path]) -> None:
        super().__init__(files)
        self._kinds: dict[Path, _Kind] = {}

    def rows(self, faults: Faults, progress: Progress) -> Iterator[FeatureRow]:
        total, done = sum(file.stat().st_size for file in self.files), 0
        for number, file in enumerate(self.files):
            kind = self._kinds[file] = _find_kind(file)
            offsets: list[int] = []
            for line, (offset, content) in enumerate(_lines(file), 1):
                fields = without_mark(content).rstrip(b"\r\n").split(b"\t")
                done += len(content)
                progress("reading sizes, MB", done // 10**6, total // 10**6)
                offsets.append(offset)
                if line == 1 and fields[0] in HEADINGS:  # which the published files don't have
                    continue
                with faults.noted():
                    yield _measure(fields, kind, f"{file}: line {line}", _Place(number, offset))
            _check_offsets(file, offsets, faults)

    def read(self, row: FeatureRow) -> npt.NDArray[np.floating]:
        file = self.files[row.place.file]
        kind = self._kinds[file]
        with file.open("rb") as stream:
            stream.seek(row.place.offset)
            fields = without_mark(stream.readline(LINE_BYTES)).rstrip(b"\r\n").split(b"\t")
        if len(fields) != len(kind.names):
            raise DataError(f"{row.where}: was changed while it was read; expected a file that rests; try again")
        if kind.boxes is not None:
            _decode_base64(fields[kind.boxes], row, "boxes")
        _, features = _count_and_features(fields, kind, row.where)
        return np.frombuffer(_decode_base64(features, row, "features"), "<f4").reshape(row.boxes, row.feature_size)


def _find_kind(file: Path) -> _Kind:
    """Return the kind that most of the first lines have; DataError where they have none."""
    counts: Counter[int] = Counter()
    start = b""
    for _, (_, content) in zip(range(SAMPLED_LINES), _lines(file), strict=False):
        start = start or content
        counts[content.count(b"\t") + 1] += 1
    for columns, _ in counts.most_common():
        if columns == 2 and b"{" not in start.partition(b"\t")[2][:2]:
            continue
        if columns in KINDS:
            return KINDS[columns]
    if not counts:
        return _BOTTOM_UP  # an empty file: there will be no row for any image
    expected = "; ".join(f"{len(kind.names)}, {' '.join(kind.names)}" for kind in KINDS.values())
    shown = b" ".join(start.split(b"\t"))[:40].decode("utf-8", "backslashreplace")
    raise DataError(
        f"{file}: line 1: has {start.count(bytes([9])) + 1} columns, {shown!r}; expected one of: {expected}, with tabs "
        f"between; give features of a known format"
    )


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


def _measure(fields: Sequence[bytes], kind: _Kind, where: str, place: _Place) -> FeatureRow:
    """Check everything about a row that can be told without decoding it."""
    if len(fields) != len(kind.names):
        start = b" ".join(fields)[:40].decode("utf-8", "backslashreplace")
        raise DataError(
            f"{where}: has {len(fields)} columns, {start!r}; expected {len(kind.names)}, {' '.join(kind.names)}, "
            f"with tabs between; the file is cut off there or another one"
        )
    image_id = fields[0].decode("utf-8", "backslashreplace").strip()
    where += f" (image {image_id})"
    count, features = _count_and_features(fields, kind, where)
    boxes = read_whole(count) if len(count) < 7 else None
    if not image_id or not boxes:
        raise DataError(f"{where}: num_boxes is {count[:20]!r}; expected a number of boxes, 1 or more; mend the line")
    if kind.boxes is not None:
        box_bytes = _decoded_bytes(fields[kind.boxes], f"{where}: boxes")
        if box_bytes != boxes * BOX_BYTES:
            raise DataError(
                f"{where}: boxes holds {box_bytes} bytes for {boxes} boxes; expected {boxes * BOX_BYTES}, four float32 "
                f"a box; mend the line"
            )
    feature_bytes = _decoded_bytes(features, f"{where}: features")
    if not feature_bytes or feature_bytes % (boxes * NUMBER_BYTES):
        raise DataError(
            f"{where}: features holds {feature_bytes} bytes for {boxes} boxes; expected a multiple of "
            f"{boxes * NUMBER_BYTES}, float32; mend the line"
        )
    return FeatureRow(where, image_id, boxes, feature_bytes // (boxes * NUMBER_BYTES), place)


def _count_and_features(fields: Sequence[bytes], kind: _Kind, where: str) -> tuple[str, bytes]:
    """Return the number of boxes, as it is written, and the base64 of the features."""
    if len(kind.names) > 2:
        return fields[kind.count].decode("ascii", "backslashreplace").strip(), fields[kind.features].strip()
    try:
        entry = msgspec.json.decode(fields[1], type=_VinVL)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{where}: isn't JSON of num_boxes and features ({error}); mend the line") from None
    return str(entry.num_boxes), entry.features.encode()


def _decoded_bytes(text: bytes, where: str) -> int:
    if len(text) % 4:
        raise DataError(f"{where} isn't base64, it has {len(text)} letters; expected a multiple of 4; mend the line")
    return len(text) // 4 * 3 - text[-2:].count(b"=")


def _decode_base64(text: bytes, row: FeatureRow, column: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        start = text[:20].decode("ascii", "backslashreplace")
        raise DataError(
            f"{row.where}: {column} isn't base64 ({error}), it starts with {start!r}; expected base64 of float32; "
            f"mend the line"
        ) from None


def _check_offsets(file: Path, offsets: Sequence[int], faults: Faults) -> None:
    """Hold the lines against the `.lineidx` beside the file, where there is one."""
    index = file.with_suffix(".lineidx")
    if not index.is_file():
        return
    words = without_mark(index.read_bytes()).split()
    known = [int(word) for word in words if re.fullmatch(rb"[0-9]{1,18}", word)]
    if known != list(offsets):
        faults.add(
            f"{index}: has the offsets of {len(words):,} lines, and {file} has {len(offsets):,} lines, not all of them "
            f"there; expected the index of this file; get both again, or remove the index if the file is whole"
        )
