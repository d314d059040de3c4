"""Reads the word lists of VSE++, SCAN and CAMP: `.json`, or a pickled object of their class `Vocabulary`."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any, Final

import msgspec

from camp_bench.checkpoints.pickle_data import read_pickle
from camp_bench.config.text import without_mark
from camp_bench.data.tokenizers import TokenizerName
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.errors import CheckpointError, DataError

__all__ = ["read_vocabulary", "vocabulary_beside"]


class _Vocabulary:
    """Stands for the programs' class, of which only the attributes count."""


KNOWN: Final = {(module, "Vocabulary"): _Vocabulary for module in ("vocab", "__main__")}
"""Where the class lies when `vocab.py` is imported, and when it is run."""

LARGEST_BYTES: Final = 2**28
"""The published ones have less than 1 MB."""


def read_vocabulary(path: Path) -> tuple[Vocabulary, str]:
    """Return the words of a vocabulary file by their number in it, and the file's SHA-256.

    The file holds `word2idx` and `idx2word`, as JSON or as a pickled object (protocol 2 or later, Python 2 or 3), or it
    is a vocabulary.json of camp-bench. Raises CheckpointError where it is neither, or its two tables disagree.
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
            words = _from_pickle(path, read_pickle(io.BytesIO(data), str(path), KNOWN))
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror or error}); expected a vocabulary") from None
    try:
        "".join(words).encode()
        return Vocabulary(words, tokenizer), hashlib.sha256(data).hexdigest()
    except UnicodeEncodeError:
        raise CheckpointError(f"{path}: a word is not in UTF-8; expected the vocabulary as it was published") from None
    except DataError as error:
        raise CheckpointError(f"{path}: {error}") from None


def vocabulary_beside(file: Path) -> Vocabulary:
    """Return the words that the rows of a `.npy` belong to: those of NAME_vocab.json or NAME_vocab.pkl beside NAME.npy.

    Raises CheckpointError where there is none, or as `read_vocabulary` does.
    """
    names = [f"{file.stem}_vocab{suffix}" for suffix in (".json", ".pkl")]
    for path in map(file.with_name, names):
        if path.is_file():
            return read_vocabulary(path)[0]
    raise CheckpointError(
        f"{file}: holds vectors without words; expected {names[0]} or {names[1]} beside it, the vocabulary that its "
        f"rows are in the order of"
    )


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
    if isinstance(content, _Vocabulary):
        content = vars(content)
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}; expected an object of class Vocabulary")
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
