"""A run's files as they are written, with their checksums: the record, arrays, scores."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from camp_bench.errors import RecordError
from camp_bench.records.files import write_whole
from camp_bench.records.folders import unwritable
from camp_bench.records.history import encode_record
from camp_bench.records.run import RECORD_NAME, RunRecord

__all__ = [
    "create_scores",
    "storable",
    "write_arrays",
    "write_file",
    "write_record",
]


def write_file(path: Path, data: bytes) -> str:
    """Write one file of a run and return its sha256; OutputError where that is not possible."""
    try:
        write_whole(path, data)
    except OSError as error:
        raise unwritable(path.parent.parent, error) from None  # the run's own folder vanishes
    return hashlib.sha256(data).hexdigest()


def create_scores(path: Path, images: int, captions: int) -> npt.NDArray[np.float32]:
    """Make a memory-mapped .npy of NaN for scores, its room on the disk taken; OutputError where there is none."""
    try:
        matrix = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(images, captions))
        if hasattr(os, "posix_fallocate"):  # a full disk would end the process when a page is written
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise unwritable(path.parent.parent, error) from None
    for row in matrix:
        row.fill(np.nan)
    return matrix


def write_record(folder: Path, record: RunRecord) -> None:
    """Write `record.json` into a run's folder; its numbers must be finite (RecordError otherwise)."""
    _require_finite(msgspec.to_builtins(record), "record")
    write_file(folder / RECORD_NAME, encode_record(record))


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Write arrays as a compressed .npz, equal arrays giving equal bytes, and return its sha256."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return write_file(path, buffer.getvalue())


def storable(text: str) -> str:
    """Return text as JSON can hold it: bytes that are no UTF-8, as names of files can have them, are spelt out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _require_finite(value: Any, where: str) -> None:
    """JSON has no NaN: msgspec would write null, and the record could not be read again."""
    if isinstance(value, float) and not np.isfinite(value):
        raise RecordError(f"{where}: got {value}, expected a finite number")
    if isinstance(value, dict):
        for key, item in value.items():
            _require_finite(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _require_finite(item, f"{where}[{index}]")
