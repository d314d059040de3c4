"""Values that an experiment may hold, and others."""

from __future__ import annotations

from pathlib import Path

import pytest

from camp_bench.config import format_bytes, parse_bytes, user_path
from camp_bench.errors import ConfigError


def test_home_is_what_a_tilde_means_unless_nobody_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/x") == Path("/home/me/x")
    assert user_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
    assert user_path("x") == Path("x")


@pytest.mark.parametrize(
    ("text", "amount"), [("1GB", 10**9), ("1.5 mb", 1_500_000), ("2KiB", 2048), ("7B", 7), ("1TiB", 2**40)]
)
def test_amounts_of_memory(text: str, amount: int) -> None:
    assert parse_bytes(text) == amount
    assert parse_bytes(format_bytes(amount)) == amount


@pytest.mark.parametrize("text", ["", "1", "GB", "-1GB", "1PB", "1e3MB", "1GBs", "١GB"])
def test_other_texts_are_no_amount_of_memory(text: str) -> None:
    with pytest.raises(ConfigError, match=r"memory_budget: got .*512MB"):
        parse_bytes(text)
