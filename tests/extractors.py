"""Extractors that the tests of `camp-bench features` name on its command line; each process imports this module."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from PIL import Image


def mean_colours() -> Callable[[Image.Image], np.ndarray]:
    """Make an extractor of two regions: the mean colours of the upper and lower half."""

    def extract(picture: Image.Image) -> np.ndarray:
        assert picture.mode == "RGB"
        pixels = np.asarray(picture, dtype=np.float32)
        half = len(pixels) // 2
        return np.stack([pixels[:half].mean(axis=(0, 1)), pixels[half:].mean(axis=(0, 1))])

    return extract


def of_size() -> Callable[[Image.Image], np.ndarray]:
    """Make an extractor whose shape depends on the picture, which isn't allowed."""
    return lambda picture: np.ones((picture.width, 2))


def integers() -> Callable[[Image.Image], np.ndarray]:
    """Make an extractor of the wrong dtype."""
    return lambda picture: np.ones((2, 2), dtype=int)


def failing() -> Callable[[Image.Image], np.ndarray]:
    """Make an extractor that fails."""
    raise RuntimeError("no weights here")


def dying() -> Callable[[Image.Image], np.ndarray]:
    """Make an extractor that takes its process with it."""
    return lambda picture: os._exit(3)
