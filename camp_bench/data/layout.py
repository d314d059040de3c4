"""Reads a folder in SCAN's published layout: `{split}_ims.npy`, `{split}_caps.txt` and, where given, `{split}_ids.txt`.

Published folders give an image once, five captions to a row of features, or five times, one caption to a row; one
folder can mix both. Any other number of captions needs a `{split}_index.txt`: one line a caption, the 0-based row.
"""

from __future__ import annotations

import re
import tokenize
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from camp_bench.data.dataset import Dataset, Split
from camp_bench.data.fingerprints import CAPTIONS_AN_IMAGE, REPEATED, differing_group
from camp_bench.errors import DataError, nearest

__all__ = ["SPLITS", "open_folder"]

SPLITS = ("train", "dev", "test", "testall")
REQUIRED = ("train", "dev", "test")
SAMPLED_GROUPS = 16
"""How many groups of rows are compared to see that images are repeated: 12 MB of a file that can have 31 GB. The rest
is compared in the pass that computes the fingerprint, which reads everything anyway."""

SHOWN_NAMES = 8
PRINTED_BYTES = re.compile(r"""b(['"]).*\1""")
ROW = re.compile("[0-9]{1,18}")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def open_folder(path: Path, splits: Sequence[str] | None = None) -> Dataset:
    """Open every split in the folder; features stay on disk, memory-mapped.

    splits: those that must be there, by default train, dev and test; the others are opened where present.
    Raises DataError where the folder, a file or their sizes make no sense. Writes nothing.
    """
    required = REQUIRED if splits is None else tuple(splits)
    for name in required:
        if name not in SPLITS:
            raise DataError(f"no split is called '{name}'{nearest(name, SPLITS)}; there are {', '.join(SPLITS)}")
    opened = {name: _open_split(path, name) for name in _present_splits(path, required)}
    first = next(iter(opened.values()))
    for split in opened.values():
        if split.feature_size != first.feature_size:
            raise DataError(
                f"{path}: features of {first.name} have size {first.feature_size}, those of {split.name} "
                f"{split.feature_size}; expected one size; extract all splits in the same way"
            )
    return Dataset(name=path.resolve().name, source=str(path), splits=opened, cache=path)


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
    captions = _read_captions(caps)
    rows, n_captions, stored = len(features), len(captions), "once"
    feature_rows = np.arange(rows, dtype=np.int64)
    if index.exists():
        stored = "once, indexed"
        image_of = _read_index(index, rows, n_captions)
    else:
        image_of = np.arange(n_captions, dtype=np.int64) // CAPTIONS_AN_IMAGE
        if rows == n_captions:
            stored = REPEATED
            feature_rows = _group_starts(features, ims)
        elif n_captions != CAPTIONS_AN_IMAGE * rows:
            raise DataError(
                f"{caps}: {n_captions} captions for {rows} rows in {ims.name}; expected {CAPTIONS_AN_IMAGE * rows} "
                f"(images given once) or {rows} (images repeated); "
                f"mend the file, or say in {index.name} which row each caption describes"
            )
    n_images = len(feature_rows)
    image_ids = tuple(map(str, range(n_images)))
    if (ids := path / f"{name}_ids.txt").exists():
        image_ids = _read_ids(ids, n_images, grouped=not index.exists())
    return Split(name, features, feature_rows, image_ids, captions, image_of, stored)


def _group_starts(features: npt.NDArray[np.floating], file: Path) -> npt.NDArray[np.int64]:
    """Return (N,) the first row of every image that is given once a caption; DataError if a sample says it isn't so."""
    rows = len(features)
    remedy = f"else say in {file.name.replace('_ims.npy', '_index.txt')} which 0-based row each describes, one a line"
    if rows % CAPTIONS_AN_IMAGE:
        raise DataError(
            f"{file}: {rows} rows and as many captions, not a multiple of {CAPTIONS_AN_IMAGE}; "
            f"expected {CAPTIONS_AN_IMAGE} captions an image; {remedy}"
        )
    starts = np.arange(0, rows, CAPTIONS_AN_IMAGE, dtype=np.int64)
    sample = np.unique(np.linspace(0, len(starts) - 1, SAMPLED_GROUPS).astype(np.int64))
    if (row := differing_group(features, starts[sample])) is not None:
        raise DataError(
            f"{file}: {rows} rows and as many captions, but rows {row} to {row + CAPTIONS_AN_IMAGE - 1} aren't "
            f"{CAPTIONS_AN_IMAGE} times the same image; expected {CAPTIONS_AN_IMAGE} captions an image; {remedy}"
        )
    return starts


def _map_features(file: Path) -> npt.NDArray[np.floating]:
    """Map a .npy file as (rows, regions, feature_size); the header is checked before any data is touched."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            start = stream.read(16)
            stream.seek(0)
            read = npy.read_array_header_1_0 if npy.read_magic(stream) < (2, 0) else npy.read_array_header_2_0
            with warnings.catch_warnings():  # that a file of Python 2 takes longer, for a header
                warnings.simplefilter("ignore", UserWarning)
                shape, fortran_order, dtype = read(stream)
            offset = stream.tell()
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); expected a readable .npy file") from None
    except (ValueError, EOFError, SyntaxError, tokenize.TokenError, MemoryError, RecursionError):
        holds = f"starts with {start!r}" if size else "is empty (0 bytes)"
        raise DataError(f"{file}: not a whole .npy file, it {holds}; expected an array; get the file again") from None
    if dtype not in (np.float16, np.float32):  # false for the byte order of another machine as well
        raise DataError(
            f"{file}: holds {dtype} values; expected float16 or float32 in this machine's byte order; "
            f"save one array of images x regions x feature size again after .astype('float32')"
        )
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise DataError(
            f"{file}: has shape {shape}; expected (images, regions, feature size) or (images, feature size), "
            f"each 1 or more; extract the features again, or reshape a map of cells to one region a cell"
        )
    if fortran_order:  # one image would lie scattered over the whole file
        raise DataError(f"{file}: is in Fortran order; expected C order; save it again after np.ascontiguousarray")
    if (needed := offset + dtype.itemsize * int(np.prod(shape, dtype=object))) > size:
        raise DataError(
            f"{file}: is cut off, its header announces {shape} {dtype}, which takes {needed} bytes, "
            f"and it has {size}; get the file again"
        )
    mapped = np.memmap(file, dtype=dtype, mode="r", offset=offset, shape=shape)
    return mapped if len(shape) > 2 else mapped[:, np.newaxis, :]


def _read_captions(file: Path) -> tuple[str, ...]:
    captions = _read_lines(file)
    for line, caption in enumerate(captions, 1):
        if not caption:
            raise DataError(f"{file}: line {line} is empty; expected a caption on every line; write one there")
        if PRINTED_BYTES.fullmatch(caption):
            raise DataError(
                f"{file}: line {line} is printed Python bytes, {caption[:40]!r}; expected plain text; a Python 3 port "
                f"wrote str(caption) of bytes, so write caption.decode('utf-8') instead"
            )
    return tuple(captions)


def _read_index(file: Path, rows: int, n_captions: int) -> npt.NDArray[np.int64]:
    """Return (M,) the image of each caption."""
    lines = _read_lines(file)
    if len(lines) != n_captions:
        raise DataError(f"{file}: {len(lines)} lines for {n_captions} captions; expected one line a caption; mend it")
    for line, text in enumerate(lines, 1):
        if not (ROW.fullmatch(text) and int(text) < rows):
            raise DataError(
                f"{file}: line {line} is {text[:40]!r}; expected the 0-based row of an image, 0 to {rows - 1}; mend it"
            )
    image_of = np.array([int(text) for text in lines], dtype=np.int64)
    if len(bare := np.setdiff1d(np.arange(rows), image_of)):
        raise DataError(
            f"{file}: {len(bare)} of {rows} images have no caption, the first is row {bare[0]}; "
            f"expected one or more captions an image; remove those rows or add captions"
        )
    return image_of


def _read_ids(file: Path, n_images: int, *, grouped: bool) -> tuple[str, ...]:
    """Return the N image ids; `grouped`: five lines an image will do as well."""
    ids = _read_lines(file)
    every = CAPTIONS_AN_IMAGE if grouped and len(ids) == CAPTIONS_AN_IMAGE * n_images else 1
    if len(ids) != every * n_images:
        also = f" or {CAPTIONS_AN_IMAGE * n_images}, one a caption" if grouped else ""
        raise DataError(
            f"{file}: {len(ids)} ids for {n_images} images; expected {n_images}{also}; "
            f"mend it, or remove it to number the images"
        )
    images = ids[::every]
    seen: dict[str, int] = {}
    for line, image_id in enumerate(ids, 1):
        image = (line - 1) // every
        if not image_id:
            raise DataError(f"{file}: line {line} is empty; expected an id on every line; write one there")
        if image_id != images[image]:
            raise DataError(
                f"{file}: line {line} is {image_id[:40]!r}, of an image whose other id is {images[image][:40]!r}; "
                f"expected {every} equal lines an image; mend it, or remove it to number the images"
            )
        if seen.setdefault(image_id, image) != image:
            raise DataError(
                f"{file}: line {line} repeats {image_id[:40]!r} of line {seen[image_id] * every + 1}; "
                f"expected an id of its own for every image; mend it, or remove it to number the images"
            )
    return tuple(images)


def _read_lines(file: Path) -> list[str]:
    """Return the stripped lines of a UTF-8 file. Only a line feed ends one: captions can hold U+2028 and the like."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); expected a readable text file") from None
    try:
        content.decode("utf-8")
        wrong = content.find(b"\0")  # valid UTF-8, but never in a caption: text of two bytes a character
    except UnicodeDecodeError as error:
        wrong = error.start
    if wrong >= 0:
        raise DataError(
            f"{file}: is not UTF-8, byte 0x{content[wrong]:02x} at offset {wrong} "
            f"(line {content.count(10, 0, wrong) + 1}); save the file again as UTF-8"
        )
    lines = [line.strip() for line in content.removeprefix(BYTE_ORDER_MARK).decode("utf-8").split("\n")]
    for _ in range(2):  # the last line's end, and one blank line after it
        if lines and not lines[-1]:
            lines.pop()
    if not lines:
        raise DataError(f"{file}: has no lines; expected one a caption or image; get the file again")
    return lines
