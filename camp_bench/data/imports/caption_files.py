"""Reads captions from whichever file people have them in.

dataset_*.json   Karpathy's: names, captions and splits                    (`karpathy`)
captions_*.json  COCO's: no splits, so `SPLIT=FILE` names the one it is    (`coco`)
anything else    lines of file<TAB>caption or file<TAB>caption<TAB>split   (`caption_table`)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from camp_bench.data.folder.layout import require_split
from camp_bench.data.imports.caption_table import read_table
from camp_bench.data.imports.captions import SPLIT_WORDS, CaptionedImage
from camp_bench.data.imports.coco import is_coco, read_coco
from camp_bench.data.imports.karpathy import read_karpathy
from camp_bench.errors import ConfigError, DataError

__all__ = ["parse_caption_files", "read_caption_files"]


def parse_caption_files(texts: Sequence[str]) -> list[tuple[str | None, Path]]:
    """Return (split, file) of each `SPLIT=FILE` or `FILE`. DataError where no split is called so."""
    files: list[tuple[str | None, Path]] = []
    for text in texts:
        word, equals, rest = text.partition("=")
        if not equals or "/" in word or Path(text).exists():
            files.append((None, Path(text)))
            continue
        name = SPLIT_WORDS.get(word, word)
        require_split(name)
        if not rest:
            raise ConfigError(f"captions: got '{text}'; expected SPLIT=FILE")
        files.append((name, Path(rest)))
    return files


def read_caption_files(files: Sequence[tuple[str | None, Path]]) -> list[CaptionedImage]:
    """Read caption files, each with the split that its pictures go to, or None where the file says it itself.

    Raises DataError where a file can't be read as what it is, or has an image that another file has too.
    """
    images: list[CaptionedImage] = []
    owners: dict[str, Path] = {}
    for split, file in files:
        for image in _read_file(file, split):
            if owners.setdefault(image.key, file) != file:
                raise DataError(
                    f"{file}: image {image.name!r} is in {owners[image.key]} as well; "
                    f"expected every image in one file; mend one of them"
                )
            images.append(image)
    return images


def _read_file(file: Path, split: str | None) -> list[CaptionedImage]:
    if file.suffix.lower() != ".json":
        return read_table(file, split)
    return read_coco(file, split) if is_coco(file) else read_karpathy(file, split)
