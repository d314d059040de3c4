"""Imports features in SCAN's layout, from an unpacked folder or straight from the published zip, one chunk at a time.

An image that stands five times, once a caption, is stored once. float64 and the other byte order become float32.
"""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

import numpy as np

from camp_bench.data.fingerprints import CAPTIONS_AN_IMAGE, differing_group
from camp_bench.data.folder.layout import SPLITS, captions_a_row, differing_rows, require_split
from camp_bench.data.folder.staging import Progress, Staging, file_identity, finite_as
from camp_bench.data.folder.texts import read_captions, read_ids, read_index
from camp_bench.errors import DataError, nearest
from camp_bench.records.npy import Header, Readable, read_header, read_rows

__all__ = ["import_scan"]

T = TypeVar("T")

KINDS = ("ims.npy", "caps.txt", "ids.txt", "index.txt")
"""The files of a split. The first two have to be there."""

CHUNK_BYTES = 16 * 2**20
TEXT_BYTES = 256 * 2**20
"""The largest text file that is read: COCO's captions take 30 MB."""

DEPTH = 3
"""Folders below the one that is given in which features are looked for."""


@dataclass(frozen=True, slots=True)
class _Files:
    """The files of one dataset folder, on disk or in a zip. sizes: bytes, by name; place: the folder's own name."""

    place: str
    sizes: dict[str, int]
    opened: Callable[[str], IO[bytes]]
    identity: Callable[[str], str]

    def where(self, name: str) -> str:
        return f"{self.place}/{name}"

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        with _damage_named(self.where(name)):
            stream = self.opened(name)
        with stream:
            yield _Stream(stream, self.where(name))

    def read(self, name: str) -> bytes:
        if self.sizes[name] > TEXT_BYTES:
            raise DataError(
                f"{self.where(name)}: has {self.sizes[name]:,} bytes; expected a text file of less; mend it"
            )
        with self.open(name) as stream:
            return stream.read(TEXT_BYTES)


@dataclass(frozen=True, slots=True)
class _Split:
    """What the import of a split does: `every` rows of the source are one image; texts are written as they are."""

    name: str
    header: Header
    every: int
    texts: dict[str, str]

    @property
    def shape(self) -> tuple[int, int, int]:
        rows, *regions, size = self.header.shape
        return rows // self.every, regions[0] if regions else 1, size


def import_scan(
    source: Path,
    dest: Path,
    *,
    splits: Sequence[str] | None = None,
    dataset: str | None = None,
    dtype: str | None = None,
    restart: bool = False,
    progress: Progress,
) -> dict[str, tuple[int, int, int]]:
    """Import a folder or zip, and return the shapes (images, regions, feature size) of the splits.

    dataset: which folder, where there are several. dtype: of the features, by default theirs.
    Raises DataError, naming file and row, where the source can't be used.
    """
    with _open_source(source, dataset) as files:
        found = [_plan_split(files, name) for name in _wanted(files, splits)]
        sizes = {split.shape[2] for split in found}
        if len(sizes) > 1:
            raise DataError(f"{files.place}: features of sizes {sorted(sizes)}; expected one size; use --splits")
        kinds = {split.header.dtype.itemsize for split in found}
        dtype = dtype or ("float16" if kinds == {2} else "float32")
        read = [f"{split.name}_{kind}" for split in found for kind in KINDS]
        names = [name for name in read if name in files.sizes]
        plan = {name: files.identity(name) for name in names} | {"dtype": dtype}
        with Staging(dest, plan, restart=restart) as staging:
            shapes = {split.name: split.shape for split in found}
            staging.add_features(shapes, dtype, progress)
            for split in found:
                _copy(files, split, staging, dtype, progress)
            staging.finish({name: text for split in found for name, text in split.texts.items()})
    return shapes


def _wanted(files: _Files, splits: Sequence[str] | None) -> list[str]:
    """Return the splits to import; DataError where one of their two files is missing."""
    for name in splits or ():
        require_split(name)
    names = [name for name in SPLITS if name in (splits or SPLITS)]
    names = [name for name in names if splits or any(f"{name}_{kind}" in files.sizes for kind in KINDS[:2])]
    for file in (f"{name}_{kind}" for name in names for kind in KINDS[:2]):
        if file not in files.sizes:
            raise DataError(
                f"{files.place}: has no {file}; expected it beside {', '.join(sorted(files.sizes)[:4])}; "
                f"get it, or name the splits to import with --splits"
            )
    return names


def _plan_split(files: _Files, name: str) -> _Split:
    """Read and check all of a split but the rows of its features."""
    ims, caps, ids, index = (f"{name}_{kind}" for kind in KINDS)
    with files.open(ims) as stream:
        header = read_header(stream, files.where(ims))
    header.require_features(files.where(ims), files.sizes[ims])
    if header.dtype.kind != "f" or header.dtype.itemsize not in (2, 4, 8):
        raise DataError(
            f"{files.where(ims)}: holds {header.dtype} values; expected float16, float32 or float64; save it again so"
        )
    captions = read_captions(files.read(caps), files.where(caps))
    texts = {caps: "".join(f"{caption}\n" for caption in captions)}
    rows, every = header.shape[0], 1
    if index in files.sizes:
        image_of = read_index(files.read(index), files.where(index), rows, len(captions))
        texts[index] = "".join(f"{row}\n" for row in image_of)
    elif captions_a_row(rows, len(captions), files.where(ims), files.where(caps)) == 1:
        every = CAPTIONS_AN_IMAGE
    if ids in files.sizes:
        grouped = index not in files.sizes
        image_ids = read_ids(files.read(ids), files.where(ids), rows // every, grouped=grouped)
        texts[ids] = "".join(f"{image_id}\n" for image_id in image_ids)
    return _Split(name, header, every, texts)


def _copy(files: _Files, split: _Split, staging: Staging, dtype: str, progress: Progress) -> None:
    """Copy the rows that are not there yet. They were written from the first on, so the rest begins at one row."""
    n_images, regions, size = split.shape
    done = staging.done(split.name)
    begin = n_images if done.all() else int(done.argmin())
    ims, step = f"{split.name}_ims.npy", max(1, CHUNK_BYTES // (split.header.row_bytes * split.every)) * split.every
    where, label = files.where(ims), f"importing {split.name}"
    progress(label, begin, n_images)
    if begin == n_images:
        return
    with files.open(ims) as stream:
        for row, chunk in read_rows(stream, split.header, where, start=begin * split.every, step=step):
            rows = chunk.reshape(len(chunk), regions, size)
            starts = np.arange(0, len(rows), split.every, dtype=np.int64)
            if split.every > 1 and (differs := differing_group(rows, starts)) is not None:
                raise DataError(f"{where}: {differing_rows(split.header.shape[0], row + differs, ims)}")
            first = row // split.every
            staging.write(split.name, first, finite_as(dtype, rows[starts], where, row, split.every))
            progress(label, first + len(starts), n_images)


@contextlib.contextmanager
def _open_source(source: Path, dataset: str | None) -> Iterator[_Files]:
    if source.is_dir():
        yield _folder_files(_choose(source, _folders_with_features(source), dataset))
        return
    with contextlib.ExitStack() as stack:
        with _damage_named(source):
            archive = stack.enter_context(zipfile.ZipFile(source))
        yield _zip_files(archive, source, dataset)


@contextlib.contextmanager
def _damage_named(where: object) -> Iterator[None]:
    """Turn what a file or zip raises when it is read into a DataError. Nothing may be written inside."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{where}: can't be read ({error.strerror or error}); expected a readable file") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(
            f"{where}: is truncated or damaged ({' '.join(str(error).split()) or 'it ends too soon'}); expected a "
            f"whole zip without a password; get it again, or unpack it and give the folder"
        ) from None


@dataclass(frozen=True, slots=True)
class _Stream:
    """A stream whose faults are told as the user's."""

    stream: Readable
    where: str

    def read(self, size: int, /) -> bytes:
        with _damage_named(self.where):
            return self.stream.read(size)

    def seek(self, offset: int, /) -> object:
        with _damage_named(self.where):
            return self.stream.seek(offset)


def _folders_with_features(source: Path) -> dict[str, Path]:
    """Return, by its name below the source, every folder that has the features of a split."""
    found: dict[str, Path] = {}
    level = [source]
    for depth in range(DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            with _damage_named(folder):  # a folder that can't be looked into may be the one that is meant
                entries = sorted(folder.iterdir())
                below += [entry for entry in entries if depth < DEPTH and entry.is_dir()]
            if any(f"{split}_ims.npy" == entry.name for entry in entries for split in SPLITS):
                found[folder.relative_to(source).as_posix()] = folder
        level = below
    return found


def _choose(source: Path, found: dict[str, T], dataset: str | None) -> T:
    """Return the folder that is meant; DataError where it can't be told."""
    meant = [name for name in found if dataset in (None, name, PurePosixPath(name).name)]
    if len(meant) == 1:
        return found[meant[0]]
    names = ", ".join(sorted(found))
    if not found:
        raise DataError(
            f"{source}: has no {{train,dev,test,testall}}_ims.npy in it; expected features in SCAN's layout; "
            f"give the zip or folder that has them"
        )
    if dataset is not None and not meant:
        near = nearest(dataset, [PurePosixPath(name).name for name in found])
        raise DataError(f"{source}: has no folder '{dataset}'{near}; there are {names}; name one of them")
    raise DataError(f"{source}: has several datasets, {names}; name one with --dataset")


def _folder_files(folder: Path) -> _Files:
    return _Files(
        place=str(folder),
        sizes={file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()},
        opened=lambda name: (folder / name).open("rb"),
        identity=lambda name: file_identity(folder / name),
    )


def _zip_files(archive: zipfile.ZipFile, source: Path, dataset: str | None) -> _Files:
    """Return the files of one folder in a zip. Nothing is ever unpacked under the name that an entry gives itself."""
    folders: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.filename:
            raise DataError(
                f"{source}: entry {entry.filename!r} leads out of the zip; expected names below it; "
                f"don't trust this file, get it from its source"
            )
        if not entry.is_dir():
            members = folders.setdefault(str(path.parent), {})
            if path.name in members:
                raise DataError(f"{source}: has {entry.filename!r} twice; expected every file once; get it again")
            members[path.name] = entry
    found = {
        name: members for name, members in folders.items() if any(f"{split}_ims.npy" in members for split in SPLITS)
    }
    members = _choose(source, found, dataset)
    entry = next(iter(members.values()))
    return _Files(
        place=f"{source}:{PurePosixPath(entry.filename).parent}",
        sizes={name: entry.file_size for name, entry in members.items()},
        opened=lambda name: archive.open(members[name]),
        identity=lambda name: f"{members[name].file_size} bytes, CRC-32 {members[name].CRC:08x}",
    )
