"""Reads COCO's own caption files, captions_train2014.json and the like.

    {"images": [{"id": ..., "file_name": ...}, ...], "annotations": [{"image_id": ..., "caption": ...}, ...]}

They know no splits, so one has to be named. Captions keep the order of the annotations.
"""

from __future__ import annotations

from pathlib import Path

from camp_bench.data.imports.captions import CaptionedImage, clean_caption, clean_line, require_unique
from camp_bench.data.imports.json_stream import get, stream_items
from camp_bench.errors import ConfigError, DataError

__all__ = ["is_coco", "read_coco"]


def is_coco(file: Path) -> bool:
    """Return whether the file's first image looks like COCO's own: it has no sentences, they stand by themselves."""
    _, first = next(stream_items(file, "images"), ("", {"sentences": []}))
    return "sentences" not in first and "file_name" in first


def read_coco(file: Path, split: str | None) -> list[CaptionedImage]:
    """Return the images of the file in its order, all of them of the split.

    Raises ConfigError without a split and DataError, with the place in the file, where a field is missing, an image is
    there twice or has no captions, or a caption is of no image.
    """
    if split is None:
        raise ConfigError(f"{file}: is COCO's caption file, which knows no splits; name the one it is: train={file}")
    images: dict[int, tuple[str, CaptionedImage]] = {}
    for where, item in stream_items(file, "images"):
        number = get(item, "id", f"{file}: {where}")
        name = clean_line(get(item, "file_name", f"{file}: {where}"), f"{file}: {where}.file_name")
        if not isinstance(number, int) or number in images:
            found = "is of another image as well" if isinstance(number, int) else "is no whole number"
            raise DataError(f"{file}: {where}: id {number!r:.40} {found}; expected an id of its own; mend it")
        images[number] = where, CaptionedImage(name, split)
    for where, item in stream_items(file, "annotations"):
        number = get(item, "image_id", f"{file}: {where}")
        if not isinstance(number, int) or number not in images:
            raise DataError(f"{file}: {where}: image_id {number!r:.40} is of no image in the file; mend it")
        caption = get(item, "caption", f"{file}: {where}")
        images[number][1].captions.append(clean_caption(caption, f"{file}: {where}.caption"))
    for where, image in images.values():
        if not image.captions:
            raise DataError(f"{file}: {where}: image {image.name!r} has no captions; expected one or more; remove it")
    require_unique(images.values(), file)
    return [image for _, image in images.values()]
