"""What makes a value of an experiment one that can be used, and the words in which another is refused."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from camp_bench.errors import ConfigError

__all__ = [
    "MAX_THREADS",
    "MAX_WHOLE",
    "check_examples",
    "check_seeds",
    "format_bytes",
    "parse_bytes",
    "require",
    "require_text",
    "require_unique",
    "user_path",
]

MAX_SEED = 2**32 - 1
"""Seeds are 32-bit, so that every generator in use takes them as they are."""
MAX_THREADS = 1024
MAX_EXAMPLES = 1000
MAX_WHOLE = 2**31 - 1
"""The largest whole number that a setting takes: what is beyond it is a slip."""


def check_examples(examples: int) -> int:
    """Return how many examples to keep if that is a sensible number; else ConfigError."""
    require("examples", examples, f"0 to {MAX_EXAMPLES}", 0 <= examples <= MAX_EXAMPLES)
    return examples


def user_path(text: str) -> Path:
    """Return the path that a user means, `~` being home."""
    path = Path(text)
    with suppress(RuntimeError):  # nobody has that name: then the folder is called so
        path = path.expanduser()
    return path


def require_text(name: str, value: str, *, empty: bool = False) -> None:
    """Raise ConfigError unless a name or path is text that a record can hold."""
    if not (value.strip() or empty) or "\0" in value or not value.isprintable() or not _is_unicode(value):
        raise ConfigError(f"{name}: got {value!r}, expected a name or path of printable characters in UTF-8")


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of another encoding, smuggled through by the system
        return False
    return True


def check_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Return the seeds if there are some, each once and of 32 bits; else ConfigError."""
    if not seeds:
        raise ConfigError("seeds: none given; expected whole numbers such as 0,1,2")
    for seed in seeds:
        require("seeds", seed, f"whole numbers from 0 to {MAX_SEED}", 0 <= seed <= MAX_SEED)
    require_unique("seeds", seeds)
    return seeds


def require_unique(name: str, values: tuple[Any, ...]) -> None:
    """Raise ConfigError where a value comes twice."""
    seen = set()
    for value in values:
        if value in seen:
            raise ConfigError(f"{name}: {value} is given twice; expected each once")
        seen.add(value)


def require(name: str, got: Any, expected: str, holds: bool) -> None:
    """Raise ConfigError, saying what was got and what is expected, unless that holds."""
    if not holds:
        raise ConfigError(f"{name}: got {got}, expected {expected}")


def parse_bytes(text: str) -> int:
    """Read an amount of memory such as 512MB, 1.5GB or 1GiB into bytes; ConfigError for anything else."""
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?)(i?)B\s*", text, re.IGNORECASE | re.ASCII)
    if found is None:
        raise ConfigError(f"memory_budget: got '{text}', expected an amount of memory such as 512MB, 1.5GB or 1GiB")
    unit = 1024 if found[3] else 1000
    return int(float(found[1]) * unit ** " KMGT".index(found[2].upper() or " "))


def format_bytes(amount: int) -> str:
    """Return an amount of memory as `parse_bytes` reads it, exactly: 250MB, or 999B."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if amount >= size and amount % size == 0:
            return f"{amount // size}{unit}"
    return f"{amount}B"
