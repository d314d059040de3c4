"""A run's files as they are read: strictly, an unknown field, another version or another checksum being an error."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy.typing as npt

from camp_bench.config.text import without_mark
from camp_bench.errors import DataError, RecordError
from camp_bench.records.history import decode_record
from camp_bench.records.npy import Header, Npz
from camp_bench.records.run import RECORD_NAME, EvaluationRecord, RunRecord

__all__ = [
    "array_name",
    "file_sha256",
    "read_arrays",
    "read_file",
    "read_record",
    "read_versioned",
    "require_version",
]

HARMLESS_BYTES = 2**28
WHOLE, FLOATS = "iu", "f"
"""Kinds of NumPy dtype that per-query results may have."""
MOST_INFLATED = 100
"""Arrays of more than so many bytes may take so many times what their file has; a run's own take less than 10 times."""

_Kind = TypeVar("_Kind")


class _Versioned(msgspec.Struct):
    """Of a file, its version alone."""

    schema_version: Any = None


def read_record(folder: str | Path) -> RunRecord:
    """Read the record of a run's folder (or the record.json itself) and check that its files are there.

    Raises RecordError for anything missing, unreadable, unknown or of another version.
    """
    folder = Path(folder)
    path = folder / RECORD_NAME if folder.is_dir() else folder
    decode = lambda data: decode_record(data, str(path))
    record = _read(path, decode, name="run record", expected=f"a run's {RECORD_NAME}")
    for name in record.files:
        if not (path.parent / name).is_file() or Path(name).name != name:
            raise RecordError(f"{path}: its file {name} is not there")
    return record


def read_versioned(path: str | Path, kind: type[_Kind], version: int, *, name: str, expected: str) -> _Kind:
    """Read a JSON file as a struct. name, expected: what errors call the struct and the file.

    Raises RecordError for anything missing, unreadable, unknown or of another version.
    """

    def decode(data: bytes) -> _Kind:
        require_version(data, path, version)
        return msgspec.json.decode(data, type=kind)

    return _read(path, decode, name=name, expected=expected)


def _read(path: str | Path, decode: Callable[[bytes], _Kind], *, name: str, expected: str) -> _Kind:
    try:
        data = without_mark(Path(path).read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: can't be read ({error.strerror}); expected {expected}") from None
    try:
        return decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RecordError(f"{path}: not a {name}: {error}") from None


def require_version(data: bytes, path: str | Path, expected: int) -> None:
    """Raise RecordError unless JSON says that it is of this version; msgspec.DecodeError for what is no such object."""
    version = msgspec.json.decode(data, type=_Versioned).schema_version
    if version != expected or isinstance(version, bool):
        raise RecordError(f"{path}: schema version {version}, this camp-bench reads {expected}")


def read_file(folder: Path, record: RunRecord, name: str) -> bytes:
    """Return a file that belongs to a record; RecordError where it is missing or not the one recorded."""
    path = folder / name
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordError(f"{path}: can't be read ({error.strerror})") from None
    if hashlib.sha256(data).hexdigest() != record.files.get(name):
        raise RecordError(f"{path}: not the file that {record.run_id} recorded (checksum differs)")
    return data


def read_arrays(folder: Path, record: RunRecord, name: str) -> dict[str, npt.NDArray[Any]]:
    """Read a .npz that belongs to a record; raises as `read_file` does.

    Per-query results are held against the sizes in the record by their headers, before anything is inflated.
    """
    data = read_file(folder, record, name)
    try:
        arrays = Npz(io.BytesIO(data), folder / name)
        evaluation = next((item for item in record.evaluations if item.queries == name), None)
        if evaluation is not None:
            for key, header in arrays.headers.items():
                _require_queries(f"{folder / name}, {key}", key, header, evaluation)
        if arrays.inflated_bytes() > max(HARMLESS_BYTES, MOST_INFLATED * len(data)):
            raise DataError(
                f"{folder / name}: has {len(data):,} bytes and would take {arrays.inflated_bytes():,} in memory, more "
                f"than {MOST_INFLATED} times as much; expected what a run wrote"
            )
        return {key: arrays.read(key) for key in arrays.headers}
    except DataError as error:
        raise RecordError(str(error)) from None


def _require_queries(where: str, key: str, header: Header, evaluation: EvaluationRecord) -> None:
    """Raise DataError where per-query results, or the list that one belongs to, don't fit the record's sizes."""
    layouts = _query_layouts(evaluation)
    if key not in layouts:
        raise DataError(f"{where}: no per-query result is called so; expected image_of, i2t_b and the like")
    sizes, kinds = layouts[key]
    fits = len(header.shape) == len(sizes) and all(map(range.__contains__, sizes, header.shape))
    if not fits or header.dtype.kind not in kinds:
        told = [f"{size[-1]} or fewer" if len(size) > 1 else str(size[-1]) for size in sizes]
        expected = f"({told[0]},)" if len(told) == 1 else f"({', '.join(told)})"
        what = "whole numbers" if kinds == WHOLE else "floats"
        raise DataError(f"{where}: has shape {header.shape} of {header.dtype}; expected {expected} of {what}")


def _query_layouts(evaluation: EvaluationRecord) -> dict[str, tuple[tuple[range, ...], str]]:
    """Return the sizes and kinds of number that each array of per-query results may have, by name."""

    def exactly(size: int) -> range:
        return range(size, size + 1)

    def at_most(size: int) -> range:
        return range(size + 1)

    images, captions = evaluation.images, evaluation.captions
    pairs = at_most(images * captions)
    layouts: dict[str, tuple[tuple[range, ...], str]] = {
        "image_of": ((exactly(captions),), WHOLE),
        "similar_images": ((exactly(images),), WHOLE),
        "judged_pairs": ((pairs, exactly(2)), WHOLE),
        "grades": ((pairs,), FLOATS),
    }
    for way, queries, candidates in (("i2t", images, captions), ("t2i", captions, images)):
        layouts |= {f"{way}_{count}": ((exactly(queries),), WHOLE) for count in ("b", "n", "p")}
        top = exactly(queries), at_most(candidates)
        layouts |= {f"{way}_top_ids": (top, WHOLE), f"{way}_top_scores": (top, FLOATS)}
        layouts[f"{way}_true"] = (pairs, exactly(2)), WHOLE
        judged = () if evaluation.relevance is None else evaluation.relevance.metrics
        layouts |= {array_name(name): ((exactly(queries),), FLOATS) for name in judged if name.startswith(f"{way}.")}
    return layouts


def array_name(metric: str) -> str:
    """Return the name of the array with a metric's value of each query: `i2t_mAP@R` for `i2t.mAP@R`."""
    return metric.replace(".", "_", 1)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file that may be larger than memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
