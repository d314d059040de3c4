"""Vocabularies of the authors' programs: both forms give the same words, anything else one line."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from foreign import SPECIAL, Instance, dump2, write_vocabulary

from camp_bench.checkpoints.vocabularies import read_vocabulary, vocabulary_beside
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.errors import CheckpointError

WORDS = [*SPECIAL, "zebra", "a", "naïve", "'s"]


@pytest.mark.parametrize("form", ["json", "vocab", "__main__"])
def test_words_keep_their_numbers(form: str, tmp_path: Path) -> None:
    file = tmp_path / "f30k_vocab"
    write_vocabulary(file, WORDS, form)
    vocabulary, sha256 = read_vocabulary(file)
    assert vocabulary.words == tuple(WORDS)
    assert vocabulary.encode(["a", "naïve", "dog"]) == [1, 5, 6, 3, 2]
    assert sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_our_own_vocabulary_is_one_as_well(tmp_path: Path) -> None:
    file = tmp_path / "vocabulary.json"
    file.write_text(Vocabulary(tuple(WORDS)).to_json())
    assert read_vocabulary(file)[0].words == tuple(WORDS)


def tables(words: list[str], **changes: Any) -> dict[str, Any]:
    numbers = {word: number for number, word in enumerate(words)}
    return {"word2idx": numbers, "idx2word": {n: w for w, n in numbers.items()}, "idx": len(words)} | changes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "no word2idx and idx2word"),
        (tables([]), "no word2idx and idx2word"),
        (tables(WORDS, idx2word=[1]), "no word2idx and idx2word"),
        (tables(WORDS, idx2word={0: "<pad>"}), "word2idx and idx2word disagree"),
        (tables(WORDS, word2idx={"<pad>": 1, "a": 2}), "doesn't number its 2 words from 0 on"),
        (tables(WORDS, word2idx={"<pad>": 0, "a": "x"}), "doesn't number its 2 words from 0 on"),
        (tables(WORDS[1:]), "begins with '<start> <end> <unk> zebra'; expected <pad> <start> <end> <unk>"),
        (tables([*WORDS, ""]), "'' is empty or there twice"),
        (tables([*SPECIAL, "\udcff"]), "a word is not in UTF-8"),
        ([1], "holds a list; expected an object of class Vocabulary"),
        (Instance("argparse", "Namespace", tables(WORDS)), "names argparse.Namespace, which no checkpoint"),
    ],
)
def test_what_is_no_vocabulary_is_one_line(content: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "vocab.pkl"
    file.write_bytes(dump2(content))
    with pytest.raises(CheckpointError) as caught:
        read_vocabulary(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "not a vocabulary"),
        (b'{"a": "\xff"}', "not a vocabulary"),
        (b'{"schema_version": 7, "words": []}', "not a vocabulary"),
        (b'{"word2idx": ' * 50_000, "not a vocabulary"),
        (json.dumps(tables([*SPECIAL, "x"])).encode()[:-9], "not a vocabulary"),
        (b"", "damaged or cut short"),
        (dump2(tables(WORDS))[:-9], "damaged or cut short"),
    ],
)
def test_damaged_files_are_one_line(data: bytes, message: str, tmp_path: Path) -> None:
    file = tmp_path / "vocab"
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        read_vocabulary(file)


def test_folders_and_missing_files_are_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(CheckpointError, match=r"no such file; expected a vocabulary"):
            read_vocabulary(path)


@pytest.mark.parametrize(("form", "name"), [("json", "glove_vocab.json"), ("vocab", "glove_vocab.pkl")])
def test_vocabulary_beside_vectors_is_found_by_their_name(form: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "glove.npy"
    with pytest.raises(
        CheckpointError, match=r"glove\.npy: holds vectors without words; expected glove_vocab\.json or"
    ):
        vocabulary_beside(file)
    write_vocabulary(tmp_path / name, WORDS, form)
    assert vocabulary_beside(file).words == tuple(WORDS)
