"""Made-up runs for the tests of statistics: hits with a difficulty that an image's captions share."""

from __future__ import annotations

import numpy as np

from camp_bench.comparison.stats import PerImage, per_image


def made_run(
    rng: np.random.Generator,
    *,
    images: int = 40,
    captions: int = 5,
    folds: int = 1,
    uneven: bool = False,
    tied: int = 0,
) -> PerImage:
    """Return a run whose ranks spread over one to some hundreds; tied: how many negatives tie at most."""
    own = rng.integers(1, 2 * captions, size=images) if uneven else np.full(images, captions)
    return run_on(np.repeat(np.arange(images), own), rng, folds=folds, tied=tied)


def run_on(image_of: np.ndarray, rng: np.random.Generator, *, folds: int = 1, tied: int = 0) -> PerImage:
    """Return a run on given captions."""
    images = int(image_of.max()) + 1
    hard = rng.normal(size=images)

    def counts(level: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        b = np.floor(np.exp(1.5 + level + rng.normal(size=len(level)))).astype(np.int32)
        return b, rng.integers(0, tied + 1, size=len(b)).astype(np.int32), np.ones(len(b), dtype=np.int32)

    parts = np.array_split(np.arange(images), folds)
    return per_image(counts(hard), counts(hard[image_of]), image_of, folds=parts)
