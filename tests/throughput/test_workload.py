"""Random items that are the same everywhere, and parts of a dataset."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from examples import TINY

from camp_bench.errors import ConfigError, DataError
from camp_bench.records.throughput import Workload
from camp_bench.throughput.workload import (
    check_workload,
    open_items,
    random_items,
    random_lengths,
    repeat_items,
    take_items,
)

SMALL = Workload(images=4, captions=10, regions=3, words=6.0, feature_size=8)


def test_lengths_are_even_from_half_to_one_and_a_half() -> None:
    lengths = random_lengths(3000, 12.0)
    assert (lengths.min(), lengths.max()) == (6, 18)
    assert lengths.mean() == pytest.approx(12, abs=0.01)
    for start in range(0, 3000, 50):  # of which a short stretch is a fair sample
        assert lengths[start : start + 50].mean() == pytest.approx(12, abs=0.4)
    assert random_lengths(5, 1.0).tolist() == [1, 1, 1, 1, 1]


def test_lengths_of_the_first_captions_by_hand() -> None:
    # 12 (0.5 + the fractional part of 0.309, 0.927, 1.545, 2.163) = 9.7, 17.1, 12.5, 8.0
    assert random_lengths(4, 12.0).tolist() == [10, 17, 13, 8]


def test_random_items_have_the_sizes_asked_for() -> None:
    items, workload = random_items(SMALL)
    assert items.split.gather(np.arange(4)).shape == (4, 3, 8)
    assert items.split.image_of.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
    lengths = [len(ids) for ids in items.token_ids]
    assert lengths == random_lengths(10, 6.0).tolist()
    assert workload == msgspec.structs.replace(SMALL, words=float(np.mean(lengths)))
    again, _ = random_items(SMALL)
    assert again.token_ids == items.token_ids
    assert np.array_equal(again.split.features, items.split.features)


def test_items_of_a_dataset_are_its_first_images_and_all_their_captions() -> None:
    whole, vocabulary = open_items(TINY)
    items, workload = take_items(whole, Workload(images=2, data=TINY))
    assert items.split.captions == whole.split.captions[:10]
    assert list(items.token_ids) == list(whole.token_ids[:10])
    assert max(max(ids) for ids in whole.token_ids) < vocabulary
    assert (workload.images, workload.captions, workload.regions, workload.feature_size) == (2, 10, 8, 16)
    assert workload.words == pytest.approx(np.mean([len(ids) for ids in items.token_ids]))


def test_fewer_captions_are_taken_from_all_of_the_images() -> None:
    items, _ = take_items(open_items(TINY)[0], Workload(images=2, captions=4, data=TINY))
    assert items.split.image_of.tolist() == [0, 0, 1, 1]
    assert items.split.n_captions == len(items.token_ids) == 4


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"images": 6}, "images: got 6, and the data has 5; ask for 5 or fewer"),
        ({"images": 2, "captions": 11}, "captions of the first 2 images: got 11, and the data has 10"),
    ],
)
def test_more_than_a_dataset_has_is_refused(asked: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        take_items(open_items(TINY)[0], Workload(data=TINY, **asked))


def test_a_dataset_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="no such folder"):
        open_items("nowhere")


def test_repeated_items_belong_to_the_same_images_again() -> None:
    items, _ = random_items(SMALL)
    larger = repeat_items(items, 2, 2)
    assert larger.split.n_images == 8
    assert larger.split.image_of.tolist() == [*items.split.image_of, *(items.split.image_of + 4)]
    assert list(larger.token_ids) == [*items.token_ids, *items.token_ids]
    assert np.array_equal(larger.split.gather(np.array([5])), items.split.gather(np.array([1])))
    wider = repeat_items(items, 1, 2)
    assert wider.split.image_of.tolist() == [*items.split.image_of] * 2


@pytest.mark.parametrize(
    ("name", "value"),
    [("images", 0), ("captions", -1), ("regions", 0), ("dim", 0), ("dim", 2**16 + 1), ("images", 10**8)],
)
def test_sizes_out_of_range_are_refused(name: str, value: int) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: got {value}, expected a whole number from 1 to"):
        check_workload(Workload(**{name: value}))


@pytest.mark.parametrize("words", [0.0, 0.5, float("nan"), float("inf"), 1e9])
def test_numbers_of_words_that_make_no_sense_are_refused(words: float) -> None:
    with pytest.raises(ConfigError, match="words: got"):
        check_workload(Workload(words=words))
