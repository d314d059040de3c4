"""What stays made, what is made again, and how much memory that takes."""

from __future__ import annotations

import torch

from camp_bench.ranking.holding import Held, bytes_of


def visits(limit: int, order: list[int], *, latest: bool) -> list[int]:
    """Return which groups, of 8 bytes each, were made in turn when asked for in that order."""
    made = []

    def make(number: int) -> dict[str, torch.Tensor]:
        made.append(number)
        return {"a": torch.full((1,), number), "b": torch.zeros(0)}

    held = Held(make, limit, latest=latest)
    for number in order:
        assert held(number)["a"].tolist() == [number]
    return made


def test_the_first_that_fit_stay_and_the_last_one_asked_for() -> None:
    assert visits(16, [0, 1, 2, 2, 3, 3, 0, 1, 2, 2, 0], latest=False) == [0, 1, 2, 3, 2]
    assert visits(0, [0, 0, 1, 1, 0], latest=False) == [0, 1, 0]


def test_the_latest_that_fit_stay() -> None:
    assert visits(16, [0, 1, 0, 1, 2, 3, 2, 3, 1], latest=True) == [0, 1, 2, 3, 1]
    assert visits(4, [0, 0, 1, 0], latest=True) == [0, 1, 0]


def test_bytes_of_counts_every_tensor() -> None:
    assert bytes_of({"a": torch.zeros(3, 2), "b": torch.zeros(5, dtype=torch.int8)}) == 29
