"""Reads a folder in SCAN's published layout: `{split}_ims.npy`, `{split}_caps.txt` and, where given, `{split}_ids.txt`.

Published folders give an image once, five captions to a row of features, or five times, one caption to a row; one
folder can mix both. Any other number of captions needs a `{split}_index.txt`: one line a caption, the 0-based row.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import numpy.typing as npt

from camp_bench.config.text import read_whole
from camp_bench.data.dataset import Dataset, Split
from camp_bench.data.fingerprints import CAPTIONS_AN_IMAGE, REPEATED, differing_group
from camp_bench.data.folder.texts import read_captions, read_content, read_ids, read_index, split_lines
from camp_bench.errors import DataError, nearest
from camp_bench.records.npy import read_header

__all__ = ["SPLITS", "captions_a_row", "differing_rows", "open_folder", "require_split"]

SPLITS = ("train", "dev", "test", "testall")
REQUIRED = ("train", "dev", "test")
SAMPLED_GROUPS = 16
"""How many groups of rows are compared to see that images are repeated: 12 MB of a file that can have 31 GB. The rest
is compared in the pass that computes the fingerprint, which reads everything anyway."""

SHOWN_NAMES = 8


def open_folder(path: Path, splits: Sequence[str] | None = None, *, features: bool = True) -> Dataset:
    """Open every split in the folder; features stay on disk, memory-mapped.

    splits: those that must be there, by default train, dev and test; the others are opened where present. features:
    whether a split needs them; without, captions with an index, with ids or five an image will do, and only the splits
    that must be there are opened.
    Raises DataError where the folder, a file or their sizes make no sense. Writes nothing.
    """
    required = REQUIRED if splits is None else tuple(splits)
    for name in required:
        require_split(name)
    if not features and not all((path / f"{name}_ims.npy").exists() for name in required):
        bare = {name: _open_captions(path, name) for name in required}
        return Dataset(name=path.resolve().name, source=str(path), splits=bare, cache=path)
    opened = {name: _open_split(path, name) for name in _present_splits(path, required)}
    first = next(iter(opened.values()))
    for split in opened.values():
        if split.feature_size != first.feature_size:
            raise DataError(
                f"{path}: features of {first.name} have size {first.feature_size}, those of {split.name} "
                f"{split.feature_size}; expected one size; extract all splits in the same way"
            )
    return Dataset(name=path.resolve().name, source=str(path), splits=opened, cache=path)


def require_split(name: str) -> None:
    """Raise DataError unless there is a split of this name."""
    if name not in SPLITS:
        raise DataError(f"no split is called '{name}'{nearest(name, SPLITS)}; there are {', '.join(SPLITS)}")


def _present_splits(path: Path, required: Sequence[str]) -> list[str]:
    """Return the splits in the folder; DataError where it is none, or lacks a file."""
    try:
        found = sorted(entry.name for entry in path.iterdir())
    except FileNotFoundError:
        raise DataError(f"{path}: no such folder; expected one with {{train,dev,test}}_ims.npy and _caps.txt") from None
    except NotADirectoryError:
        raise DataError(f"{path}: is a file; expected the folder that holds {{train,dev,test}}_ims.npy") from None
    except OSError as error:
        raise DataError(f"{path}: can't be listed ({error.strerror}); expected a readable folder") from None
    files = {name: (f"{name}_ims.npy", f"{name}_caps.txt") for name in SPLITS}
    names = [name for name in SPLITS if name in required or any(file in found for file in files[name])]
    missing = [file for name in names for file in files[name] if file not in found]
    if missing or not names:
        shown = ", ".join(found[:SHOWN_NAMES]) + (f" and {len(found) - SHOWN_NAMES} more" * (len(found) > SHOWN_NAMES))
        inner = [name for name in found if any((path / name / f"{split}_ims.npy").is_file() for split in SPLITS)]
        remedy = f"did you mean {path / inner[0]}?" if inner else "add it, or give the folder that has it"
        raise DataError(
            f"{path}: no {', '.join(missing) or 'split'}; the folder holds {shown or 'nothing'}; "
            f"expected _ims.npy and _caps.txt for each of {', '.join(names or SPLITS)}; {remedy}"
        )
    return names


def _open_split(path: Path, name: str) -> Split:
    """Open one split and find out which rows are which images."""
    ims, caps, index = path / f"{name}_ims.npy", path / f"{name}_caps.txt", path / f"{name}_index.txt"
    features = _map_features(ims)
    captions = read_captions(read_content(caps), caps)
    rows, n_captions, stored = len(features), len(captions), "once"
    feature_rows = np.arange(rows, dtype=np.int64)
    if index.exists():
        stored = "once, indexed"
        image_of = read_index(read_content(index), index, rows, n_captions)
    else:
        image_of = np.arange(n_captions, dtype=np.int64) // CAPTIONS_AN_IMAGE
        if captions_a_row(rows, n_captions, ims, caps) == 1:
            stored = REPEATED
            feature_rows = _group_starts(features, ims)
    n_images = len(feature_rows)
    image_ids = tuple(map(str, range(n_images)))
    if (ids := path / f"{name}_ids.txt").exists():
        image_ids = read_ids(read_content(ids), ids, n_images, grouped=not index.exists())
    return Split(name, features, feature_rows, image_ids, captions, image_of, stored)


def _open_captions(path: Path, name: str) -> Split:
    """Open the captions of a split without features: images are what its index, its ids or five captions each tell."""
    caps, index, ids = (path / f"{name}_{kind}.txt" for kind in ("caps", "index", "ids"))
    if not caps.exists():
        _present_splits(path, (name,))  # says what is missing
    captions = read_captions(read_content(caps), caps)
    if index.exists():
        lines = split_lines(read_content(index), index)
        n_images = 1 + max((row for text in lines if (row := read_whole(text)) is not None), default=0)
        image_of = read_index(read_content(index), index, min(n_images, len(lines)), len(captions))
    else:
        if len(captions) % CAPTIONS_AN_IMAGE:
            raise DataError(
                f"{caps}: {len(captions)} captions and no {name}_ims.npy, not a multiple of {CAPTIONS_AN_IMAGE}; "
                f"expected {CAPTIONS_AN_IMAGE} an image; else say in {name}_index.txt which 0-based image each "
                f"describes, one a line"
            )
        image_of = np.arange(len(captions), dtype=np.int64) // CAPTIONS_AN_IMAGE
    n_images = int(image_of.max()) + 1
    image_ids = tuple(map(str, range(n_images)))
    if ids.exists():
        image_ids = read_ids(read_content(ids), ids, n_images, grouped=not index.exists())
    nothing = np.empty((n_images, 1, 0), dtype=np.float32)
    return Split(name, nothing, np.arange(n_images), image_ids, captions, image_of, "without features")


def _group_starts(features: npt.NDArray[np.floating], file: Path) -> npt.NDArray[np.int64]:
    """Return (N,) the first row of every image that is given once a caption; DataError if a sample says it isn't so."""
    rows = len(features)
    starts = np.arange(0, rows, CAPTIONS_AN_IMAGE, dtype=np.int64)
    sample = np.unique(np.linspace(0, len(starts) - 1, SAMPLED_GROUPS).astype(np.int64))
    if (row := differing_group(features, starts[sample])) is not None:
        raise DataError(f"{file}: {differing_rows(rows, row, file.name)}")
    return starts


def differing_rows(rows: int, row: int, ims: str) -> str:
    """Return what is wrong where five rows from `row` on should be one image and aren't; ims: the file's name."""
    return (
        f"{rows} rows and as many captions, but rows {row} to {row + CAPTIONS_AN_IMAGE - 1} aren't "
        f"{CAPTIONS_AN_IMAGE} times the same image; expected {CAPTIONS_AN_IMAGE} captions an image; "
        f"else say in {_index_name(ims)} which 0-based row each describes, one a line"
    )


def captions_a_row(rows: int, n_captions: int, ims: object, caps: object) -> int:
    """Return how many captions a row of features has where no index says it: 5, or 1 of an image that stands 5 times.

    Raises DataError where the counts fit neither; `ims` and `caps` are the names of the two files.
    """
    if rows == n_captions and rows % CAPTIONS_AN_IMAGE:
        raise DataError(
            f"{ims}: {rows} rows and as many captions, not a multiple of {CAPTIONS_AN_IMAGE}; expected "
            f"{CAPTIONS_AN_IMAGE} captions an image; else say in {_index_name(ims)} which 0-based row each describes, "
            f"one a line"
        )
    if n_captions not in (rows, CAPTIONS_AN_IMAGE * rows):
        raise DataError(
            f"{caps}: {n_captions} captions for {rows} rows in {PurePath(str(ims)).name}; "
            f"expected {CAPTIONS_AN_IMAGE * rows} (images given once) or {rows} (images repeated); "
            f"mend the file, or say in {_index_name(ims)} which row each caption describes"
        )
    return n_captions // rows


def _index_name(ims: object) -> str:
    return PurePath(str(ims)).name.replace("_ims.npy", "_index.txt")


def _map_features(file: Path) -> npt.NDArray[np.floating]:
    """Map a .npy file as (rows, regions, feature_size); the header is checked before any data is touched."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            header = read_header(stream, file)
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); expected a readable .npy file") from None
    if header.dtype not in (np.float16, np.float32):  # false for the byte order of another machine as well
        raise DataError(
            f"{file}: holds {header.dtype} values; expected float16 or float32 in this machine's byte order; "
            f"save one array of images x regions x feature size again after .astype('float32')"
        )
    header.require_features(file, size)
    mapped = np.memmap(file, dtype=header.dtype, mode="r", offset=header.offset, shape=header.shape)
    return mapped if mapped.ndim > 2 else mapped[:, np.newaxis, :]
