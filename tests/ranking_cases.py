"""Images and captions with many ties and repeated texts, as the tests of ranking draw them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st
from torch import Tensor

from camp_bench.ranking.grid import TileGrid, build_grid

Ints = npt.NDArray[np.int64]


@dataclass
class Case:
    """Images, captions (some of the same text), tile sizes, and scores that are small whole numbers."""

    image_of: Ints
    texts: list[int]
    lengths: Ints
    tile_images: int
    tile_captions: int
    matrix: Tensor

    def grid(self) -> TileGrid:
        return build_grid(
            self.image_of,
            len(self.matrix),
            tile_images=self.tile_images,
            tile_captions=self.tile_captions,
            lengths=self.lengths,
            texts=self.texts,
        )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    captions_of = draw(st.lists(st.integers(1, 4), min_size=1, max_size=7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    image_of = np.repeat(np.arange(len(captions_of), dtype=np.int64), captions_of)
    if draw(st.booleans()):
        image_of = rng.permutation(image_of)
    texts = rng.integers(0, draw(st.sampled_from([2, len(image_of), 1000])), len(image_of))
    values = rng.integers(-draw(st.integers(0, 9)), 3, (len(captions_of), 1000)).astype(np.float32)
    return Case(
        image_of,
        texts.tolist(),
        texts % 5 + 2,  # captions of one text are equally long
        draw(st.integers(1, 8)),
        draw(st.integers(1, 9)),
        torch.from_numpy(values[:, texts]),
    )
