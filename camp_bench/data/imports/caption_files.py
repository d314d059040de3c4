"""Reads captions from whichever file people have them in.

dataset_*.json   Karpathy's: names, captions and splits                       (`karpathy`)
captions_*.json  COCO's: no splits, so `SPLIT=FILE` names the one it is       (`coco`)
[...].json       lists of pictures with captions: ALBEF's, person search's    (`caption_lists`)
a heading        tables that name their columns: Kaggle, Clotho, MSR-VTT      (`caption_csv`)
names alone      which split the images of another file are of                (`split_lists`)
anything else    lines of file<TAB>caption or file<TAB>caption<TAB>split      (`caption_table`)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from camp_bench.data.folder.layout import require_split
from camp_bench.data.imports.caption_csv import has_heading, read_delimited
from camp_bench.data.imports.caption_lists import read_list
from camp_bench.data.imports.caption_table import NO_SPLIT, read_table
from camp_bench.data.imports.captions import SPLIT_WORDS, CaptionedImage
from camp_bench.data.imports.coco import read_coco
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.json_files import read_json
from camp_bench.data.imports.karpathy import read_karpathy
from camp_bench.data.imports.looks import looks_like
from camp_bench.data.imports.split_lists import apply_lists, is_list, lists_beside
from camp_bench.errors import ConfigError, DataError

__all__ = ["parse_caption_files", "read_caption_files", "with_lists"]


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


def with_lists(files: Sequence[tuple[str | None, Path]]) -> list[tuple[str | None, Path]]:
    """Return the files, and after them the lists of names beside the only one, where it has captions without splits."""
    if len(files) == 1 and files[0][0] is None and files[0][1].suffix.lower() != ".json":
        return [*files, *lists_beside(files[0][1]).items()]
    return list(files)


def read_caption_files(files: Sequence[tuple[str | None, Path]], faults: Faults | None = None) -> list[CaptionedImage]:
    """Read caption files, each with the split that its pictures go to, or None where the file says it itself.

    Raises DataError where a file can't be read as what it is or has an image that another file has too; and, with all
    that is wrong, where rows or captions are at fault, unless `faults` leaves them out.
    """
    faults = faults or Faults()
    images: list[CaptionedImage] = []
    owners: dict[str, Path] = {}
    lists = {split: file for split, file in files if split is not None and is_list(file)}
    sources = [(split, file) for split, file in files if file not in lists.values()]
    for split, file in sources or files:
        for image in _read_file(file, split, faults):
            if owners.setdefault(image.key, file) != file:
                raise DataError(
                    f"{file}: image {image.name!r} is in {owners[image.key]} as well; "
                    f"expected every image in one file; mend one of them"
                )
            if image.captions:
                images.append(image)
    if lists and sources and all(image.split != NO_SPLIT for image in images):
        raise ConfigError(f"{next(iter(lists.values()))}: names images alone, and all have a split; leave it out")
    faults.refuse()
    images = apply_lists(images, lists, files[0][1], faults) if sources else images
    faults.refuse()
    return images


def _read_file(file: Path, split: str | None, faults: Faults) -> list[CaptionedImage]:
    if not file.exists():
        raise DataError(f"{file}: can't be read (No such file or directory); expected captions")
    if file.suffix.lower() == ".json":
        content = read_json(file)
        if isinstance(content, list):
            return read_list(content, file, split, faults)
        return (read_coco if content.annotations else read_karpathy)(content, file, split, faults)
    if (kind := looks_like(file)) is not None:
        raise DataError(f"{file}: looks like {kind}; expected a text file of captions")
    if has_heading(file):
        return read_delimited(file, split, faults)
    return read_table(file, split, faults)
