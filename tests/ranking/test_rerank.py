"""Counts of a cascade by hand, and against a sort of the whole list that it stands for."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.ranking.grid import build_grid
from camp_bench.ranking.rerank import rerank
from camp_bench.ranking.tiles import DirectionRanks, rank_tiles


def proposed(b: list[int], n: list[int], p: list[int], ids: list[list[int]]) -> DirectionRanks:
    counts = (np.array(values) for values in (b, n, p))
    return DirectionRanks(*counts, np.array(ids, dtype=np.int32), np.zeros((len(ids), len(ids[0])), np.float32))


def counts_of(ranks: DirectionRanks) -> list[tuple[int, int, int]]:
    return list(zip(*(values.tolist() for values in ranks.counts), strict=True))


def test_a_proposed_positive_has_the_rank_that_the_second_scorer_gives_it() -> None:
    before = proposed([2, 0], [0, 0], [1, 1], [[7, 4, 9], [1, 2, 3]])
    scores = np.array([[0.1, 0.5, 0.9], [0.3, 0.3, 0.3]], dtype=np.float32)
    own = np.array([[False, False, True], [True, False, True]])
    after = rerank(before, scores, own)
    # first query: its positive, third as proposed, is now first; second: both positives and one negative tie
    assert counts_of(after) == [(0, 0, 1), (0, 1, 2)]
    assert after.top_ids.tolist() == [[9, 4, 7], [1, 2, 3]]
    assert after.top_scores.tolist() == scores[[[0], [1]], [[2, 1, 0], [0, 1, 2]]].tolist()


def test_only_the_best_of_several_proposed_positives_counts() -> None:
    before = proposed([0], [0], [1], [[5, 6, 7, 8]])
    after = rerank(before, np.array([[1.0, 4.0, 3.0, 2.0]], dtype=np.float32), np.array([[True, False, True, False]]))
    assert counts_of(after) == [(1, 0, 1)]


def test_a_positive_beyond_the_proposals_keeps_its_rank() -> None:
    before = proposed([5], [2], [1], [[0, 1, 2]])
    after = rerank(before, np.array([[9.0, 8.0, 7.0]], dtype=np.float32), np.zeros((1, 3), dtype=bool))
    assert counts_of(after) == [(5, 2, 1)]


def test_a_tie_at_the_last_place_that_left_the_positive_out_puts_the_proposals_before_it() -> None:
    """One negative above, four tied with the positive; two of these were proposed, so three stand before it."""
    before = proposed([1], [4], [1], [[0, 1, 2]])
    after = rerank(before, np.array([[9.0, 8.0, 7.0]], dtype=np.float32), np.zeros((1, 3), dtype=bool))
    assert counts_of(after) == [(3, 2, 1)]


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_equals_a_sort_of_the_whole_list(seed: int, size: int) -> None:
    """The list as one score: proposals by the second scorer, all of them above the rest, which the first one orders."""
    rng = np.random.default_rng(seed)
    n, m = 6, 12
    image_of = np.repeat(np.arange(n), 2)
    cheap, good = (rng.integers(0, 4, (n, m)).astype(np.float32) for _ in range(2))
    grid = build_grid(image_of, n, tile_images=n, tile_captions=m)
    first = rank_tiles(grid, lambda _i, _t: torch.from_numpy(cheap), top=size).i2t
    own = image_of[first.top_ids] == np.arange(n)[:, None]
    after = rerank(first, np.take_along_axis(good, first.top_ids.astype(np.int64), 1), own)
    for image in range(n):
        chosen = first.top_ids[image].tolist()
        merged = [10 + good[image, c] if c in chosen else cheap[image, c] for c in range(m)]
        mine = {c for c in range(m) if image_of[c] == image}
        best = max(merged[c] for c in mine)
        b = sum(merged[c] > best for c in range(m) if c not in mine)
        t = sum(merged[c] == best for c in range(m) if c not in mine)
        p = sum(merged[c] == best for c in mine)
        assert [int(values[image]) for values in after.counts] == [b, t, p]
