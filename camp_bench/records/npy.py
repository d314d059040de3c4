"""Reads .npy files a few rows at a time, and the arrays of a .npz; headers are checked before anything is allocated."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from camp_bench.errors import DataError

__all__ = ["Header", "Npz", "Readable", "encode_header", "read_header", "read_rows"]

HEAD_BYTES = 16384
"""More than any header takes that numpy accepts: a length that the file announces is never believed."""


@runtime_checkable
class Readable(Protocol):
    """What is needed of a stream."""

    def read(self, size: int, /) -> bytes: ...

    def seek(self, offset: int, /) -> object: ...


@dataclass(frozen=True, slots=True)
class Header:
    """What a .npy file announces. offset: bytes before the first row."""

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    fortran_order: bool
    offset: int

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=object))

    @property
    def file_bytes(self) -> int:
        return self.offset + self.dtype.itemsize * math.prod(self.shape)

    def require_features(self, where: object, size: int) -> None:
        """Raise DataError unless these are whole rows of regions; size: bytes that the file has."""
        shape = self.shape
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise DataError(
                f"{where}: has shape {shape}; expected (images, regions, feature size) or (images, feature size), "
                f"each 1 or more; extract the features again, or reshape a map of cells to one region a cell"
            )
        self.require_rows(where, size)

    def require_rows(self, where: object, size: int) -> None:
        """Raise DataError unless whole rows lie one behind the other; size: bytes that the file has."""
        shape, dtype = self.shape, self.dtype
        if self.fortran_order:  # one image would lie scattered over the whole file
            raise DataError(f"{where}: is in Fortran order; expected C order; save it again after np.ascontiguousarray")
        if self.file_bytes > size:
            raise DataError(
                f"{where}: is cut off, its header announces {shape} {dtype}, which takes {self.file_bytes} bytes, "
                f"and it has {size}; get the file again"
            )


def read_header(stream: Readable, where: object) -> Header:
    """Read the header at the start of a stream, which is left some way behind it. DataError where there is none."""
    head = stream.read(HEAD_BYTES)
    start = io.BytesIO(head)
    try:
        read = npy.read_array_header_1_0 if npy.read_magic(start) < (2, 0) else npy.read_array_header_2_0
        with warnings.catch_warnings():  # that a file of Python 2 takes longer, for a header
            warnings.simplefilter("ignore", UserWarning)
            shape, fortran_order, dtype = read(start)
    except (ValueError, EOFError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError):
        holds = f"starts with {head[:16]!r}" if head else "is empty (0 bytes)"
        raise DataError(f"{where}: not a whole .npy file, it {holds}; expected an array; get the file again") from None
    return Header(shape, dtype, fortran_order, start.tell())


def encode_header(shape: tuple[int, ...], dtype: npt.DTypeLike) -> bytes:
    """Return the bytes that stand before an array of this shape in a .npy file."""
    head = io.BytesIO()
    described = {"shape": shape, "fortran_order": False, "descr": npy.dtype_to_descr(np.dtype(dtype))}
    npy.write_array_header_1_0(head, described)
    return head.getvalue()


def read_rows(
    stream: Readable, header: Header, where: object, *, start: int, step: int
) -> Iterator[tuple[int, npt.NDArray[np.floating]]]:
    """Yield (first row, rows) from row `start` on, `step` rows at a time. DataError where the stream ends too soon."""
    stream.seek(header.offset + start * header.row_bytes)
    for first in range(start, header.shape[0], step):
        rows = min(step, header.shape[0] - first)
        content = stream.read(rows * header.row_bytes)
        if len(content) != rows * header.row_bytes:
            got = first + len(content) // header.row_bytes
            raise DataError(f"{where}: ends after {got} of {header.shape[0]} rows; expected all; get the file again")
        chunk: npt.NDArray[np.floating] = np.frombuffer(content, header.dtype)
        yield first, chunk.reshape(rows, *header.shape[1:])


class Npz:
    """The arrays of a .npz, of which only headers are read before they are asked for.

    file: open, and kept open as long as this is used. where: what errors call it. Raises DataError for what is no .npz,
    and for a member that holds objects or isn't as long as its header says.
    """

    def __init__(self, file: io.BytesIO | io.BufferedReader, where: object) -> None:
        self._where = where
        with _damage_told(where):
            self._archive = zipfile.ZipFile(file)
            members = {entry.filename.removesuffix(".npy"): entry for entry in self._archive.infolist()}
            if len(members) < len(self._archive.infolist()):
                raise DataError(f"{where}: holds an array twice; expected each once; get the file again")
            self._members = members
            self.headers = {name: self._header(name) for name in members}

    def inflated_bytes(self) -> int:
        """Return what all arrays take in memory."""
        return sum(header.file_bytes - header.offset for header in self.headers.values())

    def read(self, name: str) -> npt.NDArray[Any]:
        """Return a whole array."""
        header = self.headers[name]
        with _damage_told(self._where), self._archive.open(self._members[name]) as stream:
            content = bytearray(stream.read(self._members[name].file_size))
        flat: npt.NDArray[Any] = np.frombuffer(content, header.dtype, math.prod(header.shape), header.offset)
        return flat.reshape(header.shape, order="F" if header.fortran_order else "C")

    def rows(self, name: str, step: int) -> Iterator[npt.NDArray[Any]]:
        """Yield `step` rows of an array in C order at a time, and inflate no more than these at once."""
        with _damage_told(self._where), self._archive.open(self._members[name]) as stream:
            for _, chunk in read_rows(stream, self.headers[name], f"{self._where}, {name}", start=0, step=step):
                yield chunk

    def _header(self, name: str) -> Header:
        entry, where = self._members[name], f"{self._where}, {name}"
        with self._archive.open(entry) as stream:
            header = read_header(stream, where)
        if header.dtype.hasobject or header.dtype.itemsize < 1 or min(header.shape, default=0) < 0:
            raise DataError(f"{where}: announces {header.shape} {header.dtype}; expected an array without objects")
        if header.file_bytes != entry.file_size:
            raise DataError(
                f"{where}: its header announces {header.shape} {header.dtype}, which takes {header.file_bytes} bytes, "
                f"and it has {entry.file_size}; get the file again"
            )
        return header


@contextmanager
def _damage_told(where: object) -> Iterator[None]:
    """Turn what a damaged zip raises when it is read into a DataError."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, MemoryError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{where}: not a whole .npz without a password ({told}); get the file again") from None
