"""How far a difference between runs moves by chance: which images are in the test set, and which seeds were drawn.

    SE^2 = SE_image^2 + sigma_seed^2 (1/n_a + 1/n_b)

for means over n_a runs of one side and n_b of the other. SE_image is paired by query and clustered by image. sigma_seed
is the spread that seeds have beyond what single images explain: s^2 between the baseline's seeds less the mean square
of what is left of an image's results when its own and the run's mean are taken off, over the number of images (the
variance component of a two-way table). Subtracting is needed because SE_image holds that part already. Under five
seeds an estimate would be a guess, so a published spread stands in for it, undiminished.

Degrees of freedom after Satterthwaite (1946), with s^2 and not the smaller sigma_seed^2 in the seeds' term: where the
subtraction takes too much, the quantile of t is the wider one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from camp_bench.comparison.stats import Error, PerImage, clustered_error, influences, per_image
from camp_bench.config.protocols import find_protocol, fold_images
from camp_bench.gate.baseline import Window, WindowRun
from camp_bench.gate.limits import METRICS

__all__ = ["ENOUGH_SEEDS", "SeedNoise", "difference_error", "expected_image_variance", "image_parts", "seed_noise"]

ENOUGH_SEEDS: Final = 5
PUBLISHED: Final = {"vsepp": (2.7, "VSE++"), "scan": (2.1, "SCAN i2t AVG")}
"""By family: standard deviation of rsum between 10 seeds on Flickr30K's 1,000 test images, as published with
https://github.com/WangFei-2019/Image-text-Retrieval."""
WIDEST: Final = 5.4
"""The largest there, VSRN's, for families that nothing is published of."""
PUBLISHED_SEEDS: Final = 10

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SeedNoise:
    """Variance between seeds by metric (in the order of METRICS), in squared points.

    component: what seeds add to what single images explain. total: with that, as the t quantile takes it.
    degrees_of_freedom: of `total`. source: where it comes from, in words.
    """

    component: Floats
    total: Floats
    degrees_of_freedom: float
    source: str


def image_parts(window: Window, run: WindowRun) -> tuple[Floats, PerImage]:
    """Return what each image contributes to each of METRICS, (images, metrics) in points, and its table."""
    folds = fold_images(find_protocol(window.protocol), window.images, window.captions, window.split)
    table = per_image(run.i2t, run.t2i, window.image_of, folds=folds if len(folds) > 1 else None)
    return influences(table), table


def seed_noise(window: Window) -> SeedNoise:
    """Return the spread between seeds of a window of five runs or more, a published one for fewer."""
    parts, fold_of = _parts(window)
    if len(parts) >= ENOUGH_SEEDS:
        values = np.array([[run.metrics[name] for name in METRICS] for run in window.runs])
        total = values.var(axis=0, ddof=1)
        component = np.maximum(total - _interaction(parts, fold_of), 0.0)
        return SeedNoise(component, total, len(parts) - 1.0, f"measured between the baseline's {len(parts)} seeds")
    family = window.model.partition(":")[0]
    deviation, name = PUBLISHED.get(family, (WIDEST, "VSRN"))
    because = f"the baseline has {len(parts)} seed{'s' * (len(parts) > 1)}, {ENOUGH_SEEDS} would do"
    widest = "" if family in PUBLISHED else f", the widest, as none is published of {family}"
    source = f"published, {deviation} rsum ({name}, {PUBLISHED_SEEDS} seeds on Flickr30K{widest}; {because})"
    # Of single metrics nothing is published. Each gets the share of rsum's variance that its own variance over images
    # has in the sum of the six. As the six rise and fall together, these shares are rather too large than too small.
    over_images = clustered_error(np.mean(parts, axis=0), fold_of) ** 2
    whole = over_images[:-1].sum()
    share = over_images / whole if whole else np.full(len(METRICS), 1.0 / (len(METRICS) - 1))
    share[-1] = 1.0
    variance = deviation**2 * share
    return SeedNoise(variance, variance, PUBLISHED_SEEDS - 1.0, source)


def expected_image_variance(window: Window) -> Floats:
    """Return what one run of the same method adds to SE_image^2 of a comparison, by metric.

    From how differently the window's runs treat the same images; for a single run, as if another one treated them
    independently, which is the most it can be.
    """
    parts, fold_of = _parts(window)
    if len(parts) > 1:
        return _interaction(parts, fold_of)
    return np.asarray(clustered_error(parts[0], fold_of) ** 2)


def difference_error(image_variance: float, noise: SeedNoise | None, metric: str, runs: float, images_df: int) -> Error:
    """Return the standard error of a difference of means and its degrees of freedom.

    runs: 1/n_a + 1/n_b. noise: None where both sides have the same weights.
    """
    at = METRICS.index(metric)
    seeds = 0.0 if noise is None else float(noise.component[at]) * runs
    variance = image_variance + seeds
    if noise is None or variance == 0.0:
        return Error(math.sqrt(variance), float(images_df))
    doubt = image_variance**2 / images_df + (float(noise.total[at]) * runs) ** 2 / noise.degrees_of_freedom
    return Error(math.sqrt(variance), variance**2 / doubt if doubt else float(images_df))


def _parts(window: Window) -> tuple[list[Floats], npt.NDArray[np.int64]]:
    found = [image_parts(window, run) for run in window.runs]
    return [part for part, _ in found], found[0][1].fold_of


def _interaction(parts: Sequence[Floats], fold_of: npt.NDArray[Any]) -> Floats:
    """Return the mean square of what is left of the images' results, over the number of images: (metrics,)."""
    mean = np.mean(parts, axis=0)
    squares = sum(clustered_error(part - mean, fold_of) ** 2 for part in parts)
    return np.asarray(squares / (len(parts) - 1), dtype=np.float64)
