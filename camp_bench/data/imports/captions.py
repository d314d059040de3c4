"""Pictures with their captions and splits: what features are joined to, whichever file it was read from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from camp_bench.config.text import is_blank
from camp_bench.data.fingerprints import CAPTIONS_AN_IMAGE
from camp_bench.data.folder.layout import SPLITS, require_split
from camp_bench.data.folder.texts import PRINTED_BYTES, strip_text
from camp_bench.data.imports.faults import Faults
from camp_bench.data.names import image_identity
from camp_bench.errors import ConfigError, DataError, nearest

__all__ = [
    "SPLIT_WORDS",
    "CaptionedImage",
    "caption_texts",
    "clean_caption",
    "clean_line",
    "clean_name",
    "group_by_split",
    "read_split_word",
    "unique_images",
]

UNWRITABLE = re.compile("[\0\ud800-\udfff]")
SPLIT_WORDS = {
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "development": "dev",
    "restval": "train",
    "training": "train",
    "testing": "test",
}
"""Other people's names. `restval` are pictures of COCO's val2014 that Karpathy's dev and test leave over."""


@dataclass(frozen=True, slots=True)
class CaptionedImage:
    """One picture. name: its file, and its id in the dataset. folder: where it may lie below a folder of pictures."""

    name: str
    split: str
    captions: list[str] = field(default_factory=list)
    folder: str = ""

    @property
    def key(self) -> str:
        return image_identity(self.name)

    @property
    def names(self) -> list[str]:
        """What other files may call it."""
        return [self.name, f"{self.folder}/{self.name}"] if self.folder else [self.name]


def group_by_split(
    images: Iterable[CaptionedImage], splits: Sequence[str] | None, max_captions: int | None
) -> dict[str, list[CaptionedImage]]:
    """Return the images of each split that is wanted, by default all, with at most `max_captions` captions each.

    Raises ConfigError for a limit below 1 and DataError where a wanted split has no images.
    """
    if max_captions is not None and max_captions < 1:
        raise ConfigError(f"--max-captions: got {max_captions}; expected 1 or more")
    for name in splits or ():
        require_split(name)
    found: dict[str, list[CaptionedImage]] = {}
    for image in images:
        if splits is None or image.split in splits:
            found.setdefault(image.split, []).append(replace(image, captions=image.captions[:max_captions]))
    for name in splits or ():
        if name not in found:
            raise DataError(f"the captions have no image of {name}; expected one or more; leave {name} out of --splits")
    return {name: found[name] for name in SPLITS if name in found}


def caption_texts(images: Mapping[str, Sequence[CaptionedImage]]) -> dict[str, str]:
    """Return the text files of a dataset folder by name: captions, ids and, unless every image has five, the index."""
    texts = {}
    for split, members in images.items():
        texts[f"{split}_caps.txt"] = "".join(f"{text}\n" for image in members for text in image.captions)
        texts[f"{split}_ids.txt"] = "".join(f"{image.name}\n" for image in members)
        if any(len(image.captions) != CAPTIONS_AN_IMAGE for image in members):
            rows = (row for row, image in enumerate(members) for _ in image.captions)
            texts[f"{split}_index.txt"] = "".join(f"{row}\n" for row in rows)
    return texts


def clean_line(value: object, where: str) -> str:
    """Return a text as one line with single spaces; DataError where it is no text, blank or not writable as UTF-8."""
    line = strip_text(" ".join(value.split())) if isinstance(value, str) else ""
    if is_blank(line) or UNWRITABLE.search(line):
        raise DataError(f"{where}: is {value!r:.60}; expected a text that isn't blank; mend it or remove it")
    return line


def clean_name(value: object, where: str) -> str:
    """Return the name of a picture, its spaces included; DataError where no line of a file could hold it."""
    if not isinstance(value, str) or is_blank(value) or not value.isprintable() or UNWRITABLE.search(value):
        raise DataError(f"{where}: is {value!r:.60}; expected the name of a picture; mend it or remove it")
    return value


def clean_caption(value: object, where: str) -> str:
    """Return a caption as one line; DataError where it isn't one."""
    line = clean_line(value, where)
    if PRINTED_BYTES.fullmatch(line):
        raise DataError(
            f"{where}: is printed Python bytes, {line[:40]!r}; expected plain text; "
            f"whatever wrote the file has to write caption.decode('utf-8') instead"
        )
    return line


def read_split_word(word: object, where: str) -> str:
    """Return the split that a file's own word means; DataError names the words there are."""
    name = SPLIT_WORDS.get(str(word), str(word))
    if name not in SPLITS:
        known = [*SPLITS, *SPLIT_WORDS]
        raise DataError(
            f"{where}: is {word!r:.60}{nearest(str(word), known)}; expected one of {', '.join(known)}; mend it"
        )
    return name


def unique_images(images: Iterable[tuple[str, CaptionedImage]], file: Path, faults: Faults) -> list[CaptionedImage]:
    """Return the images, each once; one that comes again is a fault. images: where in the file each stands, and it."""
    seen: dict[str, str] = {}
    kept = []
    for where, image in images:
        if (first := seen.setdefault(image.key, where)) == where:
            kept.append(image)
        else:
            faults.add(
                f"{file}: {where}: image {image.name!r} is that of {first} again; expected every image once; mend it"
            )
    return kept
