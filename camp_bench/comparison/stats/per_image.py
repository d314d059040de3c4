"""What each image contributes to each metric, so that any statistic by image is a sum over rows.

i2t R@K is a mean over images; t2i R@K is a ratio, hits over captions, of sums over images. Under a protocol with folds
a metric is the mean of the folds' own. rsum is the sum of R@1, 5 and 10 both ways, whatever other K are asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from camp_bench.errors import DataError
from camp_bench.ranking.metrics import RECALL_AT, Counts, expected_rank, hit_at

__all__ = [
    "PerImage",
    "clustered_error",
    "fold_mean",
    "grouped_sums",
    "influences",
    "metric_names",
    "per_image",
    "shares",
    "with_shared_groups",
]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PerImage:
    """One run's results by image.

    ks: the K of each column, R@1, 5 and 10 among them.
    i2t_hits: (images, ks), the image's own hit, 0 to 1.
    t2i_hits: (images, ks), hits summed over the image's captions. captions: (images,), how many it has.
    i2t_ranks: (images,), t2i_ranks: (captions,), expected ranks. image_of: (captions,), the image of each caption.
    fold_of: (images,), which fold each image is ranked in, 0 to F - 1.
    group_of: (images,), a number that images which are nearly the same share; None where all are independent.
    """

    ks: tuple[int, ...]
    i2t_hits: Floats
    t2i_hits: Floats
    captions: npt.NDArray[np.int64]
    i2t_ranks: Floats
    t2i_ranks: Floats
    image_of: npt.NDArray[np.int64]
    fold_of: npt.NDArray[np.int64]
    group_of: npt.NDArray[np.int64] | None = None

    @property
    def n_images(self) -> int:
        return len(self.i2t_ranks)

    @property
    def folds(self) -> list[npt.NDArray[np.int64]]:
        """Return the images of each fold."""
        return [np.flatnonzero(self.fold_of == fold) for fold in range(int(self.fold_of.max()) + 1)]


def per_image(
    i2t: tuple[Counts, Counts, Counts],
    t2i: tuple[Counts, Counts, Counts],
    image_of: Counts,
    *,
    ks: Sequence[int] = RECALL_AT,
    folds: Sequence[npt.NDArray[np.integer[Any]]] | None = None,
    groups: Counts | None = None,
) -> PerImage:
    """Return a run's results by image, from b, n, p of each query.

    i2t: three (images,) arrays; t2i: three (captions,) arrays; folds: the images of each, None for one fold of all;
    groups: (images,), equal for images that are nearly the same.
    R@1, 5 and 10 are added to ks where missing. Raises DataError where these don't belong together.
    """
    images, captions = len(i2t[0]), len(t2i[0])
    if not images or not captions or {len(part) for part in (*i2t, *t2i)} - {images, captions}:
        raise DataError(f"per-query counts: got {[len(part) for part in (*i2t, *t2i)]} of them, expected one a query")
    owner = np.asarray(image_of, dtype=np.int64)
    if len(owner) != captions or owner.min() < 0 or owner.max() >= images:
        raise DataError(f"image_of: expected {captions:,} numbers from 0 to {images - 1:,}, one a caption")
    if any(int(part.min()) < 0 for part in (*i2t, *t2i)):
        raise DataError("per-query counts: got negative ones, expected 0 or more")
    fold_of = np.full(images, 0 if folds is None else -1, dtype=np.int64)
    for number, members in enumerate(folds or ()):
        fold_of[members] = number
    if groups is not None and len(groups) != images:
        raise DataError(f"groups: expected {images:,} numbers, one an image, got {len(groups):,}")
    own = np.bincount(owner, minlength=images)
    counted = np.bincount(fold_of[owner] + 1, minlength=int(fold_of.max()) + 2)
    if fold_of.min() < 0 or (counted[1:] == 0).any():
        raise DataError("folds: expected each image in one fold, and captions in every fold")
    every = tuple(sorted({*RECALL_AT, *ks}))
    found = [hit_at(k, *t2i) for k in every]
    return PerImage(
        ks=every,
        i2t_hits=np.stack([hit_at(k, *i2t) for k in every], axis=1),
        t2i_hits=np.stack([np.bincount(owner, weights=hits, minlength=images) for hits in found], axis=1),
        captions=own.astype(np.int64),
        i2t_ranks=expected_rank(*i2t),
        t2i_ranks=expected_rank(*t2i),
        image_of=owner,
        fold_of=fold_of,
        group_of=None if groups is None or len(np.unique(groups)) == images else np.asarray(groups, dtype=np.int64),
    )


def metric_names(ks: Sequence[int]) -> tuple[str, ...]:
    """Return the names of `shares`' columns: i2t.R@K, then t2i.R@K, in the order of ks, then rsum."""
    return (*(f"{direction}.R@{k}" for direction in ("i2t", "t2i") for k in ks), "rsum")


def shares(run: PerImage) -> Floats:
    """Return (images, metrics) in percent: what each image brings, a caption counting the same whichever image has it.

    The mean within each fold, averaged over folds, is the metric (`fold_mean`). Swapping two runs' rows of an image is
    what a permutation test does.
    """
    return _with_rsum(run.ks, np.concatenate([run.i2t_hits, run.t2i_hits / _mean_captions(run)], axis=1) * 100.0)


def influences(run: PerImage) -> Floats:
    """Return (images, metrics) in percent: the same means as `shares`, linearised for standard errors.

    t2i R@K is hits over captions, and both vary where images have different numbers of captions: to first order an
    image moves the ratio r by (hits - r captions) / mean captions. With equal numbers these are the shares.
    """
    mean = _mean_captions(run)
    ratio = np.empty_like(run.t2i_hits)
    for members in run.folds:
        ratio[members] = run.t2i_hits[members].sum(axis=0) / run.captions[members].sum()
    moved = ratio + (run.t2i_hits - ratio * run.captions[:, None]) / mean
    return _with_rsum(run.ks, np.concatenate([run.i2t_hits, moved], axis=1) * 100.0)


def fold_mean(values: Floats, fold_of: npt.NDArray[np.int64]) -> Floats:
    """Return the mean over folds of the means over their images. values: (images, columns)."""
    folds = range(int(fold_of.max()) + 1)
    return np.asarray(np.mean([values[fold_of == fold].mean(axis=0) for fold in folds], axis=0), dtype=np.float64)


def clustered_error(
    values: Floats, fold_of: npt.NDArray[np.int64], group_of: npt.NDArray[np.int64] | None = None
) -> Floats:
    """Return the standard error of `fold_mean`, the images of each fold drawn at random; (columns,).

    values: (images, columns), `influences` of a run or the difference of two runs' (which makes it paired). group_of:
    as in `PerImage`; then groups are what is drawn. NaN where a fold has fewer than two images or groups.
    """
    variances = []
    for fold in range(int(fold_of.max()) + 1):
        members = values[fold_of == fold]
        centred = members - members.mean(axis=0)
        if group_of is not None:
            centred = grouped_sums(centred, group_of[fold_of == fold])
        drawn = np.float64(len(centred))
        with np.errstate(divide="ignore", invalid="ignore"):
            variances.append((centred**2).sum(axis=0) * drawn / (drawn - 1) / len(members) ** 2)
    return np.asarray(np.sqrt(np.sum(variances, axis=0)) / len(variances), dtype=np.float64)


def with_shared_groups(runs: Sequence[PerImage]) -> list[PerImage]:
    """Return the runs with one grouping of images for all: what is nearly the same to any of them is so for all.

    Runs on the same images differ in this where their features do, or where a record is too old to say.
    """
    known = [run.group_of for run in runs if run.group_of is not None]
    if not known:
        return list(runs)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    images = runs[0].n_images
    rows = np.tile(np.arange(images), len(known))
    ends = [np.unique(groups, return_index=True, return_inverse=True) for groups in known]
    columns = np.concatenate([first[place] for _, first, place in ends])
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, columns)), shape=(images, images))
    group_of = connected_components(graph, directed=False)[1].astype(np.int64)
    return [dataclasses.replace(run, group_of=group_of) for run in runs]


def grouped_sums(values: Floats, group_of: npt.NDArray[np.int64]) -> Floats:
    """Return the sum of the rows of each group, (groups, columns), groups in the order of their numbers."""
    numbers, place = np.unique(group_of, return_inverse=True)
    sums = np.zeros((len(numbers), *values.shape[1:]))
    np.add.at(sums, place, values)
    return sums


def _mean_captions(run: PerImage) -> Floats:
    """Return (images, 1): how many captions an image of the same fold has on average."""
    mean = np.empty((run.n_images, 1))
    for members in run.folds:
        mean[members] = run.captions[members].mean()
    return mean


def _with_rsum(ks: tuple[int, ...], values: Floats) -> Floats:
    summed = [column for column, k in enumerate((*ks, *ks)) if k in RECALL_AT]
    return np.concatenate([values, values[:, summed].sum(axis=1, keepdims=True)], axis=1)
