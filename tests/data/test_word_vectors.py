"""Word vectors in each form that people have them, and what is refused."""

from __future__ import annotations

import hashlib
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from camp_bench.data.vocabulary import Vocabulary, build_vocabulary
from camp_bench.data.word_vectors import read_word_vectors
from camp_bench.errors import DataError
from camp_bench.records.npy import encode_header

TEXT = "the 9 9 9\ndog 1 2 3\nzebra 7 7 7\ncat 4 5 6\ndog 8 8 8\n"


@pytest.fixture
def vocabulary() -> Vocabulary:
    return build_vocabulary([["dog", "cat", "bird"]], 1)


@pytest.mark.parametrize("header", ["", "5 3\n"])
def test_text_with_and_without_counts(tmp_path: Path, vocabulary: Vocabulary, header: str) -> None:
    file = tmp_path / "glove.txt"
    file.write_text(header + TEXT)
    found = read_word_vectors(file, vocabulary, 3)
    words = {vocabulary.words[row]: vector.tolist() for row, vector in zip(found.rows, found.vectors, strict=True)}
    assert words == {"cat": [4, 5, 6], "dog": [1, 2, 3]}
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_words_with_spaces_are_passed_over(tmp_path: Path, vocabulary: Vocabulary) -> None:
    file = tmp_path / "glove.txt"
    file.write_text(". . . 1 1 1\nat name@domain.com 1 1 1\ndog @ home 7 7 7\ndog 1 2 3\n")
    found = read_word_vectors(file, vocabulary, 3)
    assert [vocabulary.words[row] for row in found.rows] == ["dog"]
    assert found.vectors.tolist() == [[1.0, 2.0, 3.0]]


def test_npz(tmp_path: Path, vocabulary: Vocabulary) -> None:
    file = tmp_path / "vectors.npz"
    np.savez(file, words=np.array(["bird", "fish"]), vectors=np.array([[1.5, 2.5], [0, 0]]))
    found = read_word_vectors(file, vocabulary, 2)
    assert [vocabulary.words[row] for row in found.rows] == ["bird"]
    assert found.vectors.tolist() == [[1.5, 2.5]]
    assert found.vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"zebra 1 2 3 4\ndog 1 2 3 4\n", "has 4 numbers, the model's words have 3; set word_dim to 4"),
        (b"zebra 1 2 3\nx 1 2 3\nantelope 1 2 3\n", "none of the vocabulary's 3 words"),
        (b"the 1e39 2 3\n", "'the' holds NaN or infinity"),
        (b"the 1 2 3\na 1 2 3\ndog 1 two 3\n", "line 3 isn't a word and its numbers"),
        (b"the 1 2 3\ndog 1 nan 3\n", "NaN or infinity"),
        (b"", "none of the vocabulary's 3 words"),
        (b"\xff\xfe\x00", "line 1 isn't a word and its numbers"),
    ],
)
def test_bad_text_is_refused(tmp_path: Path, vocabulary: Vocabulary, content: bytes, message: str) -> None:
    file = tmp_path / "glove.txt"
    file.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_word_vectors(file, vocabulary, 3)
    assert message in str(caught.value)


def test_bad_npz_is_refused(tmp_path: Path, vocabulary: Vocabulary) -> None:
    file = tmp_path / "vectors.npz"
    for content in (
        {"words": np.array(["dog"])},
        {"words": np.array(["dog"], dtype=object), "vectors": np.ones((1, 3))},
    ):
        np.savez(file, **content)  # type: ignore[arg-type]
        with pytest.raises(DataError, match="without objects"):
            read_word_vectors(file, vocabulary, 3)
    np.savez(file, words=np.array(["dog"]), vectors=np.ones((2, 3)))
    with pytest.raises(DataError, match=r"words \(1,\) <U3, vectors \(2, 3\) float64"):
        read_word_vectors(file, vocabulary, 3)
    for dtype in ("S3", "M8[s]", complex, int):
        np.savez(file, words=np.array(["dog"]), vectors=np.zeros((1, 3), dtype=dtype))
        with pytest.raises(DataError, match="vectors of floats"):
            read_word_vectors(file, vocabulary, 3)
    whole = file.read_bytes()
    for content in (b"rubbish", b"", whole[: len(whole) // 2]):
        file.write_bytes(content)
        with pytest.raises(DataError, match="not a"):
            read_word_vectors(file, vocabulary, 3)
    with file.open("wb") as stream:
        np.save(stream, np.ones(3))
    with pytest.raises(DataError, match="not a"):
        read_word_vectors(file, vocabulary, 3)


def test_an_npz_that_inflates_to_more_is_never_held_whole(tmp_path: Path, vocabulary: Vocabulary) -> None:
    """256 MB of zeros in 300 kB: refused by their headers, or read a few at a time."""
    file, many = tmp_path / "vectors.npz", 2**21
    np.savez_compressed(file, words=np.full(many, "dog"), vectors=np.zeros((many, 32), dtype=np.float32))
    assert file.stat().st_size < 2**20
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="vectors of 32 numbers"):
            read_word_vectors(file, vocabulary, 3)
        assert read_word_vectors(file, vocabulary, 32).vectors.tolist() == [[0.0] * 32]
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("shape", "message"), [((10**12, 3), "takes 12000000000"), ((-1, 3), "expected an array"), ((2, 3), "and it has")]
)
def test_an_npz_whose_header_says_other_than_its_size_is_refused(
    tmp_path: Path, vocabulary: Vocabulary, shape: tuple[int, int], message: str
) -> None:
    file = tmp_path / "vectors.npz"
    np.savez(file, words=np.array(["dog"]))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("vectors.npy", encode_header(shape, "<f4") + np.ones(3, dtype="<f4").tobytes())
    with pytest.raises(DataError, match=message):
        read_word_vectors(file, vocabulary, 3)


def test_missing_file_is_named(tmp_path: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(DataError, match=r"none\.txt: can't be read"):
        read_word_vectors(tmp_path / "none.txt", vocabulary, 3)


def test_npy_has_its_words_from_elsewhere_special_ones_too(tmp_path: Path, vocabulary: Vocabulary) -> None:
    file, words = tmp_path / "f30k.npy", ("<pad>", "<start>", "<end>", "<unk>", "dog", "zebra", "bird")
    vectors = np.arange(14.0).reshape(7, 2)
    np.save(file, vectors)
    found = read_word_vectors(file, vocabulary, 2, words)
    given = {vocabulary.words[row]: vector.tolist() for row, vector in zip(found.rows, found.vectors, strict=True)}
    assert given == {word: vectors[row].tolist() for row, word in enumerate(words) if word != "zebra"}
    assert found.vectors.dtype == np.float32
    assert found.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_bad_npy_is_refused(tmp_path: Path, vocabulary: Vocabulary) -> None:
    file, words = tmp_path / "f30k.npy", ("dog", "bird")
    for wrong, message in (
        (np.ones((3, 2)), r"\(3, 2\) float64; expected \(2, width\) floats, a row for each word"),
        (np.ones(2), r"\(2,\) float64; expected"),
        (np.ones((2, 2), dtype=int), "int64; expected"),
        (np.array([[1.0, np.nan], [0, 0]]), "the vector of 'dog' holds NaN"),
        (np.ones((2, 3)), "has 3 numbers, the model's words have 2"),
        (np.array([[object()], [0]]), r"not a \.npy of numbers"),
    ):
        np.save(file, wrong)
        with pytest.raises(DataError, match=message):
            read_word_vectors(file, vocabulary, 2, words)
    for content in (b"", b"rubbish", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8'"):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"not a \.npy of numbers"):
            read_word_vectors(file, vocabulary, 2, words)
