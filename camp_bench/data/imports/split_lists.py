"""Lists of names that say which split an image is of, one name a line, as Flickr8k has them beside its captions.

Flickr8k.token.txt          captions, no splits
Flickr_8k.trainImages.txt   Flickr_8k.devImages.txt   Flickr_8k.testImages.txt
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from camp_bench.data.folder.layout import SPLITS
from camp_bench.data.folder.texts import read_content, split_lines
from camp_bench.data.imports.caption_table import NO_SPLIT
from camp_bench.data.imports.captions import CaptionedImage
from camp_bench.data.imports.faults import Faults
from camp_bench.data.names import match_names
from camp_bench.errors import ConfigError, DataError

__all__ = ["apply_lists", "is_list", "lists_beside"]


def is_list(file: Path) -> bool:
    """Return whether a file has names alone: lines without a tab, a comma or a second word."""
    if file.suffix.lower() == ".json" or not file.is_file():
        return False
    with file.open("rb") as stream:
        start = stream.read(4096).decode("utf-8-sig", "replace").splitlines()[:5]
    return bool(start) and all(line.strip() and not set(line.strip()) & set("\t,;| ") for line in start)


def lists_beside(file: Path) -> dict[str, Path]:
    """Return, by split, the lists that lie beside a file of captions under Flickr8k's names."""
    found: dict[str, Path] = {}
    for split in SPLITS[:3]:
        there = sorted(file.parent.glob(f"*{split}Images.txt"))
        if len(there) == 1:
            found[split] = there[0]
    return found


def apply_lists(
    images: Sequence[CaptionedImage], lists: Mapping[str, Path], source: Path, faults: Faults
) -> list[CaptionedImage]:
    """Return the images that a list names, in the order of the lists, each of its list's split.

    Images that have a split already stay as they are. Raises ConfigError where images have none and there are no lists,
    and DataError where two lists name one image; a name without captions is a fault.
    """
    kept = [image for image in images if image.split != NO_SPLIT]
    rest = [image for image in images if image.split == NO_SPLIT]
    if rest and not lists:
        raise ConfigError(
            f"{source}: line 1: names no split; add it as a third column, or name one for all: train={source}, or give "
            f"lists of names beside it: --captions train=LIST.txt"
        )
    names = [image.name for image in rest]
    owner: dict[int, Path] = {}
    for split, file in lists.items():
        listed = split_lines(read_content(file), file, exact=True)
        found, doubtful = match_names([[name] for name in listed], names)
        for text in doubtful:
            faults.add(f"{file}: {text}; expected one picture a name; mend it")
        for line, (name, place) in enumerate(zip(listed, found, strict=True), 1):
            if place is None:
                faults.add(f"{file}: line {line}: {name!r} has no captions in {source}; expected some; remove it")
            elif owner.setdefault(place, file) != file:
                raise DataError(
                    f"{file}: line {line}: {name!r} is in {owner[place]} as well; expected every image in one split; "
                    f"mend one of them"
                )
            else:
                kept.append(replace(rest[place], name=name if "." in name else rest[place].name, split=split))
    return kept
