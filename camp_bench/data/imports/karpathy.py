"""Reads the captions and splits of Karpathy's dataset_flickr8k.json, dataset_flickr30k.json and dataset_coco.json.

    {"images": [{"filename": ..., "split": ..., "sentences": [{"raw": ..., "tokens": [...]}, ...]}, ...]}

COCO's file has `filepath` beside `filename`, and pictures marked `restval`: they go to train, as in published work.
RSICD's, RSITMD's, UCM's and Sydney's files have the same form.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from camp_bench.data.imports.captions import CaptionedImage, clean_caption, clean_name, read_split_word, unique_images
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.json_files import Captions, Item, get, objects
from camp_bench.errors import DataError

__all__ = ["read_karpathy"]


def read_karpathy(content: Captions, file: Path, split: str | None, faults: Faults) -> list[CaptionedImage]:
    """Return the images of the file in its order. split: take all into this one instead of the file's own.

    A field that is missing or wrong is a fault, and so is an image that comes again. Raises DataError where the file is
    no such file.
    """
    images: list[tuple[str, CaptionedImage]] = []
    for where, item in objects(content.images, "images", file):
        with faults.noted():
            images.append((where, _read_image(item, f"{file}: {where}", split, faults)))
    if not content.images:
        raise DataError(
            f"{file}: has no images; expected Karpathy's dataset_*.json, with a list 'images', "
            f"or COCO's captions_*.json, with 'images' and 'annotations'; give the right file"
        )
    names = Counter(image.key for _, image in images)
    placed = (
        (where, replace(image, name=image.names[-1], folder="") if names[image.key] > 1 else image)
        for where, image in images
    )
    return unique_images(placed, file, faults)


def _read_image(item: Item, where: str, split: str | None, faults: Faults) -> CaptionedImage:
    name = clean_name(get(item, "filename", where), f"{where}.filename")
    sentences = get(item, "sentences", where)
    if not isinstance(sentences, list) or not sentences:
        raise DataError(f"{where}: image {name!r} has no captions; expected one or more in 'sentences'; remove it")
    captions = []
    for number, sentence in enumerate(sentences):
        with faults.noted():
            captions.append(_read_sentence(sentence, f"{where}.sentences[{number}]"))
    named = split or read_split_word(get(item, "split", where), f"{where}.split")
    return CaptionedImage(name, named, captions, item.filepath if isinstance(item.filepath, str) else "")


def _read_sentence(sentence: Any, where: str) -> str:
    if not isinstance(sentence, Item):
        raise DataError(f"{where}: is {sentence!r:.60}; expected an object with 'raw'; get the file again")
    return clean_caption(get(sentence, "raw", where), f"{where}.raw")
