"""Describes a dataset: sizes, how long captions are, how many words there are and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from camp_bench.data.corpus import Corpus
from camp_bench.data.dataset import Dataset, Split
from camp_bench.data.tokenizers import TokenizerName
from camp_bench.data.vocabulary import build_vocabulary, unknown_share

__all__ = ["SplitSummary", "Summary", "VocabularySummary", "summarize"]

MIN_COUNT = 4
"""What published code asks of a word."""


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """captions_an_image: the fewest and the most. lengths: how many captions have 0, 1, 2, ... tokens."""

    name: str
    images: int
    captions: int
    captions_an_image: tuple[int, int]
    regions: int
    feature_size: int
    dtype: str
    stored: str
    feature_bytes: int
    lengths: tuple[int, ...]
    unknown_share: float | None

    def length_at(self, share: float) -> int:
        """Return the number of tokens of the caption at this share of all by length: 0.5 is the median."""
        return int(np.searchsorted(np.cumsum(self.lengths), max(1, share * self.captions)))


@dataclass(frozen=True, slots=True)
class VocabularySummary:
    """Words of the captions in `splits`. counts: how many words occur once, 2 to 3, 4 to 7, 8 to 15 times and so on."""

    splits: tuple[str, ...]
    tokens: int
    words: int
    known: int
    most_frequent: tuple[str, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """vocabulary: None where there is neither train nor dev, or no word occurs often enough."""

    splits: tuple[SplitSummary, ...]
    vocabulary: VocabularySummary | None


def summarize(dataset: Dataset, tokenizer: TokenizerName = "treebank") -> Summary:
    """Describe every split. The vocabulary is that of a run: words that occur 4 times or more in train and dev."""
    corpus = Corpus(dataset, list(dataset.splits))
    sources = tuple(name for name in ("train", "dev") if name in dataset.splits)
    counts = Counter(word for name in sources for tokens in corpus.tokens(name, tokenizer) for word in tokens)
    vocabulary = None
    if max(counts.values(), default=0) >= MIN_COUNT:
        vocabulary = build_vocabulary(
            (tokens for name in sources for tokens in corpus.tokens(name, tokenizer)), MIN_COUNT, tokenizer
        )
    summaries = []
    for name, split in dataset.splits.items():
        tokens = corpus.tokens(name, tokenizer)
        share = unknown_share(tokens, vocabulary) if vocabulary else None
        summaries.append(_summarize_split(split, tokens, share))
    words = None
    if vocabulary:
        exponents = Counter(count.bit_length() - 1 for count in counts.values())
        words = VocabularySummary(
            splits=sources,
            tokens=counts.total(),
            words=len(counts),
            known=sum(count >= MIN_COUNT for count in counts.values()),
            most_frequent=tuple(word for word, _ in counts.most_common(10)),
            counts=tuple(exponents[exponent] for exponent in range(max(exponents) + 1)),
        )
    return Summary(tuple(summaries), words)


def _summarize_split(split: Split, tokens: Sequence[Sequence[str]], share: float | None) -> SplitSummary:
    captions = np.bincount(split.image_of, minlength=split.n_images)
    lengths = np.bincount([len(words) for words in tokens])
    return SplitSummary(
        name=split.name,
        images=split.n_images,
        captions=split.n_captions,
        captions_an_image=(int(captions.min()), int(captions.max())),
        regions=split.n_regions,
        feature_size=split.feature_size,
        dtype=str(split.features.dtype),
        stored=split.stored,
        feature_bytes=split.features.nbytes,
        lengths=tuple(lengths.tolist()),
        unknown_share=share,
    )
