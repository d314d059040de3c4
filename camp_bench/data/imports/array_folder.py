"""A folder of one `.npy` or `.npz` an image, as extractors of regions write them.

`.npy` has (boxes, feature size), or one vector. `.npz` has them as `x`, `feat`, `features` or its only such array
(`bbox`, `num_bbox` and the like may stand beside it); where `num_bbox` says so, rows beyond that number are padding.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camp_bench.data.folder.staging import Progress
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.requests import ImportRequest
from camp_bench.data.imports.rows import FeatureRow, assemble
from camp_bench.errors import DataError

__all__ = ["ArrayFolder", "claims", "read", "region_array"]

SUFFIXES = (".npy", ".npz")
KEYS = ("x", "feat", "feats", "features", "feature", "arr_0")
NOT_FEATURES = ("_info", "_boxes", "_bbox")
"""Ends of the names of files that stand beside an image's features."""


def claims(sources: Sequence[Path]) -> bool:
    """Return whether these are folders with arrays in them, or single such files."""
    return all(
        any(source.rglob(f"*{suffix}") for suffix in SUFFIXES) and next(_files(source), None) is not None
        if source.is_dir()
        else source.suffix.lower() in SUFFIXES
        for source in sources
    )


def read(request: ImportRequest) -> dict[str, tuple[int, int, int]]:
    """Make the folder, and return the shapes of its splits."""
    return assemble(ArrayFolder(request.sources), request.for_rows())


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    for folder, inner, names in os.walk(source):
        inner.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.suffix.lower() in SUFFIXES and not path.stem.endswith(NOT_FEATURES):
                yield path


class ArrayFolder:
    """The arrays of folders and single files; an image's name is its path below the folder."""

    def __init__(self, sources: Sequence[Path]) -> None:
        self._sources = list(sources)
        self._files = [(path, source) for source in sources for path in _files(source)]

    @property
    def name(self) -> str:
        return ", ".join(map(str, self._sources))

    def identity(self) -> dict[str, str]:
        state = [path.stat() for path, _ in self._files]
        told = f"{len(state)} files, {sum(file.st_size for file in state)} bytes"
        return {self.name: f"{told}, changed {max((file.st_mtime_ns for file in state), default=0)} ns"}

    def rows(self, faults: Faults, progress: Progress) -> Iterator[FeatureRow]:
        for number, (path, source) in enumerate(self._files):
            with faults.noted():
                array = _load(path)
                name = path.name if source.is_file() else path.relative_to(source).as_posix()
                yield FeatureRow(str(path), name, array.shape[0], array.shape[1], number)
            progress("reading sizes, files", number + 1, len(self._files))

    def read(self, row: FeatureRow) -> npt.NDArray[np.floating]:
        return _load(self._files[row.place][0])


def _load(path: Path) -> npt.NDArray[np.floating]:
    """Return the features of an image; DataError where the file can't be read or has none."""
    try:
        with path.open("rb") as stream:
            stored = np.load(stream, allow_pickle=False)
            arrays = {name: stored[name] for name in stored.files} if hasattr(stored, "files") else {"": stored}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: can't be read ({' '.join(str(error).split())[:80]}); expected arrays of numbers, no objects"
        ) from None
    return region_array(arrays, str(path))


def region_array(arrays: Mapping[str, npt.NDArray[np.generic]], where: str) -> npt.NDArray[np.floating]:
    """Return (boxes, feature size) from an image's arrays by name; DataError where none is that, or several may be."""
    named = [name for name in KEYS if name in arrays]
    floats = {name: array.shape for name, array in arrays.items() if array.dtype.kind == "f"}
    fit = [name for name, shape in floats.items() if len(shape) == 2 and 0 not in shape]
    if not named and len(fit) != 1 and "" not in arrays:
        raise DataError(
            f"{where}: holds {', '.join(f'{name} {array.shape}' for name, array in arrays.items())}; expected features "
            f"as one of {', '.join(KEYS)}, (boxes, feature size)"
        )
    array = arrays[named[0] if named else "" if "" in arrays else fit[0]]
    array = array[np.newaxis] if array.ndim == 1 else array
    if array.ndim != 2 or array.dtype.kind != "f" or 0 in array.shape:
        raise DataError(f"{where}: holds {array.dtype} of shape {array.shape}; expected floats, (boxes, feature size)")
    count = arrays.get("num_bbox", arrays.get("num_boxes"))
    if count is not None and count.size == 1 and 0 < int(count.ravel()[0]) < len(array):
        array = array[: int(count.ravel()[0])]
    found: npt.NDArray[np.floating] = array  # type: ignore[assignment] # its kind is f
    return found
