"""Resampling by image: the bootstrap of all metrics at once, and sign flips between two sides.

Same seed, same digits, whatever the thread count: a matrix product's last bits depend on the order in which BLAS adds,
so both factors are made multiples of a power of two that is coarse enough for every partial sum to be exact. Hits
without ties are whole numbers anyway; others are rounded by less than 1e-8 of a hit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from camp_bench.comparison.stats.per_image import PerImage, grouped_sums, metric_names
from camp_bench.errors import DataError
from camp_bench.ranking.metrics import RECALL_AT

__all__ = ["RESAMPLES", "bootstrap", "sign_flip_p"]

RESAMPLES: Final = 10_000
CHUNK_CELLS = 1 << 20
"""Resamples are drawn in chunks of that many image weights: 8 MB."""
MEDIAN_ERRORS = 6.0
"""Medians are looked for within so many standard errors of the sample's; beyond, one by one."""
SAME = 1e-9
"""Two statistics in percentage points that are nearer than this are a tie."""

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


def bootstrap(
    runs: Sequence[PerImage], *, rng: np.random.Generator, resamples: int = RESAMPLES, medians: bool = True
) -> dict[str, Floats]:
    """Return metrics of resampled test sets by name, (runs, resamples) each: recalls in percent, MedR, rsum.

    Images, or groups of nearly the same ones, are drawn with replacement within their fold and bring all their
    captions. All runs, both directions and all metrics share each resample, so that differences and sums have honest
    intervals.
    Raises DataError where the runs aren't about the same images and captions.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.ks != first.ks or any(
            not np.array_equal(getattr(run, name), getattr(first, name))
            for name in ("image_of", "fold_of", "captions", "group_of")
        ):
            raise DataError("bootstrap: the runs differ in images, captions or folds; they can't share a resample")
    width = len(first.ks)
    ways = ("i2t", "t2i") if medians else ()
    recalls = np.zeros((len(runs), 2 * width, resamples))
    middles = {way: np.zeros((len(runs), resamples)) for way in ways}
    folds = first.folds
    plans = [_FoldPlan(runs, members, ways) for members in folds]
    for start, stop in _chunks(resamples, first.n_images):
        for plan in plans:
            weights = _draw(rng, stop - start, plan.size)
            drawn = weights @ plan.images, weights @ plan.captions
            sums = (weights @ plan.hits).reshape(stop - start, len(runs), 2, width)
            for half in (0, 1):
                part = sums[:, :, half].transpose(1, 2, 0) * 100.0 / np.maximum(drawn[half], 1)
                recalls[:, half * width : (half + 1) * width, start:stop] += part / len(folds)
            for way in ways:
                for number in range(len(runs)):
                    middles[way][number, start:stop] += plan.median(way, number, weights) / len(folds)
    summed = [column for column, k in enumerate((*first.ks, *first.ks)) if k in RECALL_AT]
    found = {name: recalls[:, column] for column, name in enumerate(metric_names(first.ks)[:-1])}
    found["rsum"] = recalls[:, summed].sum(axis=1)
    return found | {f"{way}.MedR": values for way, values in middles.items()}


def sign_flip_p(
    differences: Floats,
    fold_of: Counts,
    group_of: Counts | None = None,
    *,
    rng: np.random.Generator,
    permutations: int = RESAMPLES,
) -> Floats:
    """Return two-sided p-values, (columns,), of the hypothesis that each image is as likely to favour either side.

    differences: (images, columns), two sides' `shares` subtracted; the statistic is their `fold_mean`. A permutation
    flips the sign of whole images, or of groups of nearly the same ones, the same for all columns.
    p = (b + 1) / (B + 1), b counting permutations that are at least as far from 0 as what was observed (Phipson and
    Smyth, 2010).
    """
    folds = [np.flatnonzero(fold_of == fold) for fold in range(int(fold_of.max()) + 1)]
    parts = [_exact(differences[members], float(np.abs(differences[members]).sum(axis=0).max())) for members in folds]
    if group_of is not None:  # sums of what is exact are exact
        parts = [grouped_sums(part, group_of[members]) for part, members in zip(parts, folds, strict=True)]
    sizes = [len(members) * len(folds) for members in folds]
    observed = np.abs(sum(part.sum(axis=0) / size for part, size in zip(parts, sizes, strict=True)))
    beaten = np.zeros(differences.shape[1], dtype=np.int64)
    for start, stop in _chunks(permutations, len(differences)):
        total = np.zeros((stop - start, differences.shape[1]))
        for part, size in zip(parts, sizes, strict=True):
            bits = rng.integers(0, 256, size=(stop - start, -(-len(part) // 8)), dtype=np.uint8)
            signs = np.unpackbits(bits, axis=1, count=len(part)).astype(np.float64) * 2.0 - 1.0
            total += (signs @ part) / size
        beaten += (np.abs(total) >= observed - SAME).sum(axis=0)
    return np.asarray((beaten + 1) / (permutations + 1), dtype=np.float64)


class _FoldPlan:
    """What doesn't change from resample to resample in one fold."""

    def __init__(self, runs: Sequence[PerImage], members: Counts, ways: Sequence[str]) -> None:
        group_of = runs[0].group_of
        numbers = members if group_of is None else group_of[members]
        drawn, place_of = np.unique(numbers, return_inverse=True)
        self.size = len(drawn)
        self.images = np.bincount(place_of).astype(np.float64)
        self.captions = np.bincount(place_of, weights=runs[0].captions[members])
        hits = np.concatenate([np.concatenate([run.i2t_hits, run.t2i_hits], axis=1)[members] for run in runs], axis=1)
        self.hits = grouped_sums(_exact(hits, len(members) * float(max(1.0, hits.max() * self.images.max()))), place_of)
        place = np.full(runs[0].n_images, -1, dtype=np.int64)
        place[members] = place_of
        self._medians: dict[str, list[_MedianPlan]] = {way: [] for way in ways}
        for way, own in self._medians.items():
            for run in runs:
                owners = place if way == "i2t" else place[run.image_of]
                inside = owners >= 0
                ranks = run.i2t_ranks if way == "i2t" else run.t2i_ranks
                own.append(_MedianPlan(ranks[inside], owners[inside], self.size))

    def median(self, way: str, run: int, weights: Floats) -> Floats:
        return self._medians[way][run](weights)


class _MedianPlan:
    """The floor of the median rank when queries are weighted by how often their image was drawn."""

    def __init__(self, ranks: Floats, owners: Counts, images: int) -> None:
        self.values, place = np.unique(ranks, return_inverse=True)
        self.place, self.owners = place, owners
        self.own = np.bincount(owners, minlength=images).astype(np.float64)
        below = np.bincount(owners, weights=(ranks <= np.median(ranks)) - 0.5, minlength=images)
        half = MEDIAN_ERRORS * max(1.0, float(np.sqrt((below**2).sum())))
        counted = np.cumsum(np.bincount(place))
        middle = len(ranks) / 2
        self.low = max(0, int(np.searchsorted(counted, middle - half)) - 1)
        high = min(int(np.searchsorted(counted, middle + half)), len(self.values) - 1)
        # (images, columns): how many of an image's queries rank at or before each value from `low` on
        columns = np.clip(place - self.low, 0, None)
        inside = columns <= high - self.low
        cells = owners[inside] * (high - self.low + 1) + columns[inside]
        table = np.bincount(cells, minlength=images * (high - self.low + 1)).reshape(images, -1)
        self.table = np.cumsum(table, axis=1).astype(np.float64)

    def __call__(self, weights: Floats) -> Floats:
        total = weights @ self.own
        counted = weights @ self.table  # whole numbers, so exact
        targets = np.floor((total - 1) / 2), np.floor(total / 2)
        found = []
        for target in targets:
            column = (counted <= target[:, None]).sum(axis=1)
            found.append(self.values[np.minimum(self.low + column, len(self.values) - 1)])
        median = np.floor((found[0] + found[1]) / 2)
        # The first column also counts whatever ranks before it: a median found there may lie before the window.
        outside = ((counted[:, 0] > targets[0]) & (self.low > 0)) | (counted[:, -1] <= targets[1])
        for row in np.flatnonzero(outside & (total > 0)):
            median[row] = self._one(weights[row])
        return np.asarray(median, dtype=np.float64)

    def _one(self, weights: Floats) -> float:
        drawn = weights[self.owners].astype(np.int64)
        return float(np.floor(np.median(np.repeat(self.values[self.place], drawn))))


def _draw(rng: np.random.Generator, resamples: int, images: int) -> Floats:
    """Return (resamples, images): how often each image is drawn when as many are drawn as there are."""
    drawn = rng.integers(0, images, size=(resamples, images))
    drawn += np.arange(resamples)[:, None] * images
    return np.bincount(drawn.ravel(), minlength=resamples * images).reshape(resamples, images).astype(np.float64)


def _chunks(total: int, images: int) -> Iterator[tuple[int, int]]:
    step = max(1, CHUNK_CELLS // images)
    for start in range(0, total, step):
        yield start, min(start + step, total)


def _exact(values: npt.NDArray[np.floating[Any]], bound: float) -> Floats:
    """Return values as multiples of a power of two, so that sums of size up to `bound` are exact in float64."""
    scale = 2.0 ** (51 - math.ceil(math.log2(max(bound, 1.0))))
    return np.asarray(np.round(values * scale) / scale, dtype=np.float64)
