"""A dataset folder in the making: hidden beside its place, resumable, renamed when it is whole.

    .NAME.partial/plan.json       what it is made from; another plan doesn't resume it
                  journal.jsonl   one line a block of rows that was written: split, first row, rows, CRC-32
                  data/           what becomes NAME

Where an earlier attempt was stopped, its blocks are read back; those whose checksum still holds aren't made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from camp_bench.errors import DataError, OutputError
from camp_bench.records import flush_to_disk, locked, whole_file, write_whole
from camp_bench.records.npy import encode_header

__all__ = ["SOURCE_NAME", "Progress", "Staging", "file_identity", "finite_as", "partial_folder", "require_new"]

SOURCE_NAME = "source.json"
"""In the finished folder: what it was made from."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done, and how much of how much is done."""

PLAN, JOURNAL = "plan.json", "journal.jsonl"
HASHED_WHOLE_BYTES = 64 * 2**20
HASHED_END_BYTES = 2**20
_Block: TypeAlias = tuple[str, int, int, int]
"""Split, first row, rows, checksum."""


class Staging:
    """Feature files of a fixed size, written in any order; a context manager that closes them.

    dest: the folder to be; it must not exist, or be empty.
    plan: what the folder is made from, in words. A partial folder of another plan is a DataError, unless `restart`.
    """

    def __init__(self, dest: Path, plan: Mapping[str, str], *, restart: bool = False) -> None:
        require_new(dest)
        self.dest = dest
        self.home = partial_folder(dest)
        self._plan = dict(plan)
        self._files: dict[str, _RowFile] = {}
        if not self.home.is_symlink():
            self.home.mkdir(parents=True, exist_ok=True)
        _refuse_links(self.home)
        self._held = contextlib.ExitStack()
        if not self._held.enter_context(locked(self.home.with_name(f"{self.home.name}.lock"))):
            raise OutputError(f"{dest}: another process is making it now; wait for it or choose another name")
        try:
            if restart:
                _empty(self.home)
            self._blocks = _read_journal(self.home / JOURNAL)
            self._check_plan()
            (self.home / "data").mkdir(exist_ok=True)
            self._journal = (self.home / JOURNAL).open("a", encoding="utf-8")
        except BaseException:
            self._held.close()
            raise

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.stream.close()
        self._journal.close()
        with contextlib.suppress(FileNotFoundError):  # as after `finish`
            if not (self.home / JOURNAL).stat().st_size:
                shutil.rmtree(self.home, ignore_errors=True)  # there is nothing to go on from
        self._held.close()

    def add_features(self, shapes: Mapping[str, tuple[int, int, int]], dtype: npt.DTypeLike, progress: Progress) -> int:
        """Make the feature file of every split, and return how many rows an earlier attempt left that still hold.

        shapes: (images, regions, feature size) of each split. Raises OutputError where the disk has no room for them.
        """
        sizes = {split: int(np.prod(shape)) * np.dtype(dtype).itemsize for split, shape in shapes.items()}
        files = {split: self.home / "data" / f"{split}_ims.npy" for split in shapes}
        there = sum(file.stat().st_blocks * 512 for file in files.values() if file.exists())
        needed, free = sum(sizes.values()) - there, shutil.disk_usage(self.home).free
        if needed > free:
            raise OutputError(
                f"{self.dest}: the features take {needed:,} bytes more and the disk has {free:,} free; "
                f"make room, choose another disk, or halve them with --float16"
            )
        self._files = {split: _RowFile(files[split], shape, dtype) for split, shape in shapes.items()}
        kept = list(self._verified(progress))
        self._journal.close()
        write_whole(self.home / JOURNAL, "".join(json.dumps(block) + "\n" for block in kept).encode())
        self._journal = (self.home / JOURNAL).open("a", encoding="utf-8")
        return sum(int(file.done.sum()) for file in self._files.values())

    def done(self, split: str) -> npt.NDArray[np.bool_]:
        """Return (images,) which rows of the split are there."""
        return self._files[split].done

    def write(self, split: str, first: int, rows: npt.NDArray[np.floating]) -> None:
        """Write rows (n, regions, feature size) from row `first` on."""
        content = self._files[split].write(first, rows)
        self._journal.write(json.dumps([split, first, len(rows), zlib.crc32(content.data)]) + "\n")
        self._journal.flush()

    def finish(self, texts: Mapping[str, str], facts: Mapping[str, object] | None = None) -> None:
        """Write the text files, by name, and what the folder was made from; then give the folder its place.

        Rows that were never written are left out: whoever calls this has left their captions out as well.
        """
        data = self.home / "data"
        for split, file in self._files.items():
            path = data / f"{split}_ims.npy"
            if not (path.exists() and os.path.samestat(path.stat(), os.fstat(file.stream.fileno()))):
                raise OutputError(f"{self.home}: was removed or replaced meanwhile; do the same again")
            file.stream.close()
            if not file.done.all():
                _copy_rows(path, file)
        made = {"camp_bench": metadata.version("camp-bench"), "made_from": self._plan, **(facts or {})}
        for name, text in {**texts, SOURCE_NAME: json.dumps(made, indent=2) + "\n"}.items():
            write_whole(data / name, text.encode())
        for entry in (*data.iterdir(), data):
            flush_to_disk(entry)
        require_new(self.dest)
        data.rename(self.dest.resolve())
        flush_to_disk(self.dest.resolve().parent)
        shutil.rmtree(self.home, ignore_errors=True)

    def _check_plan(self) -> None:
        """Keep the blocks of an earlier attempt if it had the same plan; begin anew where it left none."""
        file = self.home / PLAN
        before: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, TypeError):
            before = dict(json.loads(file.read_text(encoding="utf-8")))
        if before == self._plan:
            return
        if self._blocks:
            name = next(name for name in {**self._plan, **before} if before.get(name) != self._plan.get(name))
            raise DataError(
                f"{self.home}: holds part of the same folder made otherwise ({name} was {before.get(name)!r}, "
                f"now it is {self._plan.get(name)!r}); give the same again to go on with it, or --restart to begin anew"
            )
        _empty(self.home)
        write_whole(file, (json.dumps(self._plan, indent=2) + "\n").encode())

    def _verified(self, progress: Progress) -> Iterator[_Block]:
        """Yield every block of the journal whose rows still have its checksum, and mark these rows as done."""
        for number, (split, first, rows, checksum) in enumerate(self._blocks, 1):
            file = self._files.get(split)
            if file is not None and file.holds(first, rows, checksum):
                file.done[first : first + rows] = True
                yield split, first, rows, checksum
            progress("checking what is there", number, len(self._blocks))


class _RowFile:
    """A .npy file of known shape; `done` says which rows were written."""

    def __init__(self, path: Path, shape: tuple[int, int, int], dtype: npt.DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.done = np.zeros(shape[0], dtype=np.bool_)
        self.row_bytes = int(np.prod(shape[1:])) * self.dtype.itemsize
        head = encode_header(shape, dtype)
        self.offset, size = len(head), len(head) + shape[0] * self.row_bytes
        path.touch()
        self.stream = path.open("r+b")
        self.fresh = path.stat().st_size != size or self.stream.read(len(head)) != head
        if self.fresh:
            self.stream.truncate(0)
            self.stream.seek(0)
            self.stream.write(head)
            self.stream.truncate(size)
            self.stream.flush()

    def write(self, first: int, rows: npt.NDArray[np.floating]) -> npt.NDArray[np.generic]:
        content = np.ascontiguousarray(rows, dtype=self.dtype)
        if content.shape[1:] != self.shape[1:] or not 0 <= first <= self.shape[0] - len(content):
            raise AssertionError(f"rows {content.shape} at {first} don't fit {self.shape}")
        self.stream.seek(self.offset + first * self.row_bytes)
        self.stream.write(content.data)
        self.stream.flush()
        self.done[first : first + len(content)] = True
        return content

    def read(self, first: int, rows: int) -> bytes:
        self.stream.seek(self.offset + first * self.row_bytes)
        return self.stream.read(rows * self.row_bytes)

    def holds(self, first: int, rows: int, checksum: int) -> bool:
        within = 0 <= first < first + rows <= self.shape[0]
        return not self.fresh and within and zlib.crc32(self.read(first, rows)) == checksum


def finite_as(
    dtype: str, rows: npt.NDArray[np.generic], where: object, first: int, every: int = 1
) -> npt.NDArray[np.floating]:
    """Return rows (n, regions, feature size) as the dtype; DataError names the first that isn't finite in it.

    first, every: the number of the first row in its source, and how many numbers one row counts there.
    """
    with np.errstate(over="ignore"):
        converted: npt.NDArray[np.floating] = rows.astype(dtype)
    finite = np.isfinite(converted)
    if not finite.all():
        row, region, at = (int(i) for i in np.unravel_index(finite.argmin(), finite.shape))
        value = rows[row, region, at]
        small = f", too large for {dtype}; leave out --float16" if np.isfinite(value) else "; extract that image again"
        raise DataError(
            f"{where}: row {first + row * every}, region {region}, feature {at} is {value}; expected a finite "
            f"number{small}"
        )
    return converted


def partial_folder(dest: Path) -> Path:
    """Return the hidden folder beside `dest` in which it is made."""
    whole = dest.resolve()
    return whole.parent / f".{whole.name}.partial"


def require_new(dest: Path) -> None:
    """Raise OutputError where something stands at `dest` already, other than an empty folder."""
    if dest.is_symlink() and not dest.exists():
        raise OutputError(f"{dest}: is a link that leads nowhere; remove it or choose another name")
    if dest.exists() and not (dest.is_dir() and not any(dest.iterdir())):
        raise OutputError(f"{dest}: is there already, and nothing is overwritten; choose another name or remove it")


def file_identity(file: Path) -> str:
    """Return what tells this file from another or a changed one: size and hash; of a large one its date and ends.

    Raises DataError where it can't be read.
    """
    digest = hashlib.sha256()
    try:
        state = file.stat()
        with file.open("rb") as stream:
            if state.st_size <= HASHED_WHOLE_BYTES:
                while chunk := stream.read(HASHED_END_BYTES):
                    digest.update(chunk)
                return f"{state.st_size} bytes, sha256 {digest.hexdigest()}"
            digest.update(stream.read(HASHED_END_BYTES))
            stream.seek(-HASHED_END_BYTES, os.SEEK_END)
            digest.update(stream.read())
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); expected a readable file") from None
    return f"{state.st_size} bytes, changed {state.st_mtime_ns} ns, sha256 of its ends {digest.hexdigest()}"


def _refuse_links(home: Path) -> None:
    """Raise OutputError where what is to be written into would lead elsewhere."""
    for path in (home, *home.rglob("*")):
        if path.is_symlink():
            raise OutputError(f"{path}: is a link, and nothing is written through it; remove it or choose another name")


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _read_journal(file: Path) -> list[_Block]:
    """Return the blocks; a line that isn't one, the last before a crash say, is left out."""
    blocks = []
    with contextlib.suppress(FileNotFoundError):
        for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
            with contextlib.suppress(ValueError, TypeError):
                split, first, rows, checksum = json.loads(line)
                blocks.append((str(split), int(first), int(rows), int(checksum)))
    return blocks


def _copy_rows(path: Path, file: _RowFile) -> None:
    """Replace the file by one that has only the rows that are done."""
    kept = np.flatnonzero(file.done)
    with path.open("rb") as stream, whole_file(path) as out:
        out.write(encode_header((len(kept), *file.shape[1:]), file.dtype))
        for row in kept.tolist():
            stream.seek(file.offset + row * file.row_bytes)
            out.write(stream.read(file.row_bytes))
