"""Memory-mapped arrays of two dimensions that other programs wrote: score matrices, and vectors an item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.errors import DataError
from camp_bench.records.npy import read_header

__all__ = ["map_matrix"]

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
    header.require_rows(file, size)
    wanted = (rows, columns)
    if any(want not in (None, have) for want, have in zip(wanted, header.shape, strict=True)):
        told = " x ".join("any" if want is None else f"{want:,}" for want in wanted)
        turned = "; transpose it: rows are images" if header.shape[::-1] == wanted else ""
        raise DataError(f"{file}: is {header.shape[0]:,} x {header.shape[1]:,}; expected {told}{turned}")
    return np.memmap(file, dtype=header.dtype, mode="r", offset=header.offset, shape=header.shape)
