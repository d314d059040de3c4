"""Region features in HDF5, read entry by entry (extra `hdf5`: the package h5py).

features (images, boxes, size) or (images, size), image_ids (images,), perhaps num_boxes (images,)
IMAGE_features (boxes, size) for each image, as coco_detections.hdf5 has them
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.data.folder.staging import Progress
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.requests import ImportRequest
from camp_bench.data.imports.rows import FeatureRow, FilesOfRows, assemble
from camp_bench.errors import ConfigError, DataError
from camp_bench.machine.extras import install_extra

__all__ = ["Hdf5", "claims", "read"]

MAGIC = b"\x89HDF\r\n\x1a\n"
FEATURES = ("features", "image_features", "feats")
IDS = ("image_ids", "image_id", "ids", "img_ids", "names")
COUNTS = ("num_boxes", "num_bbox", "num_bb")
ENTRY = "_features"


def claims(sources: Sequence[Path]) -> bool:
    """Return whether these are HDF5 files."""
    return all(source.is_file() and _starts(source) == MAGIC for source in sources)


def _starts(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(len(MAGIC))


def read(request: ImportRequest) -> dict[str, tuple[int, int, int]]:
    """Make the folder, and return the shapes of its splits."""
    return assemble(Hdf5(request.sources), request.for_rows())


class Hdf5(FilesOfRows):
    """The entries of one or more files."""

    def __init__(self, files: Sequence[Path]) -> None:
        try:
            import h5py
        except ImportError:
            raise ConfigError(f"{files[0]}: is HDF5; expected the extra 'hdf5'; {install_extra('hdf5')}") from None
        super().__init__(files)
        self._open: list[Any] = []
        for file in files:
            try:
                self._open.append(h5py.File(file, "r"))
            except OSError as error:
                raise DataError(f"{file}: can't be read ({error}); expected a whole HDF5 file; get it again") from None

    def rows(self, faults: Faults, progress: Progress) -> Iterator[FeatureRow]:
        for number, (file, opened) in enumerate(zip(self.files, self._open, strict=True)):
            entries = list(_entries(opened, file))
            for at, (image_id, key, boxes, size) in enumerate(entries):
                with faults.noted():
                    where = f"{file}: {key if isinstance(key, str) else f'row {key}'} (image {image_id})"
                    if not boxes or not size:
                        raise DataError(f"{where}: has no features; expected a box or more; mend the file")
                    yield FeatureRow(where, image_id, boxes, size, (number, at, key))
                progress(f"reading sizes of {file.name}", at + 1, len(entries))

    def read(self, row: FeatureRow) -> npt.NDArray[np.floating]:
        number, _, key = row.place
        opened = self._open[number]
        try:
            values = opened[key][()] if isinstance(key, str) else opened[_find(opened, FEATURES)][key]
        except OSError as error:
            raise DataError(f"{row.where}: can't be read ({error}); get the file again") from None
        values = np.atleast_2d(np.asarray(values))
        if values.dtype.kind != "f":
            raise DataError(f"{row.where}: holds {values.dtype}; expected floats; mend the file")
        found: npt.NDArray[np.floating] = values[: row.boxes]
        return found


def _find(opened: Any, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in opened), None)


def _entries(opened: Any, file: Path) -> Iterator[tuple[str, str | int, int, int]]:
    """Yield image, place, boxes and feature size of every entry; DataError for another layout."""
    features, ids, counts = _find(opened, FEATURES), _find(opened, IDS), _find(opened, COUNTS)
    if features is not None and ids is not None:
        shape, names = opened[features].shape, opened[ids][()]
        if len(shape) not in (2, 3) or len(names) != shape[0]:
            raise DataError(
                f"{file}: {features} has shape {shape} and {ids} {len(names)} entries; expected (images, boxes, size) "
                f"or (images, size), and an id an image; mend the file"
            )
        boxes = opened[counts][()].astype(int).tolist() if counts else [shape[1] if len(shape) == 3 else 1] * len(names)
        for row, (name, number) in enumerate(zip(names.tolist(), boxes, strict=True)):
            yield (
                name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name),
                row,
                number,
                shape[-1],
            )
        return
    keys = [key for key in opened if key.endswith(ENTRY) and getattr(opened[key], "ndim", 0) in (1, 2)]
    if not keys:
        shown = ", ".join(list(opened)[:6]) or "nothing"
        raise DataError(
            f"{file}: is HDF5 with {shown}; expected 'features' and 'image_ids', or one IMAGE{ENTRY} an image; save so"
        )
    for key in keys:
        shape = opened[key].shape
        yield key.removesuffix(ENTRY), key, shape[0] if len(shape) == 2 else 1, shape[-1]
