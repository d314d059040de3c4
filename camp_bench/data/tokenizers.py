"""Ways to split a caption into tokens, by name: `treebank`, `unicode` and `characters`.

`treebank` is what published code uses, for English. Published code splits a caption into sentences first, with a
trained splitter that has to be downloaded. Here a caption is one sentence, so in the rare caption of two the full stop
of the first stays on its word ("sitting."). `unicode` follows the word boundaries of Unicode's annex 29: words of any
script that has spaces, and each letter of those that have none, such as Chinese. `characters` takes every letter as it
is seen, with its accents, as a token.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from camp_bench.errors import ConfigError, nearest

__all__ = ["TOKENIZERS", "TokenizerName", "find_tokenizer", "segmentation_warning", "tokenize"]

TokenizerName: TypeAlias = Literal["treebank", "unicode", "characters"]

TOKENIZERS: Mapping[str, str] = {
    "treebank": "NLTKWordTokenizer, lower case, a caption as one sentence",
    "unicode": "word boundaries of Unicode's annex 29, lower case, spaces left out",
    "characters": "letters as they are seen (grapheme clusters), lower case, spaces left out",
}
"""What a record says of each."""

FEW_TOKENS = 2.0
"""Of a caption in the mean: with fewer, whole sentences are likely to be one word each."""
MANY_UNKNOWN = 0.2
FEW_CAPTIONS = 25
"""With fewer, nothing can be told: most words are rare in any language."""


def tokenize(text: str, tokenizer: str = "treebank") -> list[str]:
    """Return the lower-cased tokens of one caption, accents composed; at least one if it shows anything."""
    return _splitter(tokenizer)(unicodedata.normalize("NFC", text).lower())


def find_tokenizer(name: str) -> TokenizerName:
    """Return the tokenizer of that name; ConfigError names those there are."""
    for known in get_args(TokenizerName):
        if name == known:
            found: TokenizerName = known
            return found
    raise ConfigError(f"tokenizer: got '{name}', expected one of {', '.join(TOKENIZERS)}{nearest(name, TOKENIZERS)}")


def segmentation_warning(captions: Sequence[Sequence[str]], tokenizer: str, unknown: float, *, what: str) -> str | None:
    """Return what to say where captions seem not to be split into words, or None.

    captions: as tokens. unknown: the share of tokens that the vocabulary lacks. what: whose captions they are.
    """
    others = " or ".join(f"--tokenizer {name}" for name in TOKENIZERS if name != tokenizer)
    mean = sum(map(len, captions)) / max(1, len(captions))
    if mean < FEW_TOKENS and len(captions) >= FEW_CAPTIONS:
        return (
            f"captions of {what} have {mean:.1f} tokens in the mean: text without spaces between words is not "
            f"segmented by the {tokenizer} tokenizer; segment it, or try {others}"
        )
    if unknown > MANY_UNKNOWN and len(captions) >= FEW_CAPTIONS:
        return (
            f"{unknown:.0%} of the words of {what} are unknown to the vocabulary: there is little text, or the "
            f"{tokenizer} tokenizer's segmentation doesn't suit its language; try {others}, or a lower min_count"
        )
    return None


@functools.cache
def _splitter(tokenizer: str) -> Callable[[str], list[str]]:
    if tokenizer == "treebank":
        # Importing any part of nltk takes about a second, most of it scipy.stats, so only once there is a text.
        from nltk.tokenize.destructive import NLTKWordTokenizer

        split: Callable[[str], list[str]] = NLTKWordTokenizer().tokenize
        return split
    import regex

    if tokenizer == "unicode":
        boundary = regex.compile(r"(?w)\b", regex.V1)
        return lambda text: [part for part in boundary.split(text) if part and not part.isspace()]
    letter = regex.compile(r"\X", regex.V1)
    return lambda text: [part for part in letter.findall(text) if not part.isspace()]
