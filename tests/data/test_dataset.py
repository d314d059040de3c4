"""A split by itself: which captions go with some of its images."""

from __future__ import annotations

import numpy as np

from camp_bench.data.dataset import Split


def test_captions_of_some_images_keep_their_order_and_find_their_image() -> None:
    image_of = np.array([2, 0, 1, 2, 3, 0])
    split = Split("test", np.zeros((4, 1, 2), np.float32), np.arange(4), tuple("abcd"), tuple("uvwxyz"), image_of)
    captions, places = split.captions_of(np.array([3, 0]))
    assert captions.tolist() == [1, 4, 5]
    assert places.tolist() == [1, 0, 1]
