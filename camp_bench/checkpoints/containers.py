"""Reads the files that torch.save writes: the zip of today, and the row of pickles that was its form until torch 1.6.

Tensors land on the CPU whatever device they were saved from. Sizes, strides and offsets are held against the storage,
and storages against the file, before anything of that size is allocated.
"""

from __future__ import annotations

import math
import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

import torch
from torch import Tensor

from camp_bench.checkpoints.pickles import BoundedStream, Name, Record, read_pickle
from camp_bench.errors import CheckpointError

__all__ = ["TorchFile"]

ZIP_START: Final = b"PK\x03\x04"
LEGACY_START: Final = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickled magic number of torch's older form."""
LEGACY_VERSION: Final = 1001
TYPES: Final = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
TENSORS: Final = {Name("torch._utils", "_rebuild_tensor"), Name("torch._utils", "_rebuild_tensor_v2")}
PARAMETER: Final = Name("torch._utils", "_rebuild_parameter")


@dataclass(frozen=True, slots=True)
class _Storage:
    """A run of numbers in the file, as the pickle refers to it: `count` from `start` on of the numbers called `key`."""

    key: str
    kind: torch.dtype
    start: int
    count: int
    whole: int


class TorchFile:
    """What torch.save wrote. content: plain values, `Name` and `Record`, of which `tensor` makes tensors.

    Raises CheckpointError where the file is none of torch's, damaged, or asks for more than to be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: dict[str, Tensor] = {}
        self._places: dict[str, int] = {}
        try:
            if not path.is_file():
                raise CheckpointError(f"{path}: no such file; expected a checkpoint (.pth.tar)")
            self._size = path.stat().st_size
            with path.open("rb") as file:
                start = file.read(len(LEGACY_START))
            self._zip = start.startswith(ZIP_START)
            if not self._zip and start != LEGACY_START:
                raise CheckpointError(f"{path}: not a file that torch.save wrote; expected a checkpoint (.pth.tar)")
            self.content = self._open_zip() if self._zip else self._open_legacy()
        except OSError as error:
            raise CheckpointError(f"{path}: can't be read ({error.strerror or error}); expected a checkpoint") from None

    def tensor(self, record: Any, name: str) -> Tensor:
        """Return the tensor that `record` stands for, a copy on the CPU. name: for errors."""
        if isinstance(record, Record) and record.of == PARAMETER and record.arguments:
            record = record.arguments[0]
        if not isinstance(record, Record) or record.of not in TENSORS or len(record.arguments) < 4:
            raise CheckpointError(f"{self.path}: {name} is a {_kind(record)}; expected a tensor")
        reference, offset, size, stride = record.arguments[:4]
        size, stride = (_plain(value) for value in (size, stride))
        if not isinstance(reference, Record) or not (
            _are_counts(offset) and _are_counts(*size) and _are_counts(*stride) and len(size) == len(stride) <= 8
        ):
            raise self._damaged(f"{name} has no size")
        storage = self._storage(reference)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if 0 not in size and (last >= storage.count or math.prod(size) > storage.count):
            raise self._damaged(f"{name} is {size} numbers in a place of {storage.count:,}")
        numbers = self._numbers(storage)[storage.start : storage.start + storage.count]
        if 0 in size:
            return numbers.new_empty(size)
        return numbers.as_strided(size, stride, storage.start + offset).clone(memory_format=torch.contiguous_format)

    def _storage(self, reference: Record) -> _Storage:
        """Check what the pickle says of a storage: ("storage", type, key, device, count) and, long ago, a view."""
        words = reference.arguments
        if len(words) not in (5, 6) or words[0] != "storage" or not isinstance(words[1], Name):
            raise self._damaged("it refers to something that is no tensor")
        kind, (key, _, whole) = TYPES.get(words[1].name), words[2:5]
        if kind is None:
            raise CheckpointError(f"{self.path}: tensors of type {words[1]}; expected one of {', '.join(TYPES)}")
        if not isinstance(key, str) or not _are_counts(whole):
            raise self._damaged("a storage has no size")
        start, count = 0, whole
        if len(words) == 6 and words[5] is not None:
            view = words[5]
            if not isinstance(view, tuple) or len(view) != 3 or not _are_counts(*view[1:]):
                raise self._damaged("a storage's view has no size")
            _, start, count = view
        if start + count > whole:
            raise self._damaged(f"a storage of {whole:,} numbers has a view beyond them")
        return _Storage(key, kind, start, count, whole)

    def _numbers(self, storage: _Storage) -> Tensor:
        """Return all numbers of a storage, read once; the pickle's word on their count has to be true."""
        if storage.key not in self._read:
            n_bytes = storage.whole * storage.kind.itemsize
            data = self._from_zip(storage, n_bytes) if self._zip else self._from_legacy(storage, n_bytes)
            self._read[storage.key] = (
                torch.frombuffer(bytearray(data), dtype=storage.kind) if data else torch.empty(0, dtype=storage.kind)
            )
        found = self._read[storage.key]
        if found.dtype != storage.kind or len(found) != storage.whole:
            raise self._damaged(f"storage {storage.key} is said to be of two kinds")
        return found

    def _open_zip(self) -> Any:
        with self._archive() as archive:
            names = archive.namelist()
            pickles = [name for name in names if name.endswith("/data.pkl") and name.count("/") == 1]
            if len(pickles) != 1:
                raise CheckpointError(f"{self.path}: a zip without data.pkl; expected a checkpoint (.pth.tar)")
            self._home = pickles[0].removesuffix("data.pkl")
            if f"{self._home}byteorder" in names and self._member(archive, "byteorder").strip() != b"little":
                raise CheckpointError(
                    f"{self.path}: numbers in big-endian order; expected little-endian; save it again"
                )
            info = self._checked(archive, "data.pkl")
            with archive.open(info) as file:
                return read_pickle(BoundedStream(file, info.file_size), str(self.path), [])

    def _from_zip(self, storage: _Storage, n_bytes: int) -> bytes:
        with self._archive() as archive:
            found = self._checked(archive, f"data/{storage.key}").file_size
            if found != n_bytes:
                raise self._damaged(f"storage {storage.key}: {n_bytes:,} bytes declared, {found:,} there")
            return self._member(archive, f"data/{storage.key}")

    def _member(self, archive: zipfile.ZipFile, name: str) -> bytes:
        return archive.read(self._checked(archive, name))

    def _checked(self, archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
        """Return an entry that is as torch writes it: not compressed, so it can't be larger than the file."""
        try:
            info = archive.getinfo(self._home + name)
        except KeyError:
            raise self._damaged(f"{self._home}{name} is missing") from None
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size > self._size:
            raise self._damaged(f"{self._home}{name} is compressed, encrypted or larger than the file")
        return info

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of names that are there twice: the last one counts
                with zipfile.ZipFile(self.path) as archive:
                    yield archive
        except CheckpointError:
            raise
        except (zipfile.BadZipFile, ValueError, RuntimeError, EOFError, NotImplementedError, struct.error) as error:
            raise self._damaged(str(error)[:100]) from None

    def _open_legacy(self) -> Any:
        """Read the five pickles, and note where each storage's numbers lie behind them."""
        where = str(self.path)
        with self.path.open("rb") as file:
            stream = BoundedStream(file, self._size)
            read_pickle(stream, where)  # the magic number
            version, system = read_pickle(stream, where), read_pickle(stream, where)
            if version != LEGACY_VERSION or not isinstance(system, dict):
                raise CheckpointError(
                    f"{where}: another version of torch's older form than {LEGACY_VERSION}; save it again"
                )
            if system.get("little_endian") is not True:
                raise CheckpointError(f"{where}: numbers in big-endian order; expected little-endian; save it again")
            references: list[Record] = []
            content = read_pickle(stream, where, references)
            keys = read_pickle(stream, where)
            storages = {found.key: found for found in map(self._storage, references)}
            if not isinstance(keys, list) or len(keys) > len(storages):
                raise self._damaged("the list of its storages is none")
            for key in keys:
                if not isinstance(key, str) or key not in storages:
                    raise self._damaged("a storage belongs to no tensor")
                self._places[key] = self._skip(file, storages[key])
        return content

    def _skip(self, file: BinaryIO, storage: _Storage) -> int:
        """Go over the numbers of a storage and return where they begin."""
        count = int.from_bytes(file.read(8), "little")
        place, n_bytes = file.tell(), count * storage.kind.itemsize
        if count != storage.whole or place + n_bytes > self._size:
            raise self._damaged(
                f"storage {storage.key}: {storage.whole:,} numbers declared, {count:,} there, "
                f"{max(0, self._size - place):,} bytes left"
            )
        file.seek(place + n_bytes)
        return place

    def _from_legacy(self, storage: _Storage, n_bytes: int) -> bytes:
        if storage.key not in self._places:
            raise self._damaged(f"storage {storage.key:.40} is missing")
        with self.path.open("rb") as file:
            file.seek(self._places[storage.key])
            return file.read(n_bytes)

    def _damaged(self, reason: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: damaged or cut short ({reason}); get the file again")


def _are_counts(*values: Any) -> bool:
    """Return whether all are whole numbers that can count something in a file."""
    return all(type(value) is int and 0 <= value < 2**48 for value in values)


def _plain(value: Any) -> tuple[Any, ...]:
    """Return a size as a tuple, torch.Size unwrapped; (None,) where it is none."""
    if isinstance(value, Record) and value.of == Name("torch", "Size") and value.arguments:
        value = value.arguments[0]
    return tuple(value) if isinstance(value, tuple | list) else (None,)


def _kind(value: Any) -> str:
    """Name the type of something in a pickle."""
    return str(value.of) if isinstance(value, Record) else type(value).__name__
