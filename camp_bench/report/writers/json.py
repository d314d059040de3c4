"""What a document was made from, as strict JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from camp_bench.report.document import Document

__all__ = ["write"]


def write(document: Document) -> str:
    """Return all of the data, nothing rounded; NaN is null."""
    return (
        msgspec.json.format(msgspec.json.encode(_encodable(msgspec.to_builtins(document.data))), indent=2).decode()
        + "\n"
    )


def _encodable(value: Any) -> Any:
    """Return the value without the lone surrogates that file names may hold, for which UTF-8 has no place."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list | tuple) else value
