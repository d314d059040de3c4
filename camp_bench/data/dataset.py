"""What a dataset is to the rest of the package: splits of images, captions and which belongs to which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camp_bench.errors import DataError

__all__ = ["Dataset", "Split"]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """M captions of N images.

    features: (rows, regions, feature_size) float16 or float32, possibly memory-mapped.
    feature_rows: (N,) int64, the row of `features` that holds each image.
    image_ids: N names.
    captions: M texts, never empty.
    image_of: (M,) int64, the image that each caption was written for.
    stored: how images lie in the file: "once", "repeated 5 times" or "once, indexed".
    also_true: (P, 2) int64, pairs (image, caption) that are true beyond `image_of`, or None where unknown.
    """

    name: str
    features: npt.NDArray[np.floating]
    feature_rows: npt.NDArray[np.int64]
    image_ids: tuple[str, ...]
    captions: tuple[str, ...]
    image_of: npt.NDArray[np.int64]
    stored: str = "once"
    also_true: npt.NDArray[np.int64] | None = None

    @property
    def n_images(self) -> int:
        return len(self.image_ids)

    @property
    def n_captions(self) -> int:
        return len(self.captions)

    @property
    def n_regions(self) -> int:
        return int(self.features.shape[1])

    @property
    def feature_size(self) -> int:
        return int(self.features.shape[2])

    def captions_of(self, images: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the captions of the given images, in order, and of each the place of its image among those given."""
        place = np.full(self.n_images, -1, dtype=np.int64)
        place[images] = np.arange(len(images))
        captions = np.flatnonzero(place[self.image_of] >= 0)
        return captions, place[self.image_of[captions]]

    def gather(self, images: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the features of the given images, (len(images), regions, feature_size) float32."""
        return np.asarray(self.features[self.feature_rows[images]], dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Named splits that share a feature size.

    name: short, for tables and run ids.
    source: as the user gave it (`toy:seed=1` or a folder).
    cache: where fingerprints may be kept between runs; None for generated data.
    """

    name: str
    source: str
    splits: Mapping[str, Split]
    cache: Path | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    def split(self, name: str) -> Split:
        """Return the split called `name`; DataError names those that exist."""
        if name not in self.splits:
            raise DataError(f"{self.source}: no split '{name}'; there are {', '.join(self.splits)}")
        return self.splits[name]
