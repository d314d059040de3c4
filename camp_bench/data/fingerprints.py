"""SHA-256 fingerprints of what a run reads: two runs compare only where theirs agree.

task      captions, which image each belongs to, image ids: what is asked of a model
features  shape, dtype and values of every image's features, in image order, however the file stores them
train     both of the train split: what a model could learn from

Texts are hashed with their lengths before them, so no two lists of texts give the same bytes. The features of a
dataset can have 31 GB: they are streamed, and the result is kept beside them for as long as the file stays the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from camp_bench.data.dataset import Dataset, Split
from camp_bench.errors import DataError
from camp_bench.records import write_whole

__all__ = [
    "CACHE_NAME",
    "CAPTIONS_AN_IMAGE",
    "REPEATED",
    "Fingerprints",
    "differing_group",
    "features_fingerprint",
    "fingerprints",
    "task_fingerprint",
    "train_fingerprint",
]

CACHE_NAME = ".camp-bench-cache.json"
CAPTIONS_AN_IMAGE = 5
REPEATED = f"repeated {CAPTIONS_AN_IMAGE} times"
"""`Split.stored` of a file that gives each image once a caption."""

CHUNK_BYTES = 32 * 2**20
BLOCKS, BLOCK_BYTES = 9, 2**16
"""How many parts of a file are looked at to tell it from a changed one, and how large they are."""
SETTLED_NS = 2 * 10**9
"""A file written less than this ago may change again under the same time stamp, so its fingerprint isn't kept."""


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Hexadecimal SHA-256: `task` and `features` of the split that is evaluated, `train` of the train split."""

    task: str
    features: str
    train: str


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """The fingerprint of one file, and all that tells whether it still holds.

    A time stamp can be kept when a file is changed, as rsync and tar do: so its inode and the time of the inode's last
    change stand here too, and blocks: the hash of a few of its parts.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    rows: str
    blocks: str
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _Cache(msgspec.Struct, forbid_unknown_fields=True):
    schema_version: Literal[2] = 2
    features: dict[str, _Entry] = {}


def fingerprints(dataset: Dataset, *evaluated: str, trust_cache: bool = False) -> dict[str, Fingerprints]:
    """Return the fingerprints of a run that trains on `train`, by split that it is evaluated on.

    Reads all features of these splits once, or the cache. trust_cache: as in `features_fingerprint`. Raises DataError
    where a split is missing, a feature is NaN or infinite, or an image that is stored five times differs from itself.
    """
    train = dataset.split("train")
    features = {
        name: features_fingerprint(dataset.split(name), dataset.cache, trust_cache=trust_cache)
        for name in dict.fromkeys(("train", *evaluated))
    }
    of_train = _combined(task_fingerprint(train), features["train"])
    return {name: Fingerprints(task_fingerprint(dataset.split(name)), features[name], of_train) for name in evaluated}


def task_fingerprint(split: Split) -> str:
    """Return the hash of captions, index and image ids."""
    digest = hashlib.sha256(b"camp-bench task 1\n" + _framed(split.captions) + _framed(split.image_ids))
    digest.update(np.ascontiguousarray(split.image_of, dtype="<i8").data)  # as many as captions, so it needs no length
    return digest.hexdigest()


def train_fingerprint(split: Split, cache: Path | None = None) -> str:
    """Return the hash of the split's task and features; raises as `features_fingerprint` does."""
    return _combined(task_fingerprint(split), features_fingerprint(split, cache))


def features_fingerprint(split: Split, cache: Path | None = None, *, trust_cache: bool = False) -> str:
    """Return the hash of all features in image order, 32 MB at a time; checks each of them on the way.

    cache: a folder for the file that keeps results between runs. One that can't be read or written is done without.
    trust_cache: believe it for a file of another inode, as disks of a network give one file several.
    Raises DataError where a feature is NaN or infinite, or an image that is stored five times differs from itself.
    """
    before = cache and _file_state(split, cache)
    if not cache or not before:
        return _hash_features(split)
    name, entry = before
    file = cache / CACHE_NAME
    kept = _read_cache(file).features.get(name)
    if kept is not None and _same(kept, entry, trust_cache=trust_cache):
        return kept.sha256
    entry.sha256 = _hash_features(split)
    after = _file_state(split, cache)
    if after is not None and after[1].mtime_ns == entry.mtime_ns and entry.mtime_ns + SETTLED_NS < time.time_ns():
        fresh = _read_cache(file)  # again: another process may have added to it meanwhile
        fresh.features[name] = entry
        _write_cache(file, fresh)
    return entry.sha256


def differing_group(features: npt.NDArray[np.floating], starts: npt.NDArray[np.int64]) -> int | None:
    """Return the first of `starts` whose row differs in any bit from one of the four rows after it, or None."""
    bits = features.view(f"u{features.itemsize}")  # as floats NaN would differ from itself
    firsts = bits[starts]
    differs = np.zeros(len(starts), dtype=np.bool_)
    for step in range(1, CAPTIONS_AN_IMAGE):
        differs |= (bits[starts + step] != firsts).any(axis=(1, 2))
    return int(starts[differs.argmax()]) if differs.any() else None


def _same(kept: _Entry, now: _Entry, *, trust_cache: bool) -> bool:
    """Return whether a file is the one whose fingerprint was kept."""
    if not trust_cache and (kept.ctime_ns, kept.inode) != (now.ctime_ns, now.inode):
        return False
    return (kept.size, kept.mtime_ns, kept.rows, kept.blocks) == (now.size, now.mtime_ns, now.rows, now.blocks)


def _combined(task: str, features: str) -> str:
    return hashlib.sha256(f"camp-bench train 1\n{task}\n{features}\n".encode()).hexdigest()


def _framed(texts: Iterable[str]) -> bytes:
    """Return how many texts there are, then each with its length before it."""
    encoded = [text.encode() for text in texts]
    sizes = (len(encoded), *map(len, encoded))
    return b"".join(size.to_bytes(8, "little") + text for size, text in zip(sizes, (b"", *encoded), strict=True))


def _hash_features(split: Split) -> str:
    where = getattr(split.features, "filename", None) or split.name  # of a memory map, its file
    features, repeated = split.features, split.stored == REPEATED
    _, regions, size = features.shape
    digest = hashlib.sha256(f"camp-bench features 1\n{split.n_images} {regions} {size} {features.dtype}\n".encode())
    image_bytes = regions * size * features.itemsize * (CAPTIONS_AN_IMAGE if repeated else 1)
    step = max(1, CHUNK_BYTES // image_bytes)
    for start in range(0, split.n_images, step):
        rows = split.feature_rows[start : start + step]
        if repeated and (row := differing_group(features, rows)) is not None:
            raise DataError(
                f"{where}: image rows {row} to {row + CAPTIONS_AN_IMAGE - 1} differ; expected {CAPTIONS_AN_IMAGE} "
                f"times the same image, as there are as many rows as captions; extract them again or write an index"
            )
        run = slice(rows[0], rows[-1] + 1)  # as it mostly is: then nothing has to be copied
        chunk = np.ascontiguousarray(features[run if np.array_equal(rows, np.r_[run]) else rows])
        finite = np.isfinite(chunk)
        if not finite.all():
            image, region, at = (int(i) for i in np.unravel_index(finite.argmin(), finite.shape))
            raise DataError(
                f"{where}: image row {rows[image]}, region {region}, feature {at} is {chunk[image, region, at]}; "
                f"expected finite features; extract that image again, or remove it and its captions"
            )
        digest.update(chunk.data)
    return digest.hexdigest()


def _file_state(split: Split, cache: Path) -> tuple[str, _Entry] | None:
    """Return name and state of the file that holds exactly these features, or None: then nothing can be kept."""
    features = split.features
    if not isinstance(features, np.memmap) or not isinstance(features.filename, str | os.PathLike):
        return None
    try:
        file = Path(features.filename)
        state = file.stat()
        name = file.name if file.parent == cache.resolve() else str(file)  # so the cache moves along with its folder
        blocks = _hash_blocks(file, state.st_size)
    except OSError:
        return None
    if not features.flags.c_contiguous or features.offset + features.nbytes != state.st_size:
        return None  # a part of the file
    rows = hashlib.sha256(f"{split.stored} {features.shape} {features.dtype}\n".encode())
    rows.update(np.ascontiguousarray(split.feature_rows, dtype="<i8").data)
    stamps = state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino
    return name, _Entry(*stamps, rows.hexdigest(), blocks, "")


def _hash_blocks(file: Path, size: int) -> str:
    """Return the hash of a few blocks of a file, evenly from all of it."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        for number in range(BLOCKS):
            stream.seek(max(0, size - BLOCK_BYTES) * number // (BLOCKS - 1))
            digest.update(stream.read(BLOCK_BYTES))
    return digest.hexdigest()


def _read_cache(file: Path) -> _Cache:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Cache)
    except (
        OSError,
        msgspec.DecodeError,
        UnicodeDecodeError,
        RecursionError,
        OverflowError,
    ):  # it only saves time: what can't be read is computed again
        return _Cache()


def _write_cache(file: Path, cache: _Cache) -> None:
    with contextlib.suppress(OSError):  # a read-only folder, say
        write_whole(file, msgspec.json.format(msgspec.json.encode(cache), indent=2) + b"\n")
