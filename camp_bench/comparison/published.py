"""The papers' figures, from baselines/published.toml: read strictly, checked for the slips that public tables have."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

import msgspec

from camp_bench.errors import ConfigError, DataError
from camp_bench.ranking.metrics import RECALL_AT

__all__ = ["PublishedRow", "published_for", "read_published"]

NAME = "published.toml"
NAMES = {"Flickr30K": re.compile(r"f(lickr)?-?_?30k", re.IGNORECASE), "COCO": re.compile("coco", re.IGNORECASE)}
"""What the name of a data folder has to contain for it to be declared as that dataset."""
PROTOCOLS = {
    "f30k-1k": ("Flickr30K", 1000, 5000),
    "coco-5k": ("COCO", 5000, 25000),
    "coco-1k-5fold": ("COCO", 5000, 25000),
}

Recalls = tuple[float, float, float]


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    method: str
    features: str
    members: int
    protocol: Literal["f30k-1k", "coco-5k", "coco-1k-5fold"]
    i2t: Recalls
    t2i: Recalls
    paper: str
    year: int


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    row: tuple[_Entry, ...]


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One line of a paper's table. members: models in the ensemble, 1 for a single one. metrics: recalls and rsum."""

    method: str
    features: str
    members: int
    protocol: str
    dataset: str
    paper: str
    year: int
    metrics: dict[str, float]

    @property
    def source(self) -> str:
        return f"{self.paper}, {self.year}"


def published_path() -> Path:
    """Return where the file lies: in the package if it was installed as a wheel, else in the checkout."""
    inside = Path(str(files("camp_bench"))) / "baselines" / NAME
    return inside if inside.is_file() else inside.parent.parent.parent / "baselines" / NAME


def read_published(path: Path | None = None) -> tuple[PublishedRow, ...]:
    """Return all published rows; rsum is computed here.

    path: a file other than the one that comes along. Raises DataError for anything unknown or missing, for recalls that
    fall with K or leave 0 to 100, and for a row that stands twice.
    """
    path = path or published_path()
    try:
        entries = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8-sig")), type=_File).row
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror}); reinstall camp-bench") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise DataError(f"{path}: not a file of published figures: {error}") from None
    seen: dict[tuple[str, ...], str] = {}
    rows = []
    for entry in entries:
        where = f"{path}: {entry.method}, {entry.protocol}"
        for way, values in (("i2t", entry.i2t), ("t2i", entry.t2i)):
            if not 0 <= values[0] <= values[1] <= values[2] <= 100:
                raise DataError(f"{where}: {way} recalls are {values}; expected R@1 <= R@5 <= R@10 within 0 to 100")
        figures = f"figures {(*entry.i2t, *entry.t2i)}"
        for key in ((entry.protocol, "name", entry.method), (entry.protocol, "figures", figures)):
            if key in seen:
                raise DataError(f"{where}: the same {key[1]} as {seen[key]}; a row stands twice, or was copied wrongly")
            seen[key] = entry.method
        rows.append(_row(entry))
    return tuple(rows)


def _row(entry: _Entry) -> PublishedRow:
    values = {
        f"{way}.R@{k}": value
        for way, recalls in (("i2t", entry.i2t), ("t2i", entry.t2i))
        for k, value in zip(RECALL_AT, recalls, strict=True)
    }
    return PublishedRow(
        method=entry.method,
        features=entry.features,
        members=entry.members,
        protocol=entry.protocol,
        dataset=PROTOCOLS[entry.protocol][0],
        paper=entry.paper,
        year=entry.year,
        metrics=values | {"rsum": sum(values.values())},
    )


def published_for(dataset: str, protocol: str, images: int, captions: int) -> tuple[PublishedRow, ...]:
    """Return the rows that measured figures of this dataset and protocol may stand beside.

    Raises ConfigError where there are none: for another dataset than its name declares, another size, another protocol.
    """
    for name, (about, n_images, n_captions) in PROTOCOLS.items():
        fits = NAMES[about].search(dataset) is not None and (images, captions) == (n_images, n_captions)
        if fits and (protocol == name or (protocol == "full" and name != "coco-1k-5fold")):
            return tuple(row for row in read_published() if row.protocol == name)
    raise ConfigError(
        f"--published: the papers' figures are about Flickr30K (1,000 images, 5,000 captions) and COCO (5,000 and "
        f"25,000); '{dataset}' has {images:,} and {captions:,} under protocol {protocol}, which they say nothing "
        f"about; leave --published out"
    )
