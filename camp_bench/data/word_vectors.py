"""Pretrained word vectors (GloVe, word2vec) for the words of a vocabulary.

Text files have a word and its numbers a line, with or without word2vec's first line of counts; `.npz` files hold
`words` and `vectors`. A text file is streamed: those that people have take several GB.
"""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from camp_bench.config.text import without_mark
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.errors import DataError

__all__ = ["WordVectors", "read_word_vectors"]


@dataclass(frozen=True, slots=True, eq=False)
class WordVectors:
    """Vectors for some words of a vocabulary.

    rows: (found,) int64, the words' numbers. vectors: (found, width) float32. sha256: of the file.
    """

    rows: npt.NDArray[np.int64]
    vectors: npt.NDArray[np.float32]
    sha256: str


def read_word_vectors(file: Path, vocabulary: Vocabulary, width: int) -> WordVectors:
    """Return the vectors of those words that the file and the vocabulary share; the first of two equal words counts.

    Raises DataError for a file that is none of these forms, has vectors of another width or shares no word.
    """
    numbers = {word: number for number, word in enumerate(vocabulary.words[4:], start=4)}
    found: dict[int, npt.NDArray[np.float32]] = {}
    try:
        entries = _read_npz(file) if file.suffix == ".npz" else _read_text(file, set(numbers), width)
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


def _read_npz(file: Path) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            words, vectors = stored["words"], stored["vectors"]
    except (KeyError, ValueError, TypeError, EOFError, zlib.error, zipfile.BadZipFile):
        raise DataError(f"{file}: not a .npz with arrays `words` and `vectors`; expected one without objects") from None
    if words.ndim != 1 or vectors.ndim != 2 or len(words) != len(vectors) or vectors.dtype.kind != "f":
        raise DataError(
            f"{file}: words {words.shape}, vectors {vectors.shape} {vectors.dtype}; "
            f"expected (n,) words and (n, width) vectors of floats"
        )
    with np.errstate(over="ignore"):
        numbers = vectors.astype(np.float32)
    yield from zip((str(word) for word in words), numbers, strict=True)
