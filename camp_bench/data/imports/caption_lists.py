"""Reads JSON lists of pictures with their captions, as ALBEF, BLIP and the data of person search have them.

    [{"image": "val2014/COCO_val2014_000000391895.jpg", "caption": ["...", "..."]}, ...]     ALBEF's test and val files
    [{"image": ..., "caption": "...", "image_id": ...}, ...]                                 its training files
    [{"file_path": ..., "captions": ["...", "..."], "split": "train", "id": 1}, ...]         CUHK-PEDES, ICFG-PEDES
    [{"img_path": ..., "captions": [...], "split": ..., "id": ...}, ...]                     RSTPReid

Entries of one picture are joined, in the order in which they come.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from camp_bench.data.imports.captions import CaptionedImage, clean_caption, clean_name, read_split_word, unique_images
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.json_files import Item, objects
from camp_bench.errors import ConfigError, DataError

__all__ = ["read_list"]

NAMES = ("image", "file_path", "img_path", "filename", "file_name")
TEXTS = ("caption", "captions")


def read_list(content: list[Any], file: Path, split: str | None, faults: Faults) -> list[CaptionedImage]:
    """Return the images of the file in the order of their first entries.

    Raises ConfigError where neither the entries nor `split` say the split, and DataError where the list is of something
    else. An entry that lacks a field is a fault.
    """
    images: dict[str, tuple[str, CaptionedImage]] = {}
    if not content:
        raise DataError(f"{file}: is an empty list; expected pictures with captions; get the file again")
    for where, item in objects(content, "", file):
        with faults.noted():
            place = f"{file}: {where}"
            name = clean_name(_one_of(item, NAMES, place), f"{place}, picture")
            texts = _one_of(item, TEXTS, place)
            if split is None and item.split is msgspec.UNSET:
                raise ConfigError(f"{place}: names no split; name the one that all are of: train={file}")
            named = split or read_split_word(item.split, f"{place}.split")
            _, image = images.setdefault(name, (where, CaptionedImage(name, named)))
            if image.split != named:
                raise DataError(
                    f"{place}: {name!r} is of {named}, before it was of {image.split}; expected one; mend it"
                )
            for number, text in enumerate(texts if isinstance(texts, list) else [texts]):
                with faults.noted():
                    image.captions.append(clean_caption(text, f"{place}, caption {number}"))
    return unique_images(images.values(), file, faults)


def _one_of(item: Item, names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if (value := getattr(item, name)) is not msgspec.UNSET:
            return value
    raise DataError(f"{where}: has none of {', '.join(names)}; expected a picture and its captions; mend the file")
