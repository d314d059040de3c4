"""Datasets: the folders people have, toy data that needs no download, fingerprints and vocabularies.

Importing this loads no torch; `camp_bench.data.batches` does.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from camp_bench.data.dataset import Dataset, Split
from camp_bench.data.folder.layout import open_folder
from camp_bench.errors import DataError, nearest

__all__ = ["Dataset", "Split", "open_dataset", "open_folder"]

TOY = "toy"


def open_dataset(source: str | Path, splits: Sequence[str] | None = None, *, features: bool = True) -> Dataset:
    """Return the dataset that `source` names: `toy`, `toy:seed=1` and the like, or a folder in SCAN's layout.

    A folder called "toy" is `./toy`. splits: those that must be there, by default train, dev and test. features:
    whether they need features, see `open_folder`.
    Raises ConfigError for an option of the toy data that doesn't exist and DataError for a folder that can't be used.
    """
    source = str(source)
    if source == TOY or source.startswith(f"{TOY}:"):
        from camp_bench.data.toy.dataset import make_toy, parse_toy

        return make_toy(parse_toy(source), source)
    if not source.strip() or "\0" in source:
        raise DataError(f"the name of the dataset is {source!r}; expected 'toy' or a folder")
    folder = Path(source).expanduser() if source.startswith("~/") else Path(source)
    word = re.match(r"\s*(\w*)", source.lower())
    meant = nearest(word[1], [TOY]) if word and "/" not in source else ""
    if meant and not folder.exists():
        raise DataError(f"{source}: no such folder or dataset{meant}; expected '{TOY}' or a folder")
    return dataclasses.replace(
        open_folder(folder, splits, features=features), source=source
    )  # Path("./toy") would print as "toy"
