"""Text as people bring it: marks, encodings, what shows nothing, and numbers of ASCII digits alone."""

from __future__ import annotations

import pytest

from camp_bench.config.text import decode_text, is_blank, read_number, read_whole, without_mark
from camp_bench.errors import ConfigError, DataError


def test_a_byte_order_mark_is_no_text() -> None:
    assert decode_text(b"\xef\xbb\xbfa", "x", DataError) == "a"
    assert without_mark(b"\xef\xbb\xbf{}") == b"{}" == without_mark(b"{}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("ab".encode("utf-16"), "byte 0xff at offset 0 .line 1., as UTF-16 begins; save"),
        (b"a\n\xe4", "byte 0xe4 at offset 2 .line 2.; save"),
        (b"a\0b", "byte 0x00 at offset 1"),
    ],
)
def test_other_encodings_are_named(content: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        decode_text(content, "x", ConfigError)


@pytest.mark.parametrize(
    "text", ["", " \t", "\u00a0", "\u3000", "\u200b\ufeff", "\u2060", "\u3164", "\u2800", "\u00ad"]
)
def test_what_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)
    assert not is_blank(f"{text}a")


def test_letters_of_every_script_are_seen() -> None:
    assert not any(map(is_blank, ("猫", "😀", ".", "é", "ي")))


def test_numbers_are_of_ascii_digits() -> None:
    assert [read_whole(text) for text in ("0", "12", "007")] == [0, 12, 7]
    assert [read_whole(text) for text in ("1_0", "٣", "-1", " 1", "1.0", "", "²")] == [None] * 7
    assert [read_number(text) for text in ("3", "-.5", "1e-3", "4.")] == [3.0, -0.5, 0.001, 4.0]
    assert [read_number(text) for text in ("1_0", "٣", "nan", "inf", "1e999", "0x1", "", ".")] == [None] * 8
