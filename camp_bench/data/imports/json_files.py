"""Reads what the JSON files of captions have in common, typed: fields that aren't asked for are never made objects.

One decoder knows all formats, and leaves to each what a field has to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from camp_bench.config.text import decode_text, without_mark
from camp_bench.data.folder.texts import read_content
from camp_bench.errors import DataError

__all__ = ["Captions", "Item", "get", "objects", "read_json"]

_Unset: TypeAlias = Any


class Item(msgspec.Struct):
    """An image, a sentence, an annotation or an entry of a list: every field that one of the formats asks for."""

    filepath: _Unset = msgspec.UNSET
    filename: _Unset = msgspec.UNSET
    file_name: _Unset = msgspec.UNSET
    file_path: _Unset = msgspec.UNSET
    img_path: _Unset = msgspec.UNSET
    image: _Unset = msgspec.UNSET
    image_id: _Unset = msgspec.UNSET
    id: _Unset = msgspec.UNSET
    split: _Unset = msgspec.UNSET
    caption: _Unset = msgspec.UNSET
    captions: _Unset = msgspec.UNSET
    raw: _Unset = msgspec.UNSET
    sentences: list[Item | list[Any] | str | float | bool | None] | str | float | bool | msgspec.UnsetType | None = (
        msgspec.UNSET
    )


Items: TypeAlias = list[Item | list[Any] | str | float | bool | None]


class Captions(msgspec.Struct):
    """The file: `images` alone is Karpathy's, with `annotations` it is COCO's."""

    images: Items = []
    annotations: Items = []


_Decoded: TypeAlias = Captions | Items
_DECODER: msgspec.json.Decoder[_Decoded] = msgspec.json.Decoder(_Decoded)


def read_json(file: Path) -> _Decoded:
    """Return what a file of captions holds; DataError where it can't be read or is no such JSON."""
    content = read_content(file)
    try:
        return _DECODER.decode(without_mark(content))
    except msgspec.ValidationError as error:
        raise DataError(
            f"{file}: has no images that could be read ({error}); expected Karpathy's dataset_*.json, COCO's "
            f"captions_*.json or a list of pictures with captions; give the right file"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        decode_text(content, file, DataError)  # says where it isn't UTF-8
        raise DataError(
            f"{file}: isn't whole JSON: {' '.join(str(error).split())[:100]}; expected a JSON file; get the file again"
        ) from None


def objects(items: Sequence[Any], array: str, file: Path) -> Iterator[tuple[str, Item]]:
    """Yield (where it stands, object) for every member of an array; DataError where one is no object."""
    for number, item in enumerate(items):
        where = f"{array}[{number}]"
        if not isinstance(item, Item):
            raise DataError(f"{file}: {where} is {item!r:.60}; expected an object; get the file again")
        yield where, item


def get(item: Item, name: str, where: str) -> Any:
    """Return a field of an object; DataError names those that there are, of the known ones."""
    if (value := getattr(item, name)) is msgspec.UNSET:
        there = [repr(field) for field in Item.__struct_fields__ if getattr(item, field) is not msgspec.UNSET]
        raise DataError(f"{where}: has no '{name}', only {', '.join(there) or 'nothing known'}; mend the file")
    return value
