"""UNITER's region features in LMDB, read only (extra `lmdb`: the packages lmdb and msgpack).

A key is a file's name, such as coco_val2014_000000391895.npz. Its value is msgpack of a dictionary of arrays in
msgpack-numpy's form, or, in a compressed database, the bytes of a .npz. `features` has (boxes, feature size).
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.data.folder.staging import Progress, file_identity
from camp_bench.data.imports.array_folder import region_array
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.requests import ImportRequest
from camp_bench.data.imports.rows import FeatureRow, assemble
from camp_bench.errors import ConfigError, DataError
from camp_bench.machine.extras import install_extra

__all__ = ["LmdbStore", "claims", "read"]

DATA = "data.mdb"


def claims(sources: Sequence[Path]) -> bool:
    """Return whether this is one database: a folder with data.mdb, or a file of that kind."""
    (source, *others) = sources
    return not others and ((source / DATA).is_file() or (source.is_file() and source.suffix in (".mdb", ".lmdb")))


def read(request: ImportRequest) -> dict[str, tuple[int, int, int]]:
    """Make the folder, and return the shapes of its splits."""
    return assemble(LmdbStore(request.sources[0]), request.for_rows())


class LmdbStore:
    """The entries of one database."""

    def __init__(self, source: Path) -> None:
        try:
            import lmdb
            import msgpack
        except ImportError:
            raise ConfigError(f"{source}: is LMDB; expected the extra 'lmdb'; {install_extra('lmdb')}") from None
        self._source, self._unpack = source, msgpack.unpackb
        try:
            self._store: Any = lmdb.open(
                str(source), subdir=source.is_dir(), readonly=True, lock=False, readahead=False
            )
        except lmdb.Error as error:
            raise DataError(f"{source}: can't be read ({error}); expected an LMDB database; get it again") from None

    @property
    def name(self) -> str:
        return str(self._source)

    def identity(self) -> dict[str, str]:
        file = self._source / DATA if self._source.is_dir() else self._source
        return {self.name: file_identity(file)}

    def rows(self, faults: Faults, progress: Progress) -> Iterator[FeatureRow]:
        with self._store.begin() as view:
            total = view.stat()["entries"]
            for number, (key, value) in enumerate(view.cursor(), 1):
                name = key.decode("utf-8", "backslashreplace")
                if not name.startswith("__"):  # __keys__ lists the others
                    with faults.noted():
                        where = f"{self.name}: {name}"
                        features = self._decode(value, where)
                        yield FeatureRow(where, name, features.shape[0], features.shape[1], key)
                progress("reading sizes", number, total)

    def read(self, row: FeatureRow) -> npt.NDArray[np.floating]:
        with self._store.begin() as view:
            value = view.get(row.place)
        if value is None:
            raise DataError(f"{row.where}: is gone; expected a database that rests; try again")
        return self._decode(value, row.where)

    def _decode(self, value: bytes, where: str) -> npt.NDArray[np.floating]:
        """Return (boxes, feature size); DataError where the value is neither of the two forms."""
        try:
            if value.startswith(b"PK"):
                with np.load(io.BytesIO(value), allow_pickle=False) as stored:
                    arrays = {name: stored[name] for name in stored.files if name in ("features", "num_bbox")}
            else:
                entry = self._unpack(value, raw=True, strict_map_key=False)
                arrays = {_text(name): _array(item) for name, item in entry.items() if _text(name) == "features"}
        except (ValueError, TypeError, KeyError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(
                f"{where}: can't be decoded ({' '.join(str(error).split())[:80]}); expected msgpack of arrays or a .npz"
            ) from None
        if "features" not in arrays:
            raise DataError(f"{where}: has no 'features'; expected UNITER's entries; give that database")
        return region_array(arrays, where)


def _text(name: Any) -> str:
    return name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)


def _array(item: dict[Any, Any]) -> npt.NDArray[np.generic]:
    """Return an array of msgpack-numpy's form: nd, type, shape and data."""
    fields = {_text(name): value for name, value in item.items()}
    dtype = np.dtype(_text(fields["type"]))
    if dtype.kind not in "fiub":
        raise ValueError(f"an array of {dtype}")
    array: npt.NDArray[np.generic] = np.frombuffer(fields["data"], dtype).reshape(fields["shape"])
    return array
