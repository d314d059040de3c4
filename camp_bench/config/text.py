"""Text and numbers as people write them: UTF-8 with or without a byte order mark, plain ASCII digits, visible letters.

Every reader of a text file of other people takes its content from here, whatever the file is.
"""

from __future__ import annotations

import math
import re
import unicodedata

from camp_bench.errors import CampBenchError

__all__ = ["BYTE_ORDER_MARK", "INVISIBLE", "decode_text", "is_blank", "read_number", "read_whole", "without_mark"]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
INVISIBLE = "\ufeff\u200b\u2060"
"""Byte order marks inside a file, and spaces without width: nothing where a text begins or ends."""

_WHOLE = re.compile("[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_UNSEEN_CATEGORIES = {"Cc", "Cf", "Zs", "Zl", "Zp"}
_UNSEEN = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u2800", "\u3164", "\uffa0"}
"""Letters by their category that have no shape: fillers of Korean and Khmer, a joiner, the blank Braille pattern."""


def without_mark(content: bytes) -> bytes:
    """Return the content without the byte order mark that some editors write before UTF-8."""
    return content.removeprefix(BYTE_ORDER_MARK)


def decode_text(content: bytes, where: object, error: type[CampBenchError]) -> str:
    """Return UTF-8 text without its byte order mark; `error`, with the place of the first wrong byte, for others."""
    try:
        text = content.decode("utf-8")
        wrong = content.find(b"\0")  # valid UTF-8, but never in a text: two bytes a character
    except UnicodeDecodeError as fault:
        wrong = fault.start
    if wrong >= 0:
        raise error(
            f"{where}: is not UTF-8, byte 0x{content[wrong]:02x} at offset {wrong} "
            f"(line {content.count(10, 0, wrong) + 1})"
            f"{', as UTF-16 begins' if content.startswith(UTF16_MARKS) else ''}; save the file again as UTF-8"
        )
    return text.removeprefix("\ufeff")


def is_blank(text: str) -> bool:
    """Return whether a text shows nothing: spaces of any kind and width, marks, fillers, variation selectors."""
    if "!" <= text[:1] <= "~":  # as most texts begin
        return False
    return all(
        letter in _UNSEEN or "\ufe00" <= letter <= "\ufe0f" or unicodedata.category(letter) in _UNSEEN_CATEGORIES
        for letter in text
    )


def read_whole(text: str) -> int | None:
    """Return a whole number of ASCII digits alone, None for anything else: no sign, no `1_0`, no digits of Arabic."""
    return int(text) if _WHOLE.fullmatch(text) else None


def read_number(text: str) -> float | None:
    """Return a finite number as computers write it, None for anything else."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None
