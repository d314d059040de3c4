"""Reads .npy files a few rows at a time, from any stream; the header is checked before anything is allocated."""

from __future__ import annotations

import io
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from camp_bench.errors import DataError

__all__ = ["Header", "Readable", "encode_header", "read_header", "read_rows"]

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
        return self.offset + self.shape[0] * self.row_bytes

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
