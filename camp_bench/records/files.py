"""Files that are written whole or not at all: beside their place, under a name of their own, on the disk, then renamed.

The name is new and never followed: where a link with a guessed name lies in wait, another name is taken.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["flush_to_disk", "whole_file", "write_whole"]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, over one that is there; raises OSError and leaves all as it was where that can't be."""
    with whole_file(path) as stream:
        stream.write(data)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a stream whose content becomes `path` if the block ends well, else vanishes; raises OSError.

    When it has its name, it is on the disk: a machine that stops leaves the old file or the new one.
    """
    scratch = path.with_name(f".{secrets.token_hex(8)}.partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(scratch, flags, 0o666)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(path)
    except BaseException:
        with suppress(OSError):
            scratch.unlink()
        raise
    flush_to_disk(path.parent)


def flush_to_disk(path: Path) -> None:
    """Put a file, or the names in a folder, on the disk, as far as the file system can; raises OSError for a file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some file systems know no such thing for folders
            raise
    finally:
        os.close(handle)
