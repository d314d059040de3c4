"""Protocols: their names, the sizes they are about, and folds that cover every image once."""

from __future__ import annotations

import numpy as np
import pytest

from camp_bench.config.protocols import PROTOCOLS, find_protocol, fold_images
from camp_bench.errors import ConfigError, DataError


def test_five_folds_of_coco_are_its_images_in_order() -> None:
    folds = fold_images(find_protocol("coco-1k-5fold"), 5000, 25000, "testall")
    assert [len(fold) for fold in folds] == [1000] * 5
    assert np.concatenate(folds).tolist() == list(range(5000))


@pytest.mark.parametrize("name", [protocol.name for protocol in PROTOCOLS if protocol.folds == 1])
def test_other_protocols_take_the_whole_split(name: str) -> None:
    protocol = find_protocol(name)
    images, captions = protocol.images or 7, protocol.captions or 11
    (fold,) = fold_images(protocol, images, captions, "test")
    assert fold.tolist() == list(range(images))


@pytest.mark.parametrize(
    ("name", "images", "captions", "message"),
    [
        ("f30k-1k", 5000, 25000, "test: has 5,000 images, protocol f30k-1k needs 1,000"),
        ("f30k-1k", 1000, 4999, "test: has 4,999 captions, protocol f30k-1k needs 5,000"),
        ("coco-5k", 1000, 5000, "test: has 1,000 images, protocol coco-5k needs 5,000"),
        ("coco-1k-5fold", 1000, 5000, "needs 5,000"),
    ],
)
def test_split_of_another_size_is_refused(name: str, images: int, captions: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fold_images(find_protocol(name), images, captions, "test")


@pytest.mark.parametrize(("name", "hint"), [("coco-1k", "coco"), ("f30k-1K", "did you mean 'f30k-1k'?"), ("", "full")])
def test_unknown_protocol_is_refused(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_protocol(name)
    assert hint in str(caught.value)
