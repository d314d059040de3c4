"""Memory-mapped arrays of two dimensions that other programs wrote: score matrices, and vectors an item."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.data.npy import read_header
from camp_bench.errors import DataError

__all__ = ["map_matrix", "sha256_of"]

DTYPES = (np.float16, np.float32, np.float64)


def map_matrix(file: Path, rows: int | None = None, columns: int | None = None) -> npt.NDArray[np.floating[Any]]:
    """Return the array of a .npy file, (rows, columns), mapped and not read.

    rows, columns: what it must have, None for any. Raises DataError where it can't be read, is cut off or has another
    number of dimensions, dtype, order or shape.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            header = read_header(stream, file)
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); expected a .npy file") from None
    if len(header.shape) != 2 or header.dtype not in DTYPES or min(header.shape) < 1:
        raise DataError(
            f"{file}: shape {header.shape} of {header.dtype}; expected two dimensions of float16, float32 or float64"
        )
    if header.fortran_order:  # one row would lie scattered over the whole file
        raise DataError(f"{file}: is in Fortran order; expected C order; save it again after np.ascontiguousarray")
    if header.file_bytes > size:
        raise DataError(
            f"{file}: is cut off, its header announces {header.file_bytes:,} bytes and it has {size:,}; get it again"
        )
    wanted = (rows, columns)
    if any(want not in (None, have) for want, have in zip(wanted, header.shape, strict=True)):
        told = " x ".join("any" if want is None else f"{want:,}" for want in wanted)
        turned = "; transpose it: rows are images" if header.shape[::-1] == wanted else ""
        raise DataError(f"{file}: is {header.shape[0]:,} x {header.shape[1]:,}; expected {told}{turned}")
    return np.memmap(file, dtype=header.dtype, mode="r", offset=header.offset, shape=header.shape)


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
