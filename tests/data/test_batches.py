"""Batches: every caption once with its own image, padding, and what is dropped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.data.batches import Batch, pad_tokens, steps_per_epoch, training_batches
from camp_bench.data.dataset import Split

CPU = torch.device("cpu")


def make_split(captions_of: list[int], dtype: type[np.floating] = np.float32) -> tuple[Split, list[list[int]]]:
    """Return a split whose features tell the image and whose token ids tell the caption.

    Image i has i + 1 in every number of its features; its row is counted from the end. Caption c has the tokens
    c + 1, ..., c + 1, c % 4 + 1 of them.
    """
    n, image_of = len(captions_of), np.repeat(np.arange(len(captions_of)), captions_of)
    rows = np.arange(n)[::-1].copy()
    features = np.empty((n, 2, 3), dtype=dtype)
    features[rows] = np.arange(1, n + 1)[:, None, None]
    captions = tuple(f"caption {c}" for c in range(len(image_of)))
    split = Split("train", features, rows, tuple(map(str, range(n))), captions, image_of)
    return split, [[c + 1] * (c % 4 + 1) for c in range(len(image_of))]


def batches_of(split: Split, tokens: list[list[int]], size: int, seed: int = 0) -> list[Batch]:
    return list(training_batches(split, tokens, size, np.random.default_rng(seed), CPU))


class TestPadding:
    def test_shorter_captions_end_in_zeros(self) -> None:
        tokens, lengths = pad_tokens([[1, 7, 2], [1, 2], (1, 8, 9, 9, 2)])
        assert tokens.tolist() == [[1, 7, 2, 0, 0], [1, 2, 0, 0, 0], [1, 8, 9, 9, 2]]
        assert lengths.tolist() == [3, 2, 5]
        assert tokens.dtype == lengths.dtype == torch.int64

    @given(st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=9))
    def test_lengths_give_back_the_captions(self, captions: list[list[int]]) -> None:
        tokens, lengths = pad_tokens(captions)
        assert tokens.shape == (len(captions), max(map(len, captions)))
        assert [row[:length] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)] == captions
        assert int((tokens != 0).sum()) == sum(map(len, captions))


class TestTraining:
    @given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.integers(2, 9), st.integers(0, 999))
    def test_every_caption_comes_once_with_its_image(self, captions_of: list[int], size: int, seed: int) -> None:
        split, token_ids = make_split(captions_of)
        seen: list[int] = []
        batches = batches_of(split, token_ids, size, seed)
        for batch in batches:
            assert 2 <= len(batch) <= size
            captions = (batch.tokens[:, 0] - 1).tolist()
            seen.extend(captions)
            assert batch.images.tolist() == split.image_of[captions].tolist()
            assert (batch.features == batch.images[:, None, None] + 1).all()
            assert batch.lengths.tolist() == [c % 4 + 1 for c in captions]
            assert batch.tokens.shape[1] == batch.lengths.max()
        assert len(seen) == len(set(seen))
        left = split.n_captions - len(seen)
        assert left == (1 if split.n_captions % size == 1 else 0), "only a pair left alone is dropped"
        assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)

    @given(st.integers(1, 60), st.integers(2, 12))
    def test_steps_are_as_many_as_batches(self, n_captions: int, size: int) -> None:
        split, token_ids = make_split([n_captions])
        assert steps_per_epoch(n_captions, size) == len(batches_of(split, token_ids, size))

    @pytest.mark.parametrize(
        ("n_captions", "size", "steps"), [(10, 5, 2), (11, 5, 2), (12, 5, 3), (1, 5, 0), (2, 5, 1), (5, 5, 1)]
    )
    def test_steps_by_hand(self, n_captions: int, size: int, steps: int) -> None:
        assert steps_per_epoch(n_captions, size) == steps

    def test_the_order_is_random_and_depends_on_the_generator_alone(self) -> None:
        split, token_ids = make_split([5] * 8)

        def order(seed: int) -> list[int]:
            np.random.default_rng(99).random(seed)
            return [int(c) for batch in batches_of(split, token_ids, 7, seed) for c in batch.tokens[:, 0]]

        assert order(1) == order(1)
        assert order(1) != order(2)
        assert order(1) != sorted(order(1))

    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
    def test_types_are_those_that_models_take(self, dtype: type[np.floating]) -> None:
        split, token_ids = make_split([2, 2], dtype)
        batch = batches_of(split, token_ids, 4)[0]
        assert batch.features.shape == (4, 2, 3)
        assert batch.features.dtype == torch.float32
        assert batch.tokens.dtype == batch.lengths.dtype == batch.images.dtype == torch.int64
        assert batch.lengths.device == CPU, "packing wants them there"

    def test_changing_a_batch_leaves_the_dataset_alone(self) -> None:
        split, token_ids = make_split([2, 2])
        before = split.features.copy()
        batches_of(split, token_ids, 4)[0].features.zero_()
        assert (split.features == before).all()
