"""Ranks from tiles, against a sort of the whole matrix, whatever the tiles, the ties and the repeated captions."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from ranking_cases import Case, cases
from torch import Tensor

from camp_bench.errors import DataError, NumericError
from camp_bench.ranking import tiles
from camp_bench.ranking.grid import TileGrid, build_grid
from camp_bench.ranking.metrics import chance_metrics, retrieval_metrics
from camp_bench.ranking.tally import DeviceTally
from camp_bench.ranking.tiles import TOP, Ranks, rank_matrix, rank_tiles

Ints = npt.NDArray[np.int64]
Scorer = Callable[[int, int], Tensor]


def tiles_of(matrix: Tensor, grid: TileGrid) -> Scorer:
    """Return the function that cuts the grid's tiles out of a matrix of all images and captions."""

    def score(i: int, t: int) -> Tensor:
        rows = grid.image_tiles[i]
        return matrix[rows.start : rows.stop][:, torch.from_numpy(grid.caption_tiles[t])].clone()

    return score


def on_device(
    grid: TileGrid, best: npt.NDArray[np.floating], positive: npt.NDArray[np.floating], top: int
) -> DeviceTally:
    """Return what counts on a GPU, on the same thresholds."""
    return DeviceTally(grid, torch.from_numpy(best), torch.from_numpy(positive), top)


def sorted_ranks(scores: list[list[float]], positives: list[set[int]]) -> list[tuple[int, int, int, list[int]]]:
    """Return (b, n, p, candidates best first) of each query by sorting all its candidates."""
    found = []
    for row, own in zip(scores, positives, strict=True):
        order = sorted(range(len(row)), key=lambda c, row=row: (-row[c], c))  # type: ignore[misc]
        best = row[next(c for c in order if c in own)]
        above = order[: next(place for place, c in enumerate(order) if row[c] == best)]
        tied = [c for c in order if row[c] == best]
        found.append((len(above), len([c for c in tied if c not in own]), len([c for c in tied if c in own]), order))
    return found


def assert_ranks(ranks: Ranks, matrix: Tensor, image_of: Ints) -> None:
    """Hold ranks of both directions against the sorted matrix, counts and top lists."""
    owner = image_of.tolist()
    own = [{c for c, image in enumerate(owner) if image == i} for i in range(len(matrix))]
    for direction, scores, positives in (
        (ranks.i2t, matrix, own),
        (ranks.t2i, matrix.T, [{image} for image in owner]),
    ):
        rows = scores.tolist()
        expected = sorted_ranks(rows, positives)
        for name, place in (("b", 0), ("n", 1), ("p", 2)):
            assert getattr(direction, name).tolist() == [row[place] for row in expected], name
        assert direction.top_ids.tolist() == [order[:TOP] for *_, order in expected]
        best = [[row[c] for c in order[:TOP]] for row, (*_, order) in zip(rows, expected, strict=True)]
        assert direction.top_scores.tolist() == best


class TestRanks:
    @given(cases())
    def test_equal_a_full_sort_whatever_the_tiles(self, case: Case) -> None:
        grid = case.grid()
        for strip in (None, 1, 2):
            assert_ranks(rank_tiles(grid, tiles_of(case.matrix, grid), strip=strip), case.matrix, case.image_of)

    @given(cases())
    def test_on_a_gpu_are_counted_by_other_operations_with_the_same_result(self, case: Case) -> None:
        grid = case.grid()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tiles, "HostTally", on_device)
            assert_ranks(rank_tiles(grid, tiles_of(case.matrix, grid)), case.matrix, case.image_of)

    @given(cases())
    def test_on_mps_are_counted_by_the_cpu(self, case: Case) -> None:
        """Which needs no mps to see: nothing but the scores is ever asked of that device."""
        grid = case.grid()
        assert_ranks(rank_tiles(grid, tiles_of(case.matrix, grid), device="mps"), case.matrix, case.image_of)

    @given(cases())
    def test_what_ties_with_the_last_of_a_list_is_counted(self, case: Case) -> None:
        grid = case.grid()
        for top in (1, 2, 5):
            ranks = rank_tiles(grid, tiles_of(case.matrix, grid), top=top, ends=True)
            for found, scores in ((ranks.i2t, case.matrix.numpy()), (ranks.t2i, case.matrix.T.numpy())):
                last = -np.sort(-scores, axis=1)[:, : found.top_ids.shape[1]]
                beyond = (scores == last[:, -1:]).sum(1) - (last == last[:, -1:]).sum(1)
                assert found.beyond is not None
                assert found.beyond.tolist() == beyond.tolist()

    @pytest.mark.parametrize("top", [0, 1, 7])
    def test_top_lists_are_as_long_as_asked(self, top: int) -> None:
        matrix = torch.randn(30, 60, generator=torch.Generator().manual_seed(0))
        grid = build_grid(np.arange(60) // 2, 30, tile_images=7, tile_captions=9)
        few, many = (rank_tiles(grid, tiles_of(matrix, grid), top=size) for size in (top, TOP))
        for one, other in ((few.i2t, many.i2t), (few.t2i, many.t2i)):
            assert np.array_equal(one.top_ids, other.top_ids[:, :top])
            assert all(np.array_equal(a, b) for a, b in zip(one.counts, other.counts, strict=True))

    @pytest.mark.parametrize("ties", [1, 30, 10_000])
    def test_of_tiles_that_take_several_blocks_and_threads(self, ties: int) -> None:
        """Two bands, stretches of 256 columns with an odd remainder."""
        generator = torch.Generator().manual_seed(ties)
        matrix = (torch.randn(530, 4200, generator=generator) * 3 * ties).round() / ties
        image_of = np.sort(np.random.default_rng(0).integers(0, 530, 4200))
        threads = torch.get_num_threads()
        torch.set_num_threads(2)
        try:
            grid = build_grid(image_of, 530, tile_images=521, tile_captions=4100)
            ranks = rank_tiles(grid, tiles_of(matrix, grid))
        finally:
            torch.set_num_threads(threads)
        assert_ranks(ranks, matrix, image_of)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_half_precision_counts_the_ties_that_it_makes(self, dtype: torch.dtype) -> None:
        matrix = torch.randn(20, 40, generator=torch.Generator().manual_seed(1)).to(dtype)
        grid = build_grid(np.arange(40) // 2, 20, tile_images=6, tile_captions=9)
        assert_ranks(rank_tiles(grid, tiles_of(matrix, grid)), matrix.float(), np.arange(40) // 2)

    @given(cases())
    def test_of_a_matrix_equal_a_full_sort(self, case: Case) -> None:
        assert_ranks(rank_matrix(case.matrix, case.image_of), case.matrix, case.image_of)

    @given(cases())
    def test_each_tile_is_asked_for_exactly_once(self, case: Case) -> None:
        grid = case.grid()
        cut = tiles_of(case.matrix, grid)
        asked: list[tuple[int, int]] = []
        told: list[tuple[int, int]] = []

        def score(i: int, t: int) -> Tensor:
            asked.append((i, t))
            return cut(i, t)

        rank_tiles(grid, score, on_tile=lambda done, total: told.append((done, total)))
        every = [(i, t) for i in range(len(grid.image_tiles)) for t in range(len(grid.caption_tiles))]
        assert sorted(asked) == every
        assert told == [(done, len(every)) for done in range(1, len(every) + 1)]

    def test_by_hand(self) -> None:
        image_of = np.array([0, 0, 1, 1])
        matrix = torch.tensor([[0.5, 0.7, 0.9, 0.7], [0.5, 0.1, 0.2, 0.2]])
        ranks = rank_matrix(matrix, image_of)
        # image 0: best own 0.7, one above, one tied; image 1: best own 0.2 twice, one above
        assert [x.tolist() for x in ranks.i2t.counts] == [[1, 1], [1, 0], [1, 2]]
        # captions: 0 ties with image 1, 1 wins, 2 and 3 lose to image 0
        assert [x.tolist() for x in ranks.t2i.counts] == [[0, 0, 1, 1], [1, 0, 0, 0], [1, 1, 1, 1]]
        assert ranks.i2t.top_ids.tolist() == [[2, 1, 3, 0], [0, 2, 3, 1]]
        assert ranks.t2i.top_ids.tolist() == [[0, 1], [0, 1], [0, 1], [0, 1]]

    def test_a_constant_scorer_gets_chance(self) -> None:
        image_of = np.repeat(np.arange(9), 5)
        grid = build_grid(image_of, 9, tile_images=2, tile_captions=7)
        ranks = rank_tiles(grid, tiles_of(torch.full((9, 45), 0.25), grid))
        assert retrieval_metrics(ranks.i2t.counts, ranks.t2i.counts) == chance_metrics(image_of, 9)

    def test_differences_below_float32_count_in_double(self) -> None:
        matrix = torch.tensor([[1.0, 1.0 + 1e-12], [0.0, 1.0]], dtype=torch.float64)
        ranks = rank_matrix(matrix, np.array([0, 1]))
        assert [x.tolist() for x in ranks.i2t.counts] == [[1, 0], [0, 0], [1, 1]]
        assert [x.tolist() for x in ranks.t2i.counts] == [[0, 1], [0, 0], [1, 1]]

    def test_an_image_without_captions_is_behind_everything(self) -> None:
        """It stays in the denominator: no positive, so never a hit."""
        matrix = torch.tensor([[0.9, 0.8], [0.1, 0.2], [0.5, 0.3]])
        ranks = rank_matrix(matrix, np.array([0, 2]))
        assert [x.tolist() for x in ranks.i2t.counts] == [[0, 2, 1], [0, 0, 0], [1, 0, 1]]
        assert retrieval_metrics(ranks.i2t.counts, ranks.t2i.counts)["i2t.R@10"] == pytest.approx(200 / 3)

    def test_infinite_scores_have_ranks(self) -> None:
        inf = torch.inf
        matrix = torch.tensor([[-inf, inf, 0.0], [-inf, -inf, 1.0], [inf, 2.0, -inf]])
        assert_ranks(rank_matrix(matrix, np.array([0, 1, 2])), matrix, np.array([0, 1, 2]))

    @pytest.mark.parametrize(("image", "caption"), [(4, 9), (4, 1), (0, 0), (5, 2)])
    @pytest.mark.parametrize("gpu", [False, True])
    def test_nan_is_named_with_image_and_caption(
        self, image: int, caption: int, gpu: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if gpu:
            monkeypatch.setattr(tiles, "HostTally", on_device)
        matrix = torch.zeros(6, 12)
        matrix[image, caption] = torch.nan
        grid = build_grid(np.arange(12) // 2, 6, tile_images=2, tile_captions=3)
        with pytest.raises(NumericError, match=rf"NaN for image {image} and caption {caption} .*learning rate"):
            rank_tiles(grid, tiles_of(matrix, grid))

    def test_nan_of_a_repeated_caption_names_the_first_of_its_text(self) -> None:
        matrix = torch.zeros(2, 3)
        matrix[1, 0] = matrix[1, 2] = torch.nan
        grid = build_grid(np.array([0, 0, 1]), 2, tile_images=1, tile_captions=3, texts=["a", "b", "a"])
        with pytest.raises(NumericError, match="image 1 and caption 0 "):
            rank_tiles(grid, tiles_of(matrix, grid))


class TestTopLists:
    def test_hold_the_best_100(self) -> None:
        generator = torch.Generator().manual_seed(3)
        matrix = torch.randint(-20, 20, (7, 140), generator=generator).float()
        image_of = np.repeat(np.arange(7), 20)
        grid = build_grid(image_of, 7, tile_images=3, tile_captions=9)
        ranks = rank_tiles(grid, tiles_of(matrix, grid))
        assert ranks.i2t.top_ids.shape == ranks.i2t.top_scores.shape == (7, 100)
        assert ranks.t2i.top_ids.shape == (140, 7)
        assert (ranks.i2t.top_ids.dtype, ranks.i2t.top_scores.dtype) == (np.int32, np.float32)
        assert_ranks(ranks, matrix, image_of)

    def test_negative_and_tiny_scores_are_in_order(self) -> None:
        row = [-1e-45, -3e38, 1e-45, -1.0, 0.0, 3e38, -torch.inf, -1.5, 1.0, torch.inf]
        ranks = rank_matrix(torch.tensor([row]), np.zeros(10, dtype=np.int64))
        assert ranks.i2t.top_ids.tolist() == [[9, 5, 8, 2, 4, 0, 3, 7, 1, 6]]
        assert ranks.i2t.top_scores.tolist() == [torch.tensor(row)[torch.from_numpy(ranks.i2t.top_ids[0])].tolist()]

    @pytest.mark.parametrize("tile_captions", [1, 2, 4])
    def test_equal_scores_come_by_lower_id(self, tile_captions: int) -> None:
        """Minus zero is zero; and captions come sorted by length, not by id."""
        matrix = torch.tensor([[0.0, -0.0, 0.0, -0.0], [-0.0, 0.0, -0.0, 0.0]])
        grid = build_grid(
            np.array([0, 0, 1, 1]), 2, tile_images=1, tile_captions=tile_captions, lengths=np.array([5, 4, 3, 2])
        )
        ranks = rank_tiles(grid, tiles_of(matrix, grid))
        assert ranks.i2t.top_ids.tolist() == [[0, 1, 2, 3]] * 2
        assert ranks.t2i.top_ids.tolist() == [[0, 1]] * 4
        assert not np.signbit(ranks.i2t.top_scores).any()
        assert ranks.i2t.n.tolist() == [2, 2]
        assert ranks.t2i.n.tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("repeated", [False, True])
def test_the_whole_matrix_is_never_held(repeated: bool) -> None:
    """Alive together: one block's own tiles, those of captions that several blocks share, and the one at work."""
    n, each, tile_images, tile_captions = 40, 3, 4, 5
    image_of = np.repeat(np.arange(n), each)
    texts = list(range(n * each))
    if repeated:
        texts[::17] = [0] * len(texts[::17])
        texts[5::31] = [1] * len(texts[5::31])
    grid = build_grid(image_of, n, tile_images=tile_images, tile_captions=tile_captions, texts=texts)
    cut, alive, most = tiles_of(torch.arange(n * n * each).view(n, n * each).float()[:, texts], grid), 0, 0

    def forget(size: int) -> None:
        nonlocal alive
        alive -= size

    def score(i: int, t: int) -> Tensor:
        nonlocal alive, most
        tile = cut(i, t)
        alive += tile.numel()
        most = max(most, alive)
        weakref.finalize(tile, forget, tile.numel())
        return tile

    rank_tiles(grid, score)
    assert alive == 0
    assert len(grid.shared) == repeated
    assert most <= tile_images * tile_images * each + 2 * tile_images * tile_captions + 2 * n * repeated
    assert most < n * n * each / 20


class TestMatricesThatMakeNoSense:
    @pytest.mark.parametrize(
        ("shape", "dtype", "image_of"),
        [
            ((2, 3), torch.float32, [0, 1]),
            ((2, 3), torch.float32, [0, 1, 2]),
            ((2, 3), torch.float32, [0, -1, 1]),
            ((3, 2), torch.float32, [0, 0, 1]),
            ((2, 3), torch.int64, [0, 1, 1]),
            ((6,), torch.float32, [0, 1, 1]),
            ((2, 0), torch.float32, []),
        ],
    )
    def test_are_refused(self, shape: tuple[int, ...], dtype: torch.dtype, image_of: list[int]) -> None:
        with pytest.raises((DataError, TypeError), match=r"expected|Type-check"):
            rank_matrix(torch.zeros(shape, dtype=dtype), np.array(image_of, dtype=np.int64))


@pytest.mark.parametrize("own", [0.0, 1.0])
def test_one_caption_of_thousands_of_images_is_counted_in_full(own: float) -> None:
    """Every image but the first has a caption of the same words: each query's counts are larger than a byte's sums."""
    images = 2500
    image_of = np.arange(images)
    texts = ["first", *["same"] * (images - 1)]
    grid = build_grid(image_of, images, tile_images=images, tile_captions=images, texts=texts)
    row = torch.full((images, 1), 1.0)
    row[0] = own  # what the repeated caption scores with the first image, whose own caption scores 1
    matrix = torch.cat((torch.ones(images, 1), row.expand(-1, images - 1)), 1)
    ranks = rank_tiles(grid, tiles_of(matrix, grid))
    repeats = images - 1
    assert (ranks.i2t.b[0], ranks.i2t.n[0]) == (0, repeats if own == 1 else 0)
    assert (ranks.i2t.b[1], ranks.i2t.n[1]) == (0, repeats)
    assert (ranks.t2i.b[5], ranks.t2i.n[5]) == (0, images - 1 if own == 1 else images - 2)
    below = matrix.clone()
    below[0, 0] = -1.0
    assert rank_tiles(grid, tiles_of(below, grid)).i2t.b[0] == repeats
