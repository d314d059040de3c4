"""A dataset with its captions as tokens: what the runs of one experiment share, made once.

Tokenising takes longer than all else that is done to a caption, so every model and seed takes its word ids from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from camp_bench.data.dataset import Dataset, Split
from camp_bench.data.tokenizers import TokenizerName, segmentation_warning, tokenize
from camp_bench.data.vocabulary import Vocabulary, VocabularySource, build_vocabulary, unknown_share

__all__ = ["Corpus", "TokenizedSplit"]


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedSplit:
    """A split with its captions as word ids of one vocabulary, <start> and <end> included."""

    split: Split
    token_ids: Sequence[Sequence[int]]

    def subset(self, images: npt.NDArray[np.int64]) -> tuple[TokenizedSplit, npt.NDArray[np.int64]]:
        """Return the given images with all their captions as a split, and the numbers of those captions here.

        `also_true` is left out: it counts the images of the whole.
        """
        captions, image_of = self.split.captions_of(images)
        part = replace(
            self.split,
            feature_rows=self.split.feature_rows[images],
            image_ids=tuple(self.split.image_ids[i] for i in images),
            captions=tuple(self.split.captions[i] for i in captions),
            image_of=image_of,
            also_true=None,
        )
        return TokenizedSplit(part, [self.token_ids[int(i)] for i in captions]), captions


class Corpus:
    """The named splits of a dataset, tokenised when first asked for. DataError where a split is missing."""

    def __init__(self, dataset: Dataset, splits: Sequence[str]) -> None:
        self.dataset = dataset
        self.splits = {name: dataset.split(name) for name in splits}
        self._tokens: dict[tuple[str, str], list[list[str]]] = {}
        self._vocabularies: dict[tuple[str, int, str], Vocabulary] = {}

    def tokens(self, split: str, tokenizer: str = "treebank") -> list[list[str]]:
        """Return the tokens of every caption of the split."""
        if (key := (split, tokenizer)) not in self._tokens:
            self._tokens[key] = [tokenize(caption, tokenizer) for caption in self.splits[split].captions]
        return self._tokens[key]

    def vocabulary(self, source: VocabularySource, min_count: int, tokenizer: TokenizerName = "treebank") -> Vocabulary:
        """Return the words that occur `min_count` times in the captions of the splits that `source` names."""
        key = source, min_count, tokenizer
        if key not in self._vocabularies:
            captions = [tokens for split in source.split("+") for tokens in self.tokens(split, tokenizer)]
            self._vocabularies[key] = build_vocabulary(captions, min_count, tokenizer)
        return self._vocabularies[key]

    def unknown_shares(self, vocabulary: Vocabulary) -> dict[str, float]:
        """Return, for each split, the share of its tokens that the vocabulary lacks."""
        return {name: unknown_share(self.tokens(name, vocabulary.tokenizer), vocabulary) for name in self.splits}

    def warnings(self, vocabulary: Vocabulary) -> list[str]:
        """Return a sentence for each split whose captions seem not to be split into words that a model can learn."""
        shares = self.unknown_shares(vocabulary)
        told = (
            segmentation_warning(self.tokens(name, vocabulary.tokenizer), vocabulary.tokenizer, share, what=name)
            for name, share in shares.items()
        )
        return [text for text in told if text is not None]

    def encoded(self, split: str, vocabulary: Vocabulary, max_words: int) -> TokenizedSplit:
        """Return the split with its captions cut to `max_words` tokens, as ids of the vocabulary."""
        tokens = self.tokens(split, vocabulary.tokenizer)
        return TokenizedSplit(self.splits[split], [vocabulary.encode(words, max_tokens=max_words) for words in tokens])
