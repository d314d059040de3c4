"""From captions to numbers: the words that a model knows, and the tokenizer that they came from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from camp_bench.data.tokenizers import TokenizerName
from camp_bench.errors import ConfigError, DataError

__all__ = [
    "SPECIAL_WORDS",
    "Vocabulary",
    "VocabularySource",
    "build_vocabulary",
    "unknown_share",
]

VocabularySource: TypeAlias = Literal["train+dev", "train"]
"""The splits whose captions give the words: those that published code used, or the strict choice."""

SPECIAL_WORDS = ("<pad>", "<start>", "<end>", "<unk>")
_, START, END, UNKNOWN = range(len(SPECIAL_WORDS))


class _File(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """tokenizer: left out where it is the default, which files of earlier versions don't name."""

    schema_version: Literal[1]
    words: tuple[str, ...]
    tokenizer: TokenizerName = "treebank"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words by number: `<pad> <start> <end> <unk>`, then those of captions. DataError where they aren't that.

    tokenizer: what splits captions into these words; vocabularies of two are never equal.
    """

    words: tuple[str, ...]
    tokenizer: TokenizerName = "treebank"
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        n_special = len(SPECIAL_WORDS)
        if self.words[:n_special] != SPECIAL_WORDS:
            raise DataError(
                f"vocabulary: begins with {' '.join(self.words[:n_special])!r}; expected {' '.join(SPECIAL_WORDS)}; "
                f"build it again"
            )
        twice = [word for word, count in Counter(self.words).items() if count > 1 or not word]
        if twice:
            raise DataError(f"vocabulary: {twice[0]!r} is empty or there twice; expected unlike words; build it again")
        # Without the special ones: a caption that spells `<pad>` means a word, and one that isn't known.
        numbers = {word: number for number, word in enumerate(self.words) if number >= n_special}
        object.__setattr__(self, "_numbers", numbers)

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, tokens: Sequence[str], *, max_tokens: int | None = None) -> list[int]:
        """Return the tokens' numbers between those of `<start>` and `<end>`, which don't count for `max_tokens`."""
        if max_tokens is not None and max_tokens < 1:
            raise ConfigError(f"max_tokens is {max_tokens}; expected 1 or more")
        return [START, *(self._numbers.get(token, UNKNOWN) for token in tokens[:max_tokens]), END]

    def to_json(self) -> str:
        """Return the text of a vocabulary file, one word a line."""
        content = msgspec.json.encode(_File(schema_version=1, words=self.words, tokenizer=self.tokenizer))
        return msgspec.json.format(content, indent=2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Vocabulary:
        """Read what `to_json` wrote; DataError where it is anything else."""
        try:
            file = msgspec.json.decode(text, type=_File)
            return cls(file.words, file.tokenizer)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise DataError(f"vocabulary: not a vocabulary file ({error}); expected one of this version") from None

    @property
    def sha256(self) -> str:
        """The SHA-256 of the vocabulary file, in hexadecimal."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def build_vocabulary(
    token_lists: Iterable[Sequence[str]], min_count: int = 4, tokenizer: TokenizerName = "treebank"
) -> Vocabulary:
    """Return the words that occur `min_count` times or more, sorted by code point: the same words, the same numbers.

    tokenizer: what made the tokens. Raises DataError where there is no such word.
    """
    if min_count < 1:
        raise ConfigError(f"min_count is {min_count}; expected 1 or more")
    counts: Counter[str] = Counter()
    for tokens in token_lists:
        counts.update(tokens)
    words = sorted(word for word, count in counts.items() if count >= min_count and word not in SPECIAL_WORDS)
    if not words:
        raise DataError(
            f"vocabulary: none of {len(counts)} words occurs {min_count} times, the most frequent one "
            f"{max(counts.values(), default=0)} times; expected a word or more; lower min_count or give more captions"
        )
    return Vocabulary(SPECIAL_WORDS + tuple(words), tokenizer)


def unknown_share(token_lists: Iterable[Sequence[str]], vocabulary: Vocabulary) -> float:
    """Return the share of all tokens, each time they occur, that the vocabulary lacks. DataError without tokens."""
    n_tokens = n_unknown = 0
    for tokens in token_lists:
        n_tokens += len(tokens)
        n_unknown += vocabulary.encode(tokens).count(UNKNOWN)
    if not n_tokens:
        raise DataError("vocabulary: no tokens, so no share of unknown ones; expected one caption or more")
    return n_unknown / n_tokens
