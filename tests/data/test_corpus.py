"""What the runs of one experiment share: tokens, vocabularies by source, ids cut to length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from camp_bench.data.corpus import Corpus
from camp_bench.data.dataset import Dataset, Split
from camp_bench.errors import DataError


def make_split(name: str, captions: Sequence[str]) -> Split:
    n = len(captions)
    return Split(
        name=name,
        features=np.ones((n, 1, 2), dtype=np.float32),
        feature_rows=np.arange(n),
        image_ids=tuple(f"{name}{i}" for i in range(n)),
        captions=tuple(captions),
        image_of=np.arange(n),
    )


@pytest.fixture
def corpus() -> Corpus:
    splits = {
        "train": make_split("train", ["A red dog.", "a red cat"]),
        "dev": make_split("dev", ["a blue bird", "a blue dog"]),
        "test": make_split("test", ["a green dog"]),
    }
    return Corpus(Dataset(name="d", source="d", splits=splits), tuple(splits))


def test_captions_become_lower_case_tokens(corpus: Corpus) -> None:
    assert corpus.tokens("train") == [["a", "red", "dog", "."], ["a", "red", "cat"]]


def test_vocabulary_holds_the_words_of_the_splits_it_is_made_from_and_never_of_test(corpus: Corpus) -> None:
    assert set(corpus.vocabulary("train", 1).words[4:]) == {"a", "red", "dog", "cat", "."}
    assert set(corpus.vocabulary("train+dev", 1).words[4:]) == {"a", "red", "dog", "cat", ".", "blue", "bird"}
    assert set(corpus.vocabulary("train+dev", 2).words[4:]) == {"a", "red", "dog", "blue"}


def test_unknown_shares_count_tokens_of_each_split(corpus: Corpus) -> None:
    shares = corpus.unknown_shares(corpus.vocabulary("train", 1))
    assert shares == {"train": 0.0, "dev": 3 / 6, "test": 1 / 3}


def test_ids_are_cut_to_length_before_start_and_end_are_added(corpus: Corpus) -> None:
    vocabulary = corpus.vocabulary("train+dev", 1)
    split = corpus.encoded("train", vocabulary, 2)
    assert [len(ids) for ids in split.token_ids] == [4, 4]
    assert [vocabulary.words[i] for i in split.token_ids[0]] == ["<start>", "a", "red", "<end>"]
    assert split.split is corpus.splits["train"]


def test_missing_split_is_named(corpus: Corpus) -> None:
    with pytest.raises(DataError, match="no split 'testall'; there are train, dev, test"):
        Corpus(corpus.dataset, ("train", "testall"))
