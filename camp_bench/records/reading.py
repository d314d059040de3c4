"""A run's files as they are read: strictly, an unknown field, another version or another checksum being an error."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt

from camp_bench.config.text import without_mark
from camp_bench.errors import RecordError
from camp_bench.records.run import RECORD_NAME, SCHEMA_VERSION, RunRecord

__all__ = [
    "file_sha256",
    "read_arrays",
    "read_file",
    "read_record",
    "read_versioned",
    "require_version",
]

_Read = TypeVar("_Read")


class _Versioned(msgspec.Struct):
    """Of a file, its version alone."""

    schema_version: Any = None


def read_record(folder: str | Path) -> RunRecord:
    """Read the record of a run's folder (or the record.json itself) and check that its files are there.

    Raises RecordError for anything missing, unreadable, unknown or of another version.
    """
    folder = Path(folder)
    path = folder / RECORD_NAME if folder.is_dir() else folder
    record = read_versioned(path, RunRecord, SCHEMA_VERSION, name="run record", expected=f"a run's {RECORD_NAME}")
    for name in record.files:
        if not (path.parent / name).is_file() or Path(name).name != name:
            raise RecordError(f"{path}: its file {name} is not there")
    return record


def read_versioned(path: str | Path, kind: type[_Read], version: int, *, name: str, expected: str) -> _Read:
    """Read a JSON file as a struct. name, expected: what errors call the struct and the file.

    Raises RecordError for anything missing, unreadable, unknown or of another version.
    """
    try:
        data = without_mark(Path(path).read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: can't be read ({error.strerror}); expected {expected}") from None
    try:
        require_version(data, path, version)
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
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
    """Read a .npz that belongs to a record; raises as `read_file` does."""
    data = read_file(folder, record, name)
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return {key: stored[key] for key in stored.files}
    except (ValueError, zipfile.BadZipFile) as error:
        raise RecordError(f"{folder / name}: can't be read ({error})") from None


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file that may be larger than memory."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
