"""FLOPs and bytes of computations small enough to count by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from camp_bench.machine.threads import spread
from camp_bench.throughput.flops import Work, count_work, use_threads

A, B, V = torch.rand(3, 4), torch.rand(4, 5), torch.rand(4)


@pytest.mark.parametrize(
    ("compute", "flops", "numbers"),
    [
        (lambda: A @ B, 2 * 3 * 4 * 5, 12 + 20 + 15),
        (lambda: A @ V, 2 * 3 * 4, 12 + 4 + 3),
        (lambda: torch.addmv(A[:, 0], A, V), 2 * 3 * 4, 3 + 12 + 4 + 3),
        (lambda: V @ V, 2 * 4, 4 + 4 + 1),
        (lambda: torch.bmm(A[None], B[None]), 2 * 3 * 4 * 5, 12 + 20 + 15),
        (lambda: A.T, 0, 0),
        (lambda: A.view(12)[2:].unsqueeze(0), 0, 0),
        (lambda: A + V, 0, 12 + 4 + 12),
        (lambda: V.expand(100, 4).sum(), 0, 4 + 1),  # what is only repeated lies in memory once
        (lambda: A.sum(1), 0, 12 + 3),
    ],
)
def test_work_is_what_a_hand_counts(compute: Callable[[], object], flops: int, numbers: int) -> None:
    assert count_work(compute) == Work(flops, 4 * numbers)


def test_a_change_in_place_reads_and_writes() -> None:
    tensor = torch.ones(10, dtype=torch.float64)
    assert count_work(lambda: tensor.add_(1)) == Work(0, 2 * 10 * 8)


def test_work_of_threads_is_counted_and_their_number_restored() -> None:
    with use_threads(2):
        work = count_work(lambda: list(spread(lambda b: A @ b, [B, B, B], torch.device("cpu"))))
        assert torch.get_num_threads() == 2
    assert work.flops == 3 * 2 * 3 * 4 * 5


def test_threads_stay_as_they_are_for_0() -> None:
    before = torch.get_num_threads()
    with use_threads(0):
        assert torch.get_num_threads() == before
