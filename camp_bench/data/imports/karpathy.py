"""Reads the captions and splits of Karpathy's dataset_flickr8k.json, dataset_flickr30k.json and dataset_coco.json.

    {"images": [{"filename": ..., "split": ..., "sentences": [{"raw": ..., "tokens": [...]}, ...]}, ...]}

COCO's file has `filepath` beside `filename`, and pictures marked `restval`: they go to train, as in published work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from camp_bench.data.imports.captions import CaptionedImage, clean_caption, clean_line, read_split_word, require_unique
from camp_bench.data.imports.json_stream import get, stream_items
from camp_bench.errors import DataError

__all__ = ["read_karpathy"]


def read_karpathy(file: Path, split: str | None = None) -> list[CaptionedImage]:
    """Return the images of the file in its order. split: take all into this one instead of the file's own.

    Raises DataError with the place in the file where it isn't such a file, lacks a field or has an image twice.
    """
    images = [(where, _read_image(item, f"{file}: {where}", split)) for where, item in stream_items(file, "images")]
    if not images:
        raise DataError(
            f"{file}: has no images; expected Karpathy's dataset_*.json, with a list 'images', "
            f"or COCO's captions_*.json, with 'images' and 'annotations'; give the right file"
        )
    require_unique(images, file)
    return [image for _, image in images]


def _read_image(item: dict[str, Any], where: str, split: str | None) -> CaptionedImage:
    name = clean_line(get(item, "filename", where), f"{where}.filename")
    sentences = get(item, "sentences", where)
    if not isinstance(sentences, list) or not sentences:
        raise DataError(f"{where}: image {name!r} has no captions; expected one or more in 'sentences'; remove it")
    captions = [_read_sentence(sentence, f"{where}.sentences[{n}]") for n, sentence in enumerate(sentences)]
    named = split or read_split_word(get(item, "split", where), f"{where}.split")
    folder = item.get("filepath")
    return CaptionedImage(name, named, captions, folder if isinstance(folder, str) else "")


def _read_sentence(sentence: Any, where: str) -> str:
    if not isinstance(sentence, dict):
        raise DataError(f"{where}: is {sentence!r:.60}; expected an object with 'raw'; get the file again")
    return clean_caption(get(sentence, "raw", where), f"{where}.raw")
