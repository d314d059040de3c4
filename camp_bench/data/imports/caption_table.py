"""Reads captions from lines of `file<TAB>caption` or `file<TAB>caption<TAB>split`, UTF-8, one caption a line.

The lines of an image need not stand together; images come in the order of their first lines. `file#0`, `file#1`, ... as
in Flickr8k.token.txt are captions of the same file.
"""

from __future__ import annotations

import re
from pathlib import Path

from camp_bench.data.folder.texts import read_content, split_lines
from camp_bench.data.imports.captions import CaptionedImage, clean_caption, clean_line, read_split_word, require_unique
from camp_bench.errors import ConfigError, DataError

__all__ = ["read_table"]

NUMBERED = re.compile(r"(.+)#\d+")


def read_table(file: Path, split: str | None = None) -> list[CaptionedImage]:
    """Return the images of the file in the order of their first captions. split: take all into this one.

    Raises DataError with the line that is wrong, and ConfigError where neither the lines nor `split` say it.
    """
    images: dict[str, tuple[str, CaptionedImage]] = {}
    for number, line in enumerate(split_lines(read_content(file), file), 1):
        where = f"{file}: line {number}"
        name, *rest = line.split("\t")
        if len(rest) not in (1, 2):
            raise DataError(
                f"{where}: has {len(rest)} tabs, {line[:40]!r}; expected file<TAB>caption or "
                f"file<TAB>caption<TAB>split; mend it"
            )
        if len(rest) < 2 and split is None:
            raise ConfigError(f"{where}: names no split; add it as a third column, or name one for all: train={file}")
        named = split or read_split_word(rest[-1].strip(), where)
        name = clean_line(name, f"{where}, file")
        name = numbered[1] if (numbered := NUMBERED.fullmatch(name)) else name
        _, image = images.setdefault(name, (f"line {number}", CaptionedImage(name, named)))
        if image.split != named:
            raise DataError(f"{where}: {name!r} is of {named}, before it was of {image.split}; expected one; mend it")
        image.captions.append(clean_caption(rest[0], f"{where}, caption"))
    require_unique(images.values(), file)
    return [image for _, image in images.values()]
