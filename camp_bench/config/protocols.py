"""Evaluation protocols by name: which images and captions stand against each other, and how folds become one figure.

The field's figures differ by protocol more than by model, so a protocol is named, its size is checked, and there is
none that takes "the first 1,000 of 5,000".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camp_bench.errors import ConfigError, DataError, nearest

__all__ = ["PROTOCOLS", "Protocol", "find_protocol", "fold_images", "require_one_gallery"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A way of evaluating a split.

    images, captions: what the split must have, None for any. folds: equal parts of the images in file order, each
    ranked by itself; the metrics of the folds are averaged, as published.
    """

    name: str
    images: int | None
    captions: int | None
    folds: int
    summary: str


PROTOCOLS = (
    Protocol("full", None, None, 1, "all images of the split against all its captions"),
    Protocol("f30k-1k", 1000, 5000, 1, "Flickr30K's 1,000 test images and their 5,000 captions"),
    Protocol("coco-5k", 5000, 25000, 1, "COCO's 5,000 test images and their 25,000 captions"),
    Protocol("coco-1k-5fold", 5000, 25000, 5, "five folds of 1,000 images of COCO's 5,000, metrics averaged"),
)


def find_protocol(name: str) -> Protocol:
    """Return the protocol of that name; ConfigError names those there are."""
    for protocol in PROTOCOLS:
        if protocol.name == name:
            return protocol
    names = [protocol.name for protocol in PROTOCOLS]
    raise ConfigError(f"protocol: got '{name}', expected one of {', '.join(names)}{nearest(name, names)}")


def require_one_gallery(name: str, protocol: str) -> None:
    """Raise ConfigError for what a protocol that ranks in folds makes no sense of. name: of the option."""
    if find_protocol(protocol).folds > 1:
        raise ConfigError(f"{name}: protocol {protocol} ranks in folds; expected one that ranks all at once")


def fold_images(protocol: Protocol, n_images: int, n_captions: int, split: str) -> list[npt.NDArray[np.int64]]:
    """Return the images of each fold; DataError where the split isn't what the protocol is about."""
    for what, needed, found in (
        ("images", protocol.images, n_images),
        ("captions", protocol.captions, n_captions),
    ):
        if needed is not None and needed != found:
            raise DataError(
                f"{split}: has {found:,} {what}, protocol {protocol.name} needs {needed:,}; "
                f"take another split, or --protocol full and say so with the figures"
            )
    return [np.asarray(fold, dtype=np.int64) for fold in np.array_split(np.arange(n_images), protocol.folds)]
