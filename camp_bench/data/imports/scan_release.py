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
import numpy.typing as npt

from camp_bench.data.fingerprints import CAPTIONS_AN_IMAGE, differing_group
from camp_bench.data.folder.layout import SPLITS, captions_a_row, differing_rows, require_split
from camp_bench.data.folder.staging import Progress, Staging, file_identity, finite_as
from camp_bench.data.folder.texts import find_caption_faults, read_ids, read_index, split_lines
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.requests import ImportRequest
from camp_bench.errors import DataError, nearest
from camp_bench.records.npy import Header, Readable, read_header, read_rows

__all__ = ["claims", "import_scan", "read"]

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
    """What the import of a split does: `every` rows of the source are one image.

    captions, image_of: those that can be used, and the image of each. ids: of the images, None where there are none.
    indexed: whether the source has an index.
    """

    name: str
    header: Header
    every: int
    captions: list[str]
    image_of: npt.NDArray[np.int64]
    ids: tuple[str, ...] | None
    indexed: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        rows, *regions, size = self.header.shape
        return rows // self.every, regions[0] if regions else 1, size

    def texts(self, kept: npt.NDArray[np.bool_]) -> dict[str, str]:
        """Return the text files by name. kept: (images,) which images are there."""
        of_kept = [at for at, image in enumerate(self.image_of.tolist()) if kept[image]]
        place = np.cumsum(kept) - 1
        texts = {f"{self.name}_caps.txt": "".join(f"{self.captions[at]}\n" for at in of_kept)}
        rows = place[self.image_of[of_kept]]
        if self.indexed or not np.array_equal(rows, np.repeat(np.arange(kept.sum()), CAPTIONS_AN_IMAGE)):
            texts[f"{self.name}_index.txt"] = "".join(f"{row}\n" for row in rows)
        if self.ids is not None:
            texts[f"{self.name}_ids.txt"] = "".join(f"{self.ids[image]}\n" for image in np.flatnonzero(kept))
        return texts


def claims(sources: Sequence[Path]) -> bool:
    """Return whether this is one zip, or one folder with features in SCAN's layout."""
    (source, *others) = sources
    return not others and (
        source.suffix.lower() == ".zip" or (source.is_dir() and bool(_folders_with_features(source)))
    )


def read(request: ImportRequest) -> dict[str, tuple[int, int, int]]:
    """Make the folder, and return the shapes of its splits."""
    request.refuse_options(
        "--captions", request.captions, "--boxes", request.boxes, "--max-captions", request.max_captions
    )
    return import_scan(
        request.sources[0],
        request.dest,
        splits=request.splits,
        dataset=request.dataset,
        dtype=request.dtype,
        restart=request.restart,
        progress=request.progress,
        faults=request.faults,
    )


def import_scan(
    source: Path,
    dest: Path,
    *,
    splits: Sequence[str] | None = None,
    dataset: str | None = None,
    dtype: str | None = None,
    restart: bool = False,
    progress: Progress,
    faults: Faults | None = None,
) -> dict[str, tuple[int, int, int]]:
    """Import a folder or zip, and return the shapes (images, regions, feature size) of the splits.

    dataset: which folder, where there are several. dtype: of the features, by default theirs.
    Raises DataError, naming file and row, where the source can't be used; captions and rows that are at fault are told
    together, or left out as `faults` says.
    """
    faults = faults or Faults()
    with _open_source(source, dataset) as files:
        found = [_plan_split(files, name, faults) for name in _wanted(files, splits)]
        faults.refuse()
        sizes = {split.shape[2] for split in found}
        if len(sizes) > 1:
            raise DataError(f"{files.place}: features of sizes {sorted(sizes)}; expected one size; use --splits")
        kinds = {split.header.dtype.itemsize for split in found}
        dtype = dtype or ("float16" if kinds == {2} else "float32")
        there = [f"{split.name}_{kind}" for split in found for kind in KINDS]
        names = [name for name in there if name in files.sizes]
        plan = {name: files.identity(name) for name in names} | {"dtype": dtype}
        with Staging(dest, plan, restart=restart) as staging:
            shapes = {split.name: split.shape for split in found}
            staging.add_features(shapes, dtype, progress)
            for split in found:
                _copy(files, split, staging, dtype, progress, faults)
            faults.refuse()
            texts: dict[str, str] = {}
            for split in found:
                kept = staging.done(split.name)
                if not kept.any():
                    raise DataError(
                        f"{files.place}: no image of {split.name} can be used; expected one or more; mend it"
                    )
                texts |= split.texts(kept)
                shapes[split.name] = (int(kept.sum()), *split.shape[1:])
            staging.finish(texts, faults.facts())
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


def _plan_split(files: _Files, name: str, faults: Faults) -> _Split:
    """Read and check all of a split but the rows of its features."""
    ims, caps, ids, index = (f"{name}_{kind}" for kind in KINDS)
    with files.open(ims) as stream:
        header = read_header(stream, files.where(ims))
    header.require_features(files.where(ims), files.sizes[ims])
    if header.dtype.kind != "f" or header.dtype.itemsize not in (2, 4, 8):
        raise DataError(
            f"{files.where(ims)}: holds {header.dtype} values; expected float16, float32 or float64; save it again so"
        )
    lines = split_lines(files.read(caps), files.where(caps))
    rows, every = header.shape[0], 1
    if index in files.sizes:
        image_of = read_index(files.read(index), files.where(index), rows, len(lines))
    else:
        if captions_a_row(rows, len(lines), files.where(ims), files.where(caps)) == 1:
            every = CAPTIONS_AN_IMAGE
        image_of = np.arange(len(lines), dtype=np.int64) // CAPTIONS_AN_IMAGE
    image_ids = None
    if ids in files.sizes:
        grouped = index not in files.sizes
        image_ids = read_ids(files.read(ids), files.where(ids), rows // every, grouped=grouped)
    wrong = dict(find_caption_faults(lines))
    for text in wrong.values():
        faults.add(f"{files.where(caps)}: {text}")
    usable = [at for at in range(len(lines)) if at + 1 not in wrong]
    captions = [lines[at] for at in usable]
    return _Split(name, header, every, captions, image_of[usable], image_ids, index in files.sizes)


def _copy(files: _Files, split: _Split, staging: Staging, dtype: str, progress: Progress, faults: Faults) -> None:
    """Copy the rows that are not there yet, of images that have a caption. They were written from the first on."""
    n_images, regions, size = split.shape
    captioned = np.isin(np.arange(n_images), split.image_of)
    waiting = captioned & ~staging.done(split.name)
    begin = int(waiting.argmax()) if waiting.any() else n_images
    ims, step = f"{split.name}_ims.npy", max(1, CHUNK_BYTES // (split.header.row_bytes * split.every)) * split.every
    where, label = files.where(ims), f"importing {split.name}"
    progress(label, begin, n_images)
    if begin == n_images:
        return
    with files.open(ims) as stream:
        for row, chunk in read_rows(stream, split.header, where, start=begin * split.every, step=step):
            rows = chunk.reshape(len(chunk), regions, size)
            first, count = row // split.every, len(rows) // split.every
            whole = captioned[first : first + count].all()
            try:
                if not whole:
                    raise DataError(where)  # so that rows are taken one by one
                staging.write(split.name, first, _taken(split, rows, row, where, dtype))
            except DataError:
                for image in np.flatnonzero(captioned[first : first + count]).tolist():
                    with faults.noted():
                        one = slice(image * split.every, (image + 1) * split.every)
                        staging.write(
                            split.name, first + image, _taken(split, rows[one], row + one.start, where, dtype)
                        )
            progress(label, first + count, n_images)


def _taken(split: _Split, rows: npt.NDArray[np.floating], row: int, where: str, dtype: str) -> npt.NDArray[np.floating]:
    """Return one row an image of those from `row` on; DataError where an image differs from itself or isn't finite."""
    starts = np.arange(0, len(rows), split.every, dtype=np.int64)
    if split.every > 1 and (differs := differing_group(rows, starts)) is not None:
        raise DataError(f"{where}: {differing_rows(split.header.shape[0], row + differs, f'{split.name}_ims.npy')}")
    return finite_as(dtype, rows[starts], where, row, split.every)


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
