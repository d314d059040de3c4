"""Reads the items of a large JSON file one after the other: a file of COCO's size would take gigabytes as objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from camp_bench.errors import DataError

__all__ = ["get", "stream_items"]

MAX_DEPTH = 1000
"""Of brackets: for each level ijson keeps the path that leads there, so a deep file of 100 KB would take gigabytes."""

STEP = np.zeros(256, dtype=np.int8)
STEP[[ord("["), ord("{")]], STEP[[ord("]"), ord("}")]] = 1, -1


def stream_items(file: Path, array: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (where it stands, object) for every member of an array at the top level of a JSON file.

    Raises DataError where the file can't be read, isn't JSON, or a member is no object.
    """
    import ijson

    number = -1
    try:
        with file.open("rb") as stream:
            for number, item in enumerate(ijson.items(_Shallow(stream, file), f"{array}.item", use_float=True)):
                where = f"{array}[{number}]"
                if not isinstance(item, dict):
                    raise DataError(f"{file}: {where} is {item!r:.60}; expected an object; get the file again")
                yield where, item
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror}); expected a readable JSON file") from None
    except (ijson.JSONError, UnicodeDecodeError, RecursionError) as error:
        after = f"after {array}[{number}]" if number >= 0 else "near its start"
        raise DataError(
            f"{file}: isn't whole JSON, {after}: {_reason(error)}; expected a JSON file; get the file again"
        ) from None


class _Shallow:
    """A stream that refuses deep nesting. Brackets in texts count as well: real files have few, and mostly in pairs."""

    def __init__(self, stream: IO[bytes], file: Path) -> None:
        self._stream, self._file, self._depth = stream, file, 0

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        depths = self._depth + np.cumsum(STEP[np.frombuffer(content, np.uint8)], dtype=np.int64)
        if len(depths):
            if depths.max() > MAX_DEPTH:
                raise DataError(f"{self._file}: is nested more than {MAX_DEPTH} deep; expected a list of images")
            self._depth = int(depths[-1])
        return content


def get(item: dict[str, Any], name: str, where: str) -> Any:
    """Return a field of an object; DataError names those that there are."""
    if name not in item:
        raise DataError(f"{where}: has no '{name}', only {', '.join(map(repr, item)) or 'nothing'}; mend the file")
    return item[name]


def _reason(error: Exception) -> str:
    texts = [part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part) for part in error.args[:1]]
    return (" ".join(" ".join(texts).split()) or type(error).__name__)[:100]
