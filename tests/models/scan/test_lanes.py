"""How SCAN's compiled loops lay captions out, and their power of two; what they compute is in test_scoring."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from camp_bench.machine.jit import compiled
from camp_bench.models.scan.lanes import FEWEST, MOST, MULTIPLE, pad_gram, sort_captions
from camp_bench.models.scan.loops import exp2


@pytest.mark.parametrize(
    ("lengths", "sizes"),
    [
        ([3], [1]),
        ([12] * 300, [MOST, MOST, 44]),
        ([24] * 100, [64, 36]),
        ([30] * 100, [48, 48, 4]),
        ([200] * 100, [FEWEST, FEWEST, FEWEST, 4]),
    ],
)
def test_captions_are_cut_into_packs_of_about_as_many_words(lengths: list[int], sizes: list[int]) -> None:
    assert [len(pack) for pack in sort_captions(lengths)] == sizes


def test_the_longest_captions_come_first_and_each_once() -> None:
    lengths = [place * 7 % 40 + 1 for place in range(500)]
    packs = sort_captions(lengths)
    order = [caption for pack in packs for caption in pack]
    assert sorted(order) == list(range(500))
    assert [lengths[caption] for caption in order] == sorted(lengths, reverse=True)
    assert all(len(pack) % MULTIPLE == 0 for pack in packs[:-1])


def test_gram_tables_get_rows_and_columns_of_zeros_up_to_a_multiple_of_four() -> None:
    table = torch.arange(1.0, 10.0).view(1, 3, 3)
    assert pad_gram(table)[0].tolist() == [[1, 2, 3, 0], [4, 5, 6, 0], [7, 8, 9, 0], [0, 0, 0, 0]]
    whole = torch.ones(2, 4, 4)
    assert pad_gram(whole) is whole


def each_exp2(given: np.ndarray, found: np.ndarray) -> None:
    for place in range(len(given)):
        found[place] = power(given[place])


power = exp2


def run(given: list[float] | np.ndarray) -> np.ndarray:
    values = np.array(given, np.float32)
    found = np.empty_like(values)
    compiled(each_exp2)(values, found)
    return found


def test_powers_of_two_keep_seven_digits() -> None:
    given = np.linspace(-126, 127, 100_001, dtype=np.float32)
    np.testing.assert_allclose(run(given), np.exp2(given.astype(np.float64)), rtol=1e-7)


def test_powers_of_two_at_the_ends() -> None:
    assert run([0.0, 1.0, -3.0]).tolist() == [1.0, 2.0, 0.125]
    assert run([-1000.0, -np.inf]).tolist() == [2.0**-126] * 2
    assert run([1000.0, np.inf]).tolist() == [2.0**127] * 2
    assert np.isnan(run([np.nan])).all()
