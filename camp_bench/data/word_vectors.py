"""Pretrained word vectors (GloVe, word2vec) for the words of a vocabulary.

Text files have a word and its numbers a line, with or without word2vec's first line of counts; `.npz` files hold
`words` and `vectors`; a `.npy`, as CAMP's program takes it, has vectors alone, in the order of a vocabulary. A text
file is streamed: those that people have take several GB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camp_bench.config.text import without_mark
from camp_bench.data.vocabulary import SPECIAL_WORDS, Vocabulary
from camp_bench.errors import DataError
from camp_bench.records.npy import Npz

__all__ = ["WordVectors", "read_word_vectors"]

STEP = 4096
"""Words of a .npz that are read at a time."""
LONGEST_WORD_BYTES = 4096
"""In a .npz each word takes as much as the longest; GloVe's and word2vec's have a few hundred letters at most."""


@dataclass(frozen=True, slots=True, eq=False)
class WordVectors:
    """Vectors for some words of a vocabulary.

    rows: (found,) int64, the words' numbers. vectors: (found, width) float32. sha256: of the file.
    """

    rows: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    sha256: str


def read_word_vectors(file: Path, vocabulary: Vocabulary, width: int, row_words: Sequence[str] = ()) -> WordVectors:
    """Return the vectors of those words that the file and the vocabulary share; the first of two equal words counts.

    row_words: of a `.npy`, which has none itself; `<start>` and the like are words there, as in no other form. Raises
    DataError for a file that is none of these forms, has vectors of another width or shares no word.
    """
    special = 0 if file.suffix == ".npy" else len(SPECIAL_WORDS)
    numbers = {word: number for number, word in enumerate(vocabulary.words[special:], start=special)}
    found: dict[int, npt.NDArray[np.float32]] = {}
    try:
        if file.suffix == ".npy":
            entries = _read_npy(file, row_words)
        else:
            entries = _read_npz(file, width) if file.suffix == ".npz" else _read_text(file, set(numbers), width)
        for word, vector in entries:
            if len(vector) != width:
                raise DataError(
                    f"{file}: the vector of '{word}' has {len(vector)} numbers, the model's words have {width}; "
                    f"set word_dim to {len(vector)} or give other vectors"
                )
            if not np.isfinite(vector).all():
                raise DataError(f"{file}: the vector of '{word}' holds NaN or infinity; expected finite numbers")
            if word in numbers:
                found.setdefault(numbers[word], vector)
        with file.open("rb") as stream:
            checksum = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{file}: can't be read ({error.strerror or error}); expected word vectors") from None
    if not found:
        raise DataError(
            f"{file}: holds none of the vocabulary's {len(numbers)} words; expected some; give other vectors"
        )
    rows = np.array(sorted(found), dtype=np.int64)
    return WordVectors(rows, np.stack([found[int(row)] for row in rows]), checksum)


def _read_text(file: Path, wanted: set[str], width: int) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield the wanted words, and the first word whatever it is, so that a wrong width never passes unseen.

    A word may hold spaces (". . ." in GloVe's largest file), so the numbers are counted from the end.
    """
    with file.open("rb") as stream:
        for line, content in enumerate(stream, start=1):
            text = (without_mark(content) if line == 1 else content).decode("utf-8", errors="replace").strip()
            if line == 1 and [part.isdigit() for part in text.split()] == [True, True]:
                continue  # word2vec's counts
            first = text.partition(" ")[0]
            if first not in wanted and line > 2:
                continue
            word, *numbers = text.rsplit(" ", width)
            vector = _floats(numbers)
            if vector is None or len(vector) != width or (" " in word and _floats(text.split(" ")[1:]) is not None):
                vector = _floats(text.split(" ")[1:])
                if vector is None or not len(vector):
                    raise DataError(f"{file}: line {line} isn't a word and its numbers; expected GloVe's form")
                word = first
            yield word, vector


def _floats(texts: list[str]) -> npt.NDArray[np.float32] | None:
    if any("_" in text or not text.isascii() for text in texts):  # numbers for Python alone
        return None
    try:
        with np.errstate(over="ignore"):  # infinity is refused later, by name
            return np.array(texts, dtype=np.float32)
    except ValueError:
        return None


def _read_npz(file: Path, width: int) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield all words and vectors, a few at a time, once the headers say that they are such of the width wanted."""
    with file.open("rb") as stream:
        arrays = Npz(stream, file)
        if not {"words", "vectors"} <= set(arrays.headers):
            raise DataError(f"{file}: not a .npz with arrays `words` and `vectors`; expected one without objects")
        words, vectors = arrays.headers["words"], arrays.headers["vectors"]
        ok = len(words.shape) == 1 and len(vectors.shape) == 2 and words.shape[0] == vectors.shape[0]
        if not ok or vectors.dtype.kind != "f" or vectors.fortran_order or words.dtype.kind not in "US":
            raise DataError(
                f"{file}: words {words.shape} {words.dtype}, vectors {vectors.shape} {vectors.dtype}; "
                f"expected (n,) words and (n, width) vectors of floats, in C order"
            )
        if vectors.shape[1] != width or words.row_bytes > LONGEST_WORD_BYTES:
            raise DataError(
                f"{file}: vectors of {vectors.shape[1]} numbers, words of {words.row_bytes:,} bytes; expected "
                f"{width} numbers, as the model's words have, and {LONGEST_WORD_BYTES:,} bytes or fewer; set word_dim "
                f"or give other vectors"
            )
        for some, numbers in zip(arrays.rows("words", STEP), arrays.rows("vectors", STEP), strict=True):
            yield from zip((str(word) for word in some), _single(numbers), strict=True)


def _read_npy(file: Path, words: Sequence[str]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    try:
        with file.open("rb") as stream:
            vectors = np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, TypeError, EOFError, MemoryError):
        raise DataError(f"{file}: not a .npy of numbers; expected (words, width) floats") from None
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or len(vectors) != len(words):
        raise DataError(
            f"{file}: {vectors.shape} {vectors.dtype}; expected ({len(words)}, width) floats, "
            f"a row for each word of the vocabulary beside it"
        )
    yield from zip(words, _single(vectors), strict=True)


def _single(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore"):  # infinity is refused later, by name
        return vectors.astype(np.float32)
