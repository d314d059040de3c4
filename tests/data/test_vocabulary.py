"""Tokens, vocabularies and their files."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.data.tokenizers import TOKENIZERS, find_tokenizer, segmentation_warning, tokenize
from camp_bench.data.vocabulary import (
    SPECIAL_WORDS,
    Vocabulary,
    VocabularySource,
    build_vocabulary,
    unknown_share,
)
from camp_bench.errors import ConfigError, DataError

words = st.text(min_size=1, max_size=5).filter(lambda word: word not in SPECIAL_WORDS)
SMALL = Vocabulary((*SPECIAL_WORDS, "cat", "dog"))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("A man, riding a horse.", ["a", "man", ",", "riding", "a", "horse", "."]),
        ("Two dogs don't bark", ["two", "dogs", "do", "n't", "bark"]),
        ("The girl's hat", ["the", "girl", "'s", "hat"]),
        ("He CANNOT swim !", ["he", "can", "not", "swim", "!"]),
        ('A sign says "STOP"', ["a", "sign", "says", "``", "stop", "''"]),
        ("a man (left) in a t-shirt", ["a", "man", "(", "left", ")", "in", "a", "t-shirt"]),
        ("A dog sits. It barks.", ["a", "dog", "sits.", "it", "barks", "."]),
        ("un café à Paris", ["un", "café", "à", "paris"]),
        ("<start> a <unk>", ["<", "start", ">", "a", "<", "unk", ">"]),
        ("  ", []),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


@pytest.mark.parametrize(
    ("tokenizer", "text", "tokens"),
    [
        ("unicode", "两只狗在奔跑。", list("两只狗在奔跑。")),
        ("unicode", "A man's  dog, 3.5 m", ["a", "man's", "dog", ",", "3.5", "m"]),
        ("unicode", "犬がカメラを見る", ["犬", "が", "カメラ", "を", "見", "る"]),
        ("characters", "Ein Café", ["e", "i", "n", "c", "a", "f", "é"]),
        ("characters", "cafe\u0301", ["c", "a", "f", "é"]),
        ("treebank", "un cafe\u0301", ["un", "café"]),
    ],
)
def test_tokens_of_other_scripts(tokenizer: str, text: str, tokens: list[str]) -> None:
    assert tokenize(text, tokenizer) == tokens


def test_vocabularies_of_two_tokenizers_are_two_and_files_keep_which() -> None:
    letters = build_vocabulary([list("abab")], 2, "characters")
    words = build_vocabulary([list("abab")], 2)
    assert letters != words
    assert letters.sha256 != words.sha256
    assert Vocabulary.from_json(letters.to_json()) == letters
    assert "tokenizer" not in words.to_json()  # as files of earlier versions
    with pytest.raises(DataError, match="not a vocabulary file"):
        Vocabulary.from_json(letters.to_json().replace("characters", "letters"))
    with pytest.raises(ConfigError, match=r"got 'unicod', expected one of .* \(did you mean 'unicode'\?\)"):
        find_tokenizer("unicod")


def test_captions_that_are_not_segmented_are_told() -> None:
    whole = [tokenize("两只狗在奔跑。")] * 50
    assert "have 1.0 tokens in the mean" in (segmentation_warning(whole, "treebank", 0.0, what="train") or "")
    told = segmentation_warning([["a"] * 9] * 100, "treebank", 0.3, what="dev")
    assert told is not None
    assert told.startswith("30% of the words of dev are unknown")
    assert "--tokenizer unicode or --tokenizer characters" in told
    assert segmentation_warning([["a"] * 9] * 100, "treebank", 0.1, what="dev") is None


@given(st.text())
def test_text_that_is_not_blank_has_tokens_without_spaces(text: str) -> None:
    tokens = tokenize(text)
    assert bool(tokens) == bool(text.strip())
    assert all(token and not any(map(str.isspace, token)) for token in tokens)
    assert set(SPECIAL_WORDS).isdisjoint(tokens)


def test_no_tokenizer_is_imported_before_the_first_text() -> None:
    script = "import sys, camp_bench.data.vocabulary; print({'nltk', 'torch', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


def test_words_that_occur_often_enough_are_sorted_after_the_special_ones() -> None:
    token_lists = [["dog", "a", "dog"], ["a", "cat", "Zoo"], ["zoo", "a", "dog", "zoo", "zoo"], ["cat", "Zoo", "Zoo"]]
    assert build_vocabulary(token_lists, 3).words == ("<pad>", "<start>", "<end>", "<unk>", "Zoo", "a", "dog", "zoo")
    assert build_vocabulary(token_lists, 1).words[4:] == ("Zoo", "a", "cat", "dog", "zoo")


def test_four_times_is_enough_by_default() -> None:
    assert build_vocabulary([["four"] * 4, ["three"] * 3]).words == (*SPECIAL_WORDS, "four")


def test_token_lists_can_be_a_generator() -> None:
    assert len(build_vocabulary(["a"] for _ in range(4))) == 5


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", "<pad>", "<unk>"]), max_size=4)), st.randoms())
def test_order_of_captions_does_not_matter(token_lists: list[list[str]], random: object) -> None:
    token_lists = [["a"], *token_lists]
    shuffled = [*token_lists]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    vocabulary = build_vocabulary(token_lists, 1)
    assert build_vocabulary(shuffled, 1) == vocabulary
    assert sorted(vocabulary.words[4:]) == sorted(
        {word for tokens in token_lists for word in tokens} - {*SPECIAL_WORDS}
    )


def test_words_spelt_like_special_ones_are_unknown() -> None:
    vocabulary = build_vocabulary([["<pad>", "<end>", "a"]], 1)
    assert vocabulary.words == (*SPECIAL_WORDS, "a")
    assert vocabulary.encode(["<pad>", "<end>", "a"]) == [1, 3, 3, 4, 2]


def test_no_word_frequent_enough() -> None:
    with pytest.raises(DataError, match=r"none of 2 words occurs 4 times, the most frequent one 2 times.*min_count"):
        build_vocabulary([["a", "b"], ["a"]])
    with pytest.raises(DataError, match="none of 0 words"):
        build_vocabulary([])
    with pytest.raises(ConfigError, match="min_count is 0; expected 1 or more"):
        build_vocabulary([["a"]], 0)


def test_encode() -> None:
    assert SMALL.encode(["dog", "cow", "cat"]) == [1, 5, 3, 4, 2]
    assert SMALL.encode([]) == [1, 2]
    assert SMALL.encode(["cow"]) == [1, 3, 2]


def test_encode_cuts_before_it_adds_start_and_end() -> None:
    tokens = ["dog", "cat", "dog"]
    assert SMALL.encode(tokens, max_tokens=2) == [1, 5, 4, 2]
    assert SMALL.encode(tokens, max_tokens=3) == SMALL.encode(tokens, max_tokens=9) == SMALL.encode(tokens)
    for wrong in (0, -1):
        with pytest.raises(ConfigError, match=f"max_tokens is {wrong}; expected 1 or more"):
            SMALL.encode(tokens, max_tokens=wrong)


@given(st.lists(words, min_size=1, unique=True), st.lists(words))
def test_encode_finds_exactly_the_words_of_the_vocabulary(known: list[str], tokens: list[str]) -> None:
    vocabulary = Vocabulary((*SPECIAL_WORDS, *known))
    numbers = vocabulary.encode(tokens)
    assert (numbers[0], numbers[-1]) == (1, 2)
    for token, number in zip(tokens, numbers[1:-1], strict=True):
        assert vocabulary.words[number] == (token if token in known else "<unk>")


def test_unknown_share_counts_tokens_not_words() -> None:
    assert unknown_share([["dog", "cow", "cow"], ["cow", "cat", "owl"]], SMALL) == 4 / 6
    assert unknown_share([["dog"]], SMALL) == 0
    assert unknown_share([["cow"], []], SMALL) == 1
    assert unknown_share((tokens for tokens in [["cow", "cat"]]), SMALL) == 0.5
    with pytest.raises(DataError, match="no tokens"):
        unknown_share([[]], SMALL)


@given(st.lists(words, unique=True))
def test_file_gives_back_the_vocabulary(known: list[str]) -> None:
    vocabulary = Vocabulary((*SPECIAL_WORDS, *known))
    again = Vocabulary.from_json(vocabulary.to_json())
    assert (again, again.to_json(), again.sha256) == (vocabulary, vocabulary.to_json(), vocabulary.sha256)
    assert Vocabulary.from_json(vocabulary.to_json().encode()) == vocabulary
    assert len(again) == 4 + len(known)
    assert json.loads(vocabulary.to_json()) == {"schema_version": 1, "words": [*SPECIAL_WORDS, *known]}


def test_sha256_is_that_of_the_file() -> None:
    assert SMALL.sha256 == hashlib.sha256(SMALL.to_json().encode()).hexdigest()
    assert SMALL.sha256 != Vocabulary((*SPECIAL_WORDS, "dog", "cat")).sha256


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not a vocabulary file"),
        ("[]", "not a vocabulary file"),
        (b"\xff\xfe", "not a vocabulary file"),
        (b'{"schema_version": 1, "words": ["\xff"]}', "not a vocabulary file"),
        (SMALL.to_json()[:40], "not a vocabulary file"),
        (SMALL.to_json().replace("1", "2"), "2"),
        (SMALL.to_json().replace('"schema_version": 1,', ""), "schema_version"),
        (SMALL.to_json().replace('"schema_version": 1,', '"schema_version": 1, "size": 6,'), "size"),
        (SMALL.to_json().replace('"dog"', "5"), "words"),
        (SMALL.to_json().replace('"dog"', '""'), "'' is empty or there twice"),
        (SMALL.to_json().replace("dog", "cat"), "'cat' is empty or there twice"),
        (SMALL.to_json().replace("dog", "<pad>"), "'<pad>' is empty or there twice"),
        (SMALL.to_json().replace("<pad>", "pad"), "begins with 'pad <start> <end> <unk>'; expected <pad> <start>"),
        ('{"schema_version": 1, "words": []}', "begins with ''; expected <pad>"),
    ],
)
def test_anything_else_is_no_vocabulary(content: str | bytes, said: str) -> None:
    with pytest.raises(DataError, match="vocabulary: ") as caught:
        Vocabulary.from_json(content)
    assert said in str(caught.value)
    assert "expected" in str(caught.value)


def test_a_vocabulary_cannot_be_changed_and_can_be_a_key() -> None:
    with pytest.raises(AttributeError):
        SMALL.words = ()  # type: ignore[misc]
    assert {SMALL: 1}[Vocabulary((*SPECIAL_WORDS, "cat", "dog"))] == 1


def test_names_for_the_record() -> None:
    assert get_args(VocabularySource) == ("train+dev", "train")
    assert "NLTKWordTokenizer" in TOKENIZERS["treebank"]
