"""Reads the word lists of VSE++, SCAN and CAMP: `.json`, or a pickled object of their class `Vocabulary`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import msgspec

from camp_bench.checkpoints.pickles import BoundedStream, Record, read_pickle
from camp_bench.config.text import without_mark
from camp_bench.data.tokenizers import TokenizerName
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.errors import CheckpointError, DataError

__all__ = ["read_vocabulary"]

LARGEST_BYTES: Final = 2**28
"""The published ones have less than 1 MB."""


def read_vocabulary(path: Path) -> tuple[Vocabulary, str]:
    """Return the words of a vocabulary file by their number in it, and the file's SHA-256.

    The file holds `word2idx` and `idx2word`, as JSON or as a pickled object (of any protocol, from Python 2 or 3), or
    it is a vocabulary.json of camp-bench. Raises CheckpointError where it is neither, or its two tables disagree.
    """
    tokenizer: TokenizerName = "treebank"
    try:
        if not path.is_file():
            raise CheckpointError(f"{path}: no such file; expected a vocabulary (.json or .pkl)")
        if (size := path.stat().st_size) > LARGEST_BYTES:
            raise CheckpointError(f"{path}: {size:,} bytes; expected a vocabulary of {LARGEST_BYTES:,} at most")
        data = path.read_bytes()
        if without_mark(data)[:1] in (b"{", b" ", b"\n"):
            words, tokenizer = _from_json(path, without_mark(data))
        else:
            with path.open("rb") as file:
                words = _from_pickle(path, read_pickle(BoundedStream(file, size), str(path)))
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror or error}); expected a vocabulary") from None
    try:
        "".join(words).encode()
        return Vocabulary(words, tokenizer), hashlib.sha256(data).hexdigest()
    except UnicodeEncodeError:
        raise CheckpointError(f"{path}: a word is not in UTF-8; expected the vocabulary as it was published") from None
    except DataError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _from_json(path: Path, data: bytes) -> tuple[tuple[str, ...], TokenizerName]:
    try:
        content = msgspec.json.decode(data, type=dict[str, Any])
        if "schema_version" in content:
            own = Vocabulary.from_json(data)
            return own.words, own.tokenizer
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, DataError) as error:
        raise CheckpointError(f"{path}: not a vocabulary ({error}); expected word2idx and idx2word") from None
    return _words(path, content), "treebank"


def _from_pickle(path: Path, content: Any) -> tuple[str, ...]:
    if isinstance(content, Record) and content.of.name == "Vocabulary":
        content = content.fields
    if not isinstance(content, dict):
        found = content.of if isinstance(content, Record) else type(content).__name__
        raise CheckpointError(f"{path}: holds a {found}; expected an object of class Vocabulary")
    return _words(path, content)


def _words(path: Path, content: dict[Any, Any]) -> tuple[str, ...]:
    """Return the words in the order of their numbers, which both tables have to agree on."""
    numbers, words = content.get("word2idx"), content.get("idx2word")
    if not isinstance(numbers, dict) or not isinstance(words, dict) or not numbers:
        raise CheckpointError(f"{path}: no word2idx and idx2word; expected a vocabulary of VSE++, SCAN or CAMP")
    listed = sorted(numbers.items(), key=lambda item: item[1] if type(item[1]) is int else -1)
    if [number for _, number in listed] != list(range(len(listed))):
        raise CheckpointError(f"{path}: word2idx doesn't number its {len(listed):,} words from 0 on, each once")
    if {_number(key): word for key, word in words.items()} != {number: word for word, number in listed}:
        raise CheckpointError(f"{path}: word2idx and idx2word disagree; expected the same {len(listed):,} words")
    for word, _ in listed:
        if not isinstance(word, str):
            raise CheckpointError(f"{path}: a word is a {type(word).__name__}; expected text")
    return tuple(word for word, _ in listed)


def _number(key: Any) -> Any:
    """Return a key of idx2word as a number: in JSON it is text."""
    return int(key) if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 10 else key
