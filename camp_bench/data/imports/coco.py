"""Reads COCO's own caption files, captions_train2014.json and the like.

    {"images": [{"id": ..., "file_name": ...}, ...], "annotations": [{"image_id": ..., "caption": ...}, ...]}

They know no splits, so one has to be named. Captions keep the order of the annotations.
"""

from __future__ import annotations

from pathlib import Path

from camp_bench.data.imports.captions import CaptionedImage, clean_caption, clean_name, unique_images
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.json_files import Captions, Item, get, objects
from camp_bench.errors import ConfigError, DataError

__all__ = ["read_coco"]


def read_coco(content: Captions, file: Path, split: str | None, faults: Faults) -> list[CaptionedImage]:
    """Return the images of the file in its order, all of them of the split.

    Raises ConfigError without a split. A field that is missing or wrong is a fault, and so is an image that is there
    twice or has no captions, and a caption of no image.
    """
    if split is None:
        raise ConfigError(f"{file}: is COCO's caption file, which knows no splits; name the one it is: train={file}")
    images: dict[int, tuple[str, CaptionedImage]] = {}
    for where, item in objects(content.images, "images", file):
        with faults.noted():
            number, image = _read_image(item, f"{file}: {where}", split)
            if number in images:
                raise DataError(
                    f"{file}: {where}: id {number} is of another image as well; expected an id of its own; mend it"
                )
            images[number] = where, image
    for where, item in objects(content.annotations, "annotations", file):
        with faults.noted():
            found = get(item, "image_id", f"{file}: {where}")
            if not isinstance(found, int) or found not in images:
                raise DataError(f"{file}: {where}: image_id {found!r:.40} is of no image in the file; mend it")
            caption = get(item, "caption", f"{file}: {where}")
            images[found][1].captions.append(clean_caption(caption, f"{file}: {where}.caption"))
    for where, image in images.values():
        if not image.captions:
            faults.add(f"{file}: {where}: image {image.name!r} has no captions; expected one or more; remove it")
    return unique_images(images.values(), file, faults)


def _read_image(item: Item, where: str, split: str) -> tuple[int, CaptionedImage]:
    number = get(item, "id", where)
    name = clean_name(get(item, "file_name", where), f"{where}.file_name")
    if not isinstance(number, int):
        raise DataError(f"{where}: id {number!r:.40} is no whole number; expected an id of its own; mend it")
    return number, CaptionedImage(name, split)
