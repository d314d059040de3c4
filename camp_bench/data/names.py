"""Names of images, as everybody writes them: one function that says which of two lists mean the same picture.

`val2014/COCO_val2014_000000391895.jpg`, `val2014\\COCO_val2014_000000391895.jpg`, `COCO_val2014_000000391895` and
`391895` can all be one picture. But `cam_a/7.png`, `cam_b/7.png` and `007.png` may be three, so a looser form only
counts where it fits one name alone on each side.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

__all__ = ["STRICT_FORMS", "coco_number", "image_identity", "match_names", "name_forms", "tidy_name"]

COCO_NAME = re.compile(r"(?:COCO_(?:train|val|test)[0-9]{4}_)?0*([0-9]+)", re.IGNORECASE)
FLICKR_NAME = re.compile(r"flickr30k_0*([0-9]+)")
"""How UNITER's and ALBEF's files count Flickr30K's pictures."""
_PICTURES = ".jpg .jpeg .jpe .jfif .jp2 .png .gif .webp .bmp .dib .tif .tiff .pbm .pgm .ppm .pnm .tga .heic .heif .avif"
_OTHERS = ".svg .npy .npz .pt .mp4 .avi .webm .mkv .mov .wav .flac .mp3"
SUFFIXES = frozenset([*_PICTURES.split(), *_OTHERS.split()])
"""What is no part of a name's own: of pictures, of features, and of clips and sounds that captions are of as well."""

STRICT_FORMS = 2
"""The first forms of `name_forms` keep the folder: only the suffix may differ."""


def tidy_name(name: str) -> str:
    """Return a name in composed letters with / between folders, however an editor or Windows wrote it."""
    path = unicodedata.normalize("NFC", name).replace("\\", "/")
    while path.startswith("./"):
        path = path[2:].lstrip("/")
    return path


@functools.lru_cache(maxsize=1 << 18)
def name_forms(name: str) -> tuple[str, ...]:
    """Return the forms of a name, the strictest first: the path, without suffix, without folder, COCO's number."""
    path = tidy_name(name)
    whole = _without_suffix(path.strip())
    stem = whole.rpartition("/")[2]
    number = coco_number(stem)
    flickr = FLICKR_NAME.fullmatch(stem)
    return path, whole, stem, flickr[1] if flickr else stem if number is None else str(number)


def image_identity(name: str) -> str:
    """Return what is equal for two names only if they are surely one picture: no suffix, COCO's number if it is one."""
    whole = name_forms(name)[1]
    stem = whole.rpartition("/")[2]
    if stem.upper().startswith("COCO_") or (len(stem) == 12 and stem.isdecimal()):
        number = coco_number(stem)
        return whole if number is None else f"COCO {number}"
    return whole


def coco_number(name: str) -> int | None:
    """Return COCO's number of an image, whatever the form of its id, None where the name has none."""
    stem = tidy_name(name).strip().rpartition("/")[2]
    found = COCO_NAME.fullmatch(_without_suffix(stem))
    return int(found[1]) if found and len(found[1]) < 19 else None


def _without_suffix(path: str) -> str:
    stem, dot, suffix = path.rpartition(".")
    return stem if dot and stem and stem[-1] != "/" and f".{suffix.lower()}" in SUFFIXES else path


def match_names(
    wanted: Sequence[Sequence[str]], there: Sequence[str], forms: int = 4
) -> tuple[list[int | None], list[str]]:
    """Return, for each item that is wanted, the place of its name in `there`, or None; and what can't be told apart.

    wanted: of each item, the names that it may have. forms: how many of `name_forms` may be used.
    """
    of_wanted = [[name_forms(name) for name in names] for names in wanted]
    of_there = [name_forms(name) for name in there]
    found: list[int | None] = [None] * len(wanted)
    taken = [False] * len(there)
    doubtful: list[str] = []
    for form in range(forms):
        seekers, offers = defaultdict(set), defaultdict(list)
        for item, names in enumerate(of_wanted):
            for name in names:
                seekers[name[form]].add(item)
        for place, name in enumerate(of_there):
            offers[name[form]].append(place)
        for text, items in seekers.items():
            places = offers.get(text, [])
            missing = [item for item in sorted(items) if found[item] is None]
            free = [place for place in places if not taken[place]]
            if not missing or not free:
                continue
            if len(items) == 1 and len(places) == 1:
                found[missing[0]], taken[free[0]] = free[0], True
            else:
                shown = " and ".join(dict.fromkeys(repr(wanted[item][0]) for item in sorted(items)[:2]))
                given = " and ".join(repr(there[place]) for place in places[:2])
                doubtful.append(f"{given} can't be told to be {shown}")
                for place in free:
                    taken[place] = True
    return found, doubtful
