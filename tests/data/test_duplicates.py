"""Images that are nearly the same are one group, by features or by captions, and no others are."""

from __future__ import annotations

import numpy as np
import pytest

from camp_bench.data import duplicates, open_dataset
from camp_bench.data.dataset import Split
from camp_bench.data.duplicates import similar_images


def split_of(features: np.ndarray, captions: list[list[str]]) -> Split:
    own = [text for texts in captions for text in texts]
    return Split(
        name="test",
        features=features.astype(np.float32),
        feature_rows=np.arange(len(features)),
        image_ids=tuple(map(str, range(len(features)))),
        captions=tuple(own),
        image_of=np.repeat(np.arange(len(captions)), [len(texts) for texts in captions]),
    )


def made(images: int = 12) -> tuple[np.ndarray, list[list[str]]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(images, 4, 32)), [[f"{image} {word}" for word in "abcd"] for image in range(images)]


def test_independent_images_stand_alone() -> None:
    assert similar_images(split_of(*made())).tolist() == list(range(12))
    test = open_dataset("toy:train=10,dev=4,test=300", ("test",)).split("test")
    assert similar_images(test).tolist() == list(range(300))


def test_nearly_equal_features_and_texts_make_one_group_and_likeness_is_passed_on() -> None:
    features, captions = made()
    features[7] = features[2] + 0.05 * np.random.default_rng(1).normal(size=(4, 32))
    captions[9][:2] = ["7  A", "7 b"]  # half of the captions, case and spaces aside
    captions[4][0] = "7 c"  # one in four says nothing
    group = similar_images(split_of(features, captions))
    assert group.dtype == np.int32
    assert group.tolist() == [0, 1, 2, 3, 4, 5, 6, 2, 8, 2, 10, 11]


def test_a_caption_that_many_images_have_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features, captions = made()
    for texts in captions[:5]:
        texts[:] = ["a photo"]
    assert len(set(similar_images(split_of(features, captions)).tolist())) == 8
    monkeypatch.setattr(duplicates, "COMMONEST", 4)
    assert len(set(similar_images(split_of(features, captions)).tolist())) == 12


def test_of_very_many_images_equal_features_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 5)
    monkeypatch.setattr(duplicates, "ROWS", 4)
    features, captions = made()
    features[7] = features[2]
    features[8] = features[3] * 1.01
    assert similar_images(split_of(features, captions)).tolist() == [0, 1, 2, 3, 4, 5, 6, 2, 8, 9, 10, 11]


def test_data_without_features_is_grouped_by_texts() -> None:
    features, captions = made()
    captions[3] = captions[1]
    assert similar_images(split_of(features[:, :, :0], captions))[3] == 1
