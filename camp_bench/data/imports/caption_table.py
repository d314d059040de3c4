"""Reads captions from lines of `file<TAB>caption` or `file<TAB>caption<TAB>split`, UTF-8, one caption a line.

The lines of an image need not stand together; images come in the order of their first lines. `file#0`, `file#1`, ... as
in Flickr8k.token.txt are captions of the same file, and so are `file#zhm#0` and the like, as in COCO-CN.
"""

from __future__ import annotations

import re
from pathlib import Path

from camp_bench.data.folder.texts import read_content, split_lines
from camp_bench.data.imports.captions import CaptionedImage, clean_caption, clean_name, read_split_word, unique_images
from camp_bench.data.imports.faults import Faults
from camp_bench.data.names import name_forms, tidy_name
from camp_bench.errors import DataError

__all__ = ["NO_SPLIT", "add_caption", "read_table"]

NUMBERED = re.compile(r"(.+?)(?:#[a-z]{2,4})?#[0-9]+")
NO_SPLIT = ""
"""Of images whose file doesn't say it: a list of names has to."""


def read_table(file: Path, split: str | None, faults: Faults) -> list[CaptionedImage]:
    """Return the images of the file in the order of their first captions. split: take all into this one.

    Images are of `NO_SPLIT` where neither the lines nor `split` say it. A line that is wrong is a fault.
    """
    images: dict[str, tuple[str, CaptionedImage]] = {}
    lines = split_lines(read_content(file), file, exact=True)
    numbered = all(NUMBERED.fullmatch(line.partition("\t")[0]) for line in lines)
    for number, line in enumerate(lines, 1):
        where = f"{file}: line {number}"
        with faults.noted():
            name, *rest = line.split("\t")
            if len(rest) not in (1, 2):
                raise DataError(
                    f"{where}: has {len(rest)} tabs, {line[:40]!r}; expected file<TAB>caption or "
                    f"file<TAB>caption<TAB>split; mend it"
                )
            named = split or (read_split_word(rest[-1].strip(), where) if len(rest) > 1 else NO_SPLIT)
            name = clean_name(name, f"{where}, file")
            if (found := NUMBERED.fullmatch(name)) and (numbered or _is_file(found[1])):
                name = found[1]
            add_caption(images, name, named, rest[0], f"{where}, caption", f"line {number}")
    return unique_images(images.values(), file, faults)


def _is_file(name: str) -> bool:
    """Return whether a name has the suffix of a picture."""
    return name_forms(name)[1] != tidy_name(name).strip()


def add_caption(
    images: dict[str, tuple[str, CaptionedImage]], name: str, split: str, caption: object, where: str, place: str
) -> None:
    """Add a caption to its image, which is made where it is the first; DataError where its split is another one."""
    _, image = images.setdefault(name, (place, CaptionedImage(name, split)))
    if image.split != split:
        raise DataError(
            f"{where.rpartition(', ')[0]}: {name!r} is of {split}, before it was of {image.split}; expected "
            "one; mend it"
        )
    image.captions.append(clean_caption(caption, where))
