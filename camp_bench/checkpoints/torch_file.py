"""Reads the files that torch.save writes, by torch's own reader of weights alone.

Both forms are read: the zip of today, and the row of pickles that was its form until torch 1.6, from Python 2 as well.
What is in a file is looked at first, since torch's reader takes the sizes that a file declares at their word: names
that checkpoints don't need are refused, and the numbers of every weight have to be there.
"""

from __future__ import annotations

import collections
import io
import math
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any, Final

import torch

from camp_bench.checkpoints.pickle_data import FAILURES, Inert, damaged, read_pickle
from camp_bench.errors import CheckpointError

__all__ = ["LEGACY_START", "Namespace", "load_checkpoint"]

ZIP_START: Final = b"PK\x03\x04"
LEGACY_START: Final = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""The pickled magic number of torch's older form."""
BYTES: Final = {
    **dict.fromkeys(("FloatStorage", "IntStorage"), 4),
    **dict.fromkeys(("DoubleStorage", "LongStorage"), 8),
    **dict.fromkeys(("HalfStorage", "BFloat16Storage", "ShortStorage"), 2),
    **dict.fromkeys(("CharStorage", "ByteStorage", "BoolStorage"), 1),
}
"""What a number takes, by the name of a kind of storage."""


class Namespace:
    """The options of VSE++ and SCAN, by their names: what stands for an `argparse.Namespace`."""


class _Storage:
    """A run of numbers, or the view of one, of which only their count is looked at."""

    def __init__(self, count: int) -> None:
        self.count = count


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Inert:
    """Stand for torch's function that makes a tensor, which would make room for numbers that a storage lacks."""
    if not isinstance(storage, _Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise ValueError("a tensor has no size")
    if not _are_counts(offset, *size, *stride) or len(size) != len(stride):
        raise ValueError("a tensor has no size")
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if 0 not in size and (last >= storage.count or math.prod(size) > storage.count):
        raise ValueError(f"a tensor is {str(size)[:30]} numbers in a place of {storage.count:,}")
    return Inert()


KNOWN: Final[dict[tuple[str, str], Any]] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("argparse", "Namespace"): Namespace,
    ("easydict", "EasyDict"): collections.OrderedDict,
    ("torch", "Size"): tuple,
    ("torch._utils", "_rebuild_parameter"): Inert,
    **{("torch._utils", f"_rebuild_{kind}"): _tensor for kind in ("tensor", "tensor_v2")},
    **{(module, name): name for module in ("torch", "torch.cuda") for name in BYTES},
}
"""All names in honest files, with what stands for them where a file is looked at."""


def load_checkpoint(path: Path) -> Any:
    """Return what torch.save wrote: plain values, tensors on the CPU and `Namespace`.

    Raises CheckpointError where the file is none of torch's, damaged, or asks for more than to be read.
    """
    try:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; expected a checkpoint (.pth.tar)")
        with path.open("rb") as file:
            start = file.read(len(LEGACY_START))
            file.seek(0)
            if start.startswith(ZIP_START):
                _look_at_zip(path)
            elif start == LEGACY_START:
                _look_at_legacy(path)
            else:
                raise CheckpointError(f"{path}: not a file that torch.save wrote; expected a checkpoint (.pth.tar)")
            inert = [(Namespace, "argparse.Namespace"), (collections.OrderedDict, "easydict.EasyDict")]
            with torch.serialization.safe_globals(inert), warnings.catch_warnings():  # type: ignore[arg-type]
                warnings.simplefilter("ignore")  # of how torch's own older form is read
                return torch.load(file, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror or error}); expected a checkpoint") from None
    except (*FAILURES, zipfile.BadZipFile, struct.error) as error:
        raise damaged(str(path), str(error) or "its steps don't fit each other") from None


class _Storages:
    """What a pickle says of the numbers beside it: bytes by key."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.bytes: dict[str, int] = {}

    def __call__(self, key: Any) -> _Storage:
        """Take in ("storage", type, key, device, count) and, long ago, a view."""
        if not isinstance(key, tuple) or len(key) not in (5, 6) or key[0] != "storage" or not isinstance(key[2], str):
            raise damaged(self.where, "it refers to something that is no tensor")
        kind, name, count = key[1], key[2], key[4]
        view = key[5] if len(key) == 6 and key[5] is not None else (name, 0, count)
        if kind not in BYTES or not isinstance(view, tuple) or len(view) != 3 or not _are_counts(count, *view[1:]):
            raise damaged(self.where, "a storage has no size")
        if view[1] + view[2] > count:
            raise damaged(self.where, f"a storage of {count:,} numbers has a view beyond them")
        if self.bytes.setdefault(name, count * BYTES[kind]) != count * BYTES[kind]:
            raise damaged(self.where, f"storage {name} is said to be of two kinds")
        return _Storage(view[2])


def _look_at_zip(path: Path) -> None:
    """Raise CheckpointError unless a zip is as torch writes it, with the numbers of all storages in it."""
    where, size = str(path), path.stat().st_size
    with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice, which are refused below
        entries = {info.filename: info for info in archive.infolist()}
        homes = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
        if len(homes) != 1 or homes[0].count("/") != 1:
            raise CheckpointError(f"{where}: a zip without data.pkl; expected a checkpoint (.pth.tar)")
        for name, info in entries.items():
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size > size:
                raise damaged(where, f"{name} is compressed, encrypted or larger than the file")
        if len(entries) != len(archive.infolist()) or sum(info.file_size for info in entries.values()) > size:
            raise damaged(where, "entries that are there twice, or larger than the file together")
        if f"{homes[0]}byteorder" in entries and archive.read(f"{homes[0]}byteorder").strip() != b"little":
            raise _big_endian(where)
        storages = _Storages(where)
        read_pickle(io.BytesIO(archive.read(f"{homes[0]}data.pkl")), where, KNOWN, storages)
        for key, declared in storages.bytes.items():
            entry = entries.get(f"{homes[0]}data/{key}")
            if entry is None:
                raise damaged(where, f"{homes[0]}data/{key} is missing")
            if entry.file_size != declared:
                raise damaged(where, f"storage {key}: {declared:,} bytes declared, {entry.file_size:,} there")
        if archive.testzip() is not None:
            raise damaged(where, "bad CRC-32")


def _look_at_legacy(path: Path) -> None:
    """Raise CheckpointError unless five pickles are followed by the numbers of all storages."""
    where, stream = str(path), io.BytesIO(path.read_bytes())
    read_pickle(stream, where, {})  # the magic number
    version, system = read_pickle(stream, where, {}), read_pickle(stream, where, {})
    if version != torch.serialization.PROTOCOL_VERSION or not isinstance(system, dict):
        raise CheckpointError(f"{where}: another version of torch's older form; save it again")
    if system.get("little_endian") is not True:
        raise _big_endian(where)
    storages = _Storages(where)
    read_pickle(stream, where, KNOWN, storages)
    keys = read_pickle(stream, where, {})
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages.bytes):
        raise damaged(where, "the list of its storages isn't that of its tensors")
    left = len(stream.getbuffer()) - stream.tell()
    for key in keys:
        declared = storages.bytes[key]
        left -= 8 + declared
        if left < 0:
            raise damaged(where, f"storage {key}: {declared:,} bytes declared, {max(0, left + declared):,} bytes left")


def _are_counts(*values: Any) -> bool:
    """Return whether all are whole numbers that can count something in a file."""
    return all(type(value) is int and 0 <= value < 2**48 for value in values)


def _big_endian(where: str) -> CheckpointError:
    return CheckpointError(f"{where}: numbers in big-endian order; expected little-endian; save it again")
