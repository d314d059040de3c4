"""How the score matrix is cut: every caption once, positives in few tiles, tiles within a budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranking_cases import Case, cases

from camp_bench.errors import ConfigError
from camp_bench.ranking.grid import build_grid, fit_tile


class TestGrid:
    @given(cases())
    def test_every_caption_has_the_column_of_its_text(self, case: Case) -> None:
        grid = case.grid()
        answered: list[int] = []
        for columns, expand, answers in zip(grid.caption_tiles, grid.expand, grid.answers, strict=True):
            assert len(columns) <= case.tile_captions
            assert [case.texts[c] for c in columns[expand]] == [case.texts[c] for c in answers]
            answered.extend(answers.tolist())
        assert sorted(answered) == list(range(len(case.texts)))

    @given(cases())
    def test_captions_of_one_text_are_scored_once(self, case: Case) -> None:
        scored = [case.texts[c] for columns in case.grid().caption_tiles for c in columns]
        assert sorted(scored) == sorted(set(case.texts))

    @given(cases())
    def test_image_tiles_cut_the_images_in_order(self, case: Case) -> None:
        grid = case.grid()
        assert [image for rows in grid.image_tiles for image in rows] == list(range(len(case.matrix)))
        assert all(len(rows) == case.tile_images for rows in grid.image_tiles[:-1])
        assert grid.n_images == len(case.matrix)

    @given(cases())
    def test_positive_tiles_are_those_with_a_positive(self, case: Case) -> None:
        grid = case.grid()
        expected = {
            (i, t)
            for i, rows in enumerate(grid.image_tiles)
            for t, answers in enumerate(grid.answers)
            if any(case.image_of[c] in rows for c in answers)
        }
        found = grid.positive_tiles()
        assert len(found) == len(set(found))
        assert set(found) == expected

    def test_captions_lie_in_the_block_of_their_image_sorted_by_length(self) -> None:
        image_of, lengths = np.array([0, 1, 2, 3, 0, 1, 2, 3]), np.array([9, 2, 5, 5, 3, 2, 4, 8])
        grid = build_grid(image_of, 4, tile_images=2, tile_captions=3, lengths=lengths)
        assert [tile.tolist() for tile in grid.caption_tiles] == [[1, 5], [4, 0], [6, 2], [3, 7]]
        assert grid.positive_tiles() == [(0, 0), (0, 1), (1, 2), (1, 3)]

    def test_without_texts_every_caption_is_scored(self) -> None:
        grid = build_grid(np.array([0, 0, 1]), 2, tile_images=2, tile_captions=2)
        assert [tile.tolist() for tile in grid.caption_tiles] == [[0, 1], [2]]

    def test_a_text_of_several_blocks_is_scored_in_a_shared_tile(self) -> None:
        grid = build_grid(
            np.array([0, 0, 1, 2, 3, 3]), 4, tile_images=2, tile_captions=3, texts=["a", "b", "b", "c", "a", "c"]
        )
        assert [tile.tolist() for tile in grid.caption_tiles] == [[1], [3], [0]]
        assert [own.tolist() for own in grid.answers] == [[1, 2], [3, 5], [0, 4]]
        assert [columns.tolist() for columns in grid.expand] == [[0, 0], [0, 0], [0, 0]]
        assert (grid.own, grid.shared) == ((range(1), range(1, 2)), range(2, 3))
        assert grid.positive_tiles() == [(0, 0), (0, 2), (1, 1), (1, 2)]
        assert [index.tolist() for index in grid.positives_in(1, 2)] == [[1], [0], [4]]


class TestFitTile:
    @given(st.integers(1, 300), st.integers(1, 900), st.integers(1, 500), st.integers(1, 500), st.integers(200, 10**6))
    def test_fits_and_is_no_smaller_than_it_must(
        self, n_images: int, n_captions: int, tile_images: int, tile_captions: int, budget: int
    ) -> None:
        each = -(-n_captions // n_images)

        def needed(images: int, captions: int) -> int:
            return 50 * images * captions + 4 * images * each * images

        if needed(1, 1) > budget:
            return
        images, captions = fit_tile(
            n_images,
            n_captions,
            tile_images=tile_images,
            tile_captions=tile_captions,
            tile_bytes=lambda images, captions: 50 * images * captions,
            budget_bytes=budget,
        )
        wanted = min(tile_images, n_images), min(tile_captions, n_captions)
        assert 1 <= images <= wanted[0]
        assert 1 <= captions <= wanted[1]
        assert needed(images, captions) <= budget
        if (images, captions) != wanted:
            assert needed(min(2 * images, wanted[0]), min(2 * captions, wanted[1])) > budget

    def test_a_budget_for_no_pair_is_refused_with_one_that_does(self) -> None:
        def fit(budget: int) -> tuple[int, int]:
            return fit_tile(
                9, 9, tile_images=4, tile_captions=4, tile_bytes=lambda i, c: 1000 * i * c, budget_bytes=budget // 2
            )

        with pytest.raises(ConfigError, match=r"too few for one pair, .*pass --memory-budget 2009B or more"):
            fit(1000)
        assert fit(2009) == (1, 1)

    @pytest.mark.parametrize(("of_images", "of_captions", "fitted"), [(10_000, 0, (32, 160)), (0, 10_000, (64, 40))])
    def test_the_side_that_takes_the_memory_gives_way(
        self, of_images: int, of_captions: int, fitted: tuple[int, int]
    ) -> None:
        size = fit_tile(
            64,
            160,
            tile_images=64,
            tile_captions=320,
            tile_bytes=lambda images, captions: of_images * images + of_captions * captions,
            budget_bytes=450_000,
        )
        assert size == fitted
