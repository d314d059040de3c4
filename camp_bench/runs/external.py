"""What another system wrote, and how it ranks images and captions by it: scores, vectors, or top lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from camp_bench.config import require_text
from camp_bench.data.dataset import Split
from camp_bench.data.foreign_runs import TopList, read_run
from camp_bench.data.matrices import Matrix, array_file, open_matrix, require_shape
from camp_bench.errors import ConfigError, DataError
from camp_bench.models.registry import variants
from camp_bench.ranking.lists import rank_lists
from camp_bench.ranking.matrix import rank_stored
from camp_bench.ranking.tiles import TOP, Ranks
from camp_bench.ranking.vectors import rank_embeddings

__all__ = ["ExternalSource", "Ranker", "files_of", "make_ranker"]

Ints = npt.NDArray[np.int64]
OnTile = Callable[[int, int], None]
CHOICES = (("scores",), ("images", "captions"), ("scores-i2t", "scores-t2i"), ("run-i2t", "run-t2i"))
CHUNK = 4096
"""Rows that are compared at a time to see that they repeat."""


@dataclass(frozen=True, slots=True)
class ExternalSource:
    """What a system wrote, in files of the formats of `data.matrices`.

    scores: (images, captions). images, captions: one vector each. scores_i2t, scores_t2i: where each direction has
    scores of its own, (images, captions) and (captions, images). run_i2t, run_t2i: top lists, as TREC's lines or ranx's
    JSON. Rows and columns are in the order of the split; images count once, however its file holds them, and a row a
    caption is taken once an image as well. measure: between vectors. lower_is_better: scores are distances.
    transductive: whether other test queries were used, by a score normalised over all of them, say.
    """

    name: str
    scores: Path | None = None
    images: Path | None = None
    captions: Path | None = None
    scores_i2t: Path | None = None
    scores_t2i: Path | None = None
    run_i2t: Path | None = None
    run_t2i: Path | None = None
    measure: Literal["cosine", "dot"] = "cosine"
    lower_is_better: bool = False
    transductive: bool = False
    seed: int = 0


def files_of(source: ExternalSource) -> dict[str, Path]:
    """Return the files by what they are; ConfigError where they or the name make no sense."""
    require_text("name", source.name)
    if source.name in {name for variant in variants() for name in (variant.name, variant.name.partition(":")[0])}:
        raise ConfigError(
            f"name: '{source.name}' is a model of camp-bench; expected another name, such as my-{source.name}"
        )
    given = {what: getattr(source, what.replace("-", "_")) for choice in CHOICES for what in choice}
    files = {what: file for what, file in given.items() if file is not None}
    if tuple(files) not in CHOICES:
        told = " and ".join(f"--{what}" for what in files) or "none"
        raise ConfigError(
            f"files: got {told}; expected --scores alone, or --images and --captions together, --scores-i2t and "
            f"--scores-t2i, or --run-i2t and --run-t2i"
        )
    if source.lower_is_better and "images" in files:
        raise ConfigError("--lower-is-better: is about scores, and vectors are compared here; leave it out")
    return files


@runtime_checkable
class Ranker(Protocol):
    """Ranks some images and captions of a split."""

    def rank(self, images: Ints, captions: Ints, image_of: Ints, top: int, ends: bool, on_tile: OnTile) -> Ranks:
        """Return ranks. images, captions: by number; image_of: the place among those images of each caption.
        top, ends: as in `rank_tiles`; top lists don't know what ties beyond their end.
        """

    def pairs(self, images: Ints, captions: Ints) -> npt.NDArray[np.float32] | None:
        """Return the score of each pair (images[i], captions[i]), or None where it isn't known."""


def make_ranker(source: ExternalSource, split: Split, budget: int) -> Ranker:
    """Return what ranks by the files; DataError where they can't be read or don't fit the split."""
    if source.scores is not None:
        scores = _Scores(source.scores, split, budget, source.lower_is_better)
        return _Matrices(scores, scores)
    if source.scores_i2t is not None and source.scores_t2i is not None:
        i2t = _Scores(source.scores_i2t, split, budget, source.lower_is_better)
        return _Matrices(i2t, _Scores(source.scores_t2i, split, budget, source.lower_is_better, of_captions=True))
    if source.run_i2t is not None and source.run_t2i is not None:
        sides = read_run(source.run_i2t, split, "i2t"), read_run(source.run_t2i, split, "t2i")
        return _Lists(*(_signed(side, source.lower_is_better) for side in sides))
    assert source.images is not None  # as `files_of` has made sure
    assert source.captions is not None
    return _Vectors(source.images, source.captions, split, source.measure, budget)


def _signed(lists: Sequence[TopList], lower_is_better: bool) -> list[TopList]:
    return [replace(found, scores=-found.scores) if lower_is_better else found for found in lists]


def _rows_of_images(array: Matrix, split: Split, file: Path) -> Ints:
    """Return (images,) the row of each image, where the array has one an image or one a caption."""
    if len(array) == split.n_images:
        return np.arange(split.n_images, dtype=np.int64)
    _, first = np.unique(split.image_of, return_index=True)
    rows: Ints = first.astype(np.int64)
    for start in range(0, len(array), CHUNK):
        mine = np.asarray(array[start : start + CHUNK])
        other = np.asarray(array[rows[split.image_of[start : start + CHUNK]]])
        if not np.array_equal(mine, other, equal_nan=True):
            row = start + int((mine != other).any(axis=1).argmax())
            raise DataError(
                f"{file}: has a row a caption, and row {row} isn't that of the image's first caption, row "
                f"{rows[split.image_of[row]]}; expected equal rows for the captions of an image, or one row an image"
            )
    return rows


class _Scores:
    """A score matrix. of_captions: given as (captions, images), and turned."""

    def __init__(
        self, text: Path, split: Split, budget: int, lower_is_better: bool, *, of_captions: bool = False
    ) -> None:
        file, _ = array_file(text)
        array = open_matrix(text, "scores")
        n, m = split.n_images, split.n_captions
        if of_captions and array.shape != (n, m):
            require_shape(array, file, (m,), (n,))
            array = array.T
        elif array.shape != (m, m):  # a row a caption
            require_shape(array, file, (n,), (m,))
        self.rows = _rows_of_images(array, split, file)
        self.array, self._budget, self.sign = array, budget, lower_is_better

    def rank(self, images: Ints, captions: Ints, image_of: Ints, top: int, ends: bool, on_tile: OnTile) -> Ranks:
        return rank_stored(
            self.array,
            image_of,
            images=self.rows[images],
            captions=captions,
            memory_budget=self._budget,
            lower_is_better=self.sign,
            top=top,
            ends=ends,
            on_tile=on_tile,
        )


class _Matrices:
    """A score matrix a direction, or one for both."""

    def __init__(self, i2t: _Scores, t2i: _Scores) -> None:
        self._i2t, self._t2i = i2t, t2i

    def rank(self, images: Ints, captions: Ints, image_of: Ints, top: int, ends: bool, on_tile: OnTile) -> Ranks:
        one = self._i2t.rank(images, captions, image_of, top, ends, on_tile)
        if self._t2i is self._i2t:
            return one
        return Ranks(i2t=one.i2t, t2i=self._t2i.rank(images, captions, image_of, top, ends, on_tile).t2i)

    def pairs(self, images: Ints, captions: Ints) -> npt.NDArray[np.float32] | None:
        scores = np.asarray(self._i2t.array[self._i2t.rows[images], captions], dtype=np.float32)
        return -scores if self._i2t.sign else scores


class _Vectors:
    """A vector an image and a caption."""

    def __init__(
        self, images: Path, captions: Path, split: Split, measure: Literal["cosine", "dot"], budget: int
    ) -> None:
        file, _ = array_file(images)
        array = open_matrix(images, "images")
        if len(array) != split.n_captions:  # a row a caption
            require_shape(array, file, (split.n_images,), ())
        rows = _rows_of_images(array, split, file)
        self._images = array if len(array) == split.n_images else array[rows]
        self._captions = open_matrix(captions, "captions")
        require_shape(self._captions, array_file(captions)[0], (split.n_captions,), ())
        self._measure, self._budget = measure, budget

    def rank(self, images: Ints, captions: Ints, image_of: Ints, top: int, ends: bool, on_tile: OnTile) -> Ranks:
        whole = len(images) == len(self._images)
        return rank_embeddings(
            self._images if whole else self._images[images],
            self._captions if whole else self._captions[captions],
            image_of,
            measure=self._measure,
            memory_budget=self._budget,
            top=top,
            ends=ends,
            on_tile=on_tile,
        )

    def pairs(self, images: Ints, captions: Ints) -> npt.NDArray[np.float32] | None:
        one = np.asarray(self._images[images], dtype=np.float32)
        other = np.asarray(self._captions[captions], dtype=np.float32)
        scores = (one * other).sum(axis=1)
        if self._measure == "cosine":
            scores = scores / (np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1))
        return np.asarray(scores, dtype=np.float32)


class _Lists:
    """Top lists a direction."""

    def __init__(self, i2t: Sequence[TopList], t2i: Sequence[TopList]) -> None:
        self._i2t, self._t2i = i2t, t2i

    def rank(self, images: Ints, captions: Ints, image_of: Ints, top: int, ends: bool, on_tile: OnTile) -> Ranks:  # noqa: ARG002 (what ties beyond a list isn't known)
        if (len(images), len(captions)) != (len(self._i2t), len(self._t2i)):
            raise ConfigError("--run-i2t: top lists are of the whole split; expected a protocol that ranks all at once")
        own: list[list[int]] = [[] for _ in range(len(images))]
        for caption, image in enumerate(image_of.tolist()):
            own[image].append(caption)
        sides = []
        for names, lists, true, candidates in (
            ("image", self._i2t, own, len(captions)),
            ("caption", self._t2i, [[image] for image in image_of.tolist()], len(images)),
        ):
            pairs = [(found.candidates, found.scores) for found in lists]
            sides.append(rank_lists(pairs, true, candidates, names=names, top=max(top, TOP))[0])
            on_tile(len(sides), 2)
        return Ranks(i2t=sides[0], t2i=sides[1])

    def pairs(self, images: Ints, captions: Ints) -> None:  # noqa: ARG002 (a list doesn't know every pair)
        return None
