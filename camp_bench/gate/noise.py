"""How far a difference between runs moves by chance: which images are in the test set, and which seeds were drawn.

    SE^2 = SE_image^2 + sigma_seed^2 (1/n_a + 1/n_b)

for means over n_a runs of one side and n_b of the other. SE_image is paired by query and clustered by image. sigma_seed
is the spread that seeds have beyond what single images explain: s^2 between the baseline's seeds less the mean square
of what is left of an image's results when its own and the run's mean are taken off, over the number of images (the
variance component of a two-way table). Subtracting is needed because SE_image holds that part already.

Under five seeds an estimate alone would be a guess. It is pooled with a published variance, undiminished, each by its
degrees of freedom. But other data and settings than the published ones spread otherwise, and no pooling mends that: at
twice the published deviation a test at 0.05 errs in 13 to 18 of 100 (`tests/gate/test_calibration.py`). So a second
spread stands beside the first, with the published deviation taken twice and never less than what was measured. What is
sure under the first alone can't be judged.

Degrees of freedom after Satterthwaite (1946), with s^2 and not the smaller sigma_seed^2 in the seeds' term: where the
subtraction takes too much, the quantile of t is the wider one.
"""

from __future__ import annotations

import dataclasses
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

__all__ = [
    "DOUBT",
    "ENOUGH_SEEDS",
    "SeedNoise",
    "difference_error",
    "expected_image_variance",
    "image_parts",
    "seed_noise",
]

ENOUGH_SEEDS: Final = 5
PUBLISHED: Final = {"vsepp": (2.7, "VSE++"), "scan": (2.1, "SCAN i2t AVG")}
"""By family: standard deviation of rsum between 10 seeds on Flickr30K's 1,000 test images, as published with
https://github.com/WangFei-2019/Image-text-Retrieval."""
WIDEST: Final = 5.4
"""The largest there, VSRN's, for families that nothing is published of."""
PUBLISHED_SEEDS: Final = 10
DOUBT: Final = 2.0
"""How many times as far as published seeds may spread before a verdict without measured ones errs too often."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SeedNoise:
    """Variance between seeds by metric (in the order of METRICS), in squared points.

    component: what seeds add to what single images explain. total: with that, as the t quantile takes it.
    degrees_of_freedom: of `total`. source: where it comes from, in words. doubted: the same where seeds may spread
    DOUBT times as far as published, None where the spread is measured.
    """

    component: Floats
    total: Floats
    degrees_of_freedom: Floats
    source: str
    doubted: SeedNoise | None = None

    @property
    def deciding(self) -> SeedNoise:
        """What a verdict rests on."""
        return self if self.doubted is None else self.doubted


def image_parts(window: Window, run: WindowRun) -> tuple[Floats, PerImage]:
    """Return what each image contributes to each of METRICS, (images, metrics) in points, and its table."""
    folds = fold_images(find_protocol(window.protocol), window.images, window.captions, window.split)
    table = per_image(run.i2t, run.t2i, window.image_of, folds=folds if len(folds) > 1 else None)
    return influences(table), table


def seed_noise(window: Window) -> SeedNoise:
    """Return the spread between seeds: measured with five runs or more, else pooled with a published one."""
    parts, fold_of = _parts(window)
    measured = _measured(window, parts, fold_of)
    if len(parts) >= ENOUGH_SEEDS:
        return measured
    family = window.model.partition(":")[0]
    deviation, name = PUBLISHED.get(family, (WIDEST, "VSRN"))
    widest = "" if family in PUBLISHED else f", the widest, as none is published of {family}"
    told = f"{deviation} rsum ({name}, {PUBLISHED_SEEDS} seeds on Flickr30K{widest})"
    found = f"{math.sqrt(measured.total[-1]):.1f} between the baseline's {len(parts)} seeds, pooled with the published "
    source = f"{found if len(parts) > 1 else 'published, '}{told}; {ENOUGH_SEEDS} seeds would measure it"
    published = deviation**2 * _shares_of_rsum(parts, fold_of)
    doubted = _pooled(measured, DOUBT**2 * published, source)
    above = measured.total > doubted.total
    return dataclasses.replace(
        _pooled(measured, published, source),
        doubted=SeedNoise(
            np.where(above, measured.component, doubted.component),
            np.where(above, measured.total, doubted.total),
            np.where(above, measured.degrees_of_freedom, doubted.degrees_of_freedom),
            source,
        ),
    )


def _measured(window: Window, parts: Sequence[Floats], fold_of: npt.NDArray[Any]) -> SeedNoise:
    """Return the spread between a window's runs; nothing, without degrees of freedom, for a single run."""
    source = f"measured between the baseline's {len(parts)} seeds"
    if len(parts) == 1:
        nothing = np.zeros(len(METRICS))
        return SeedNoise(nothing, nothing, nothing, source)
    values = np.array([[run.metrics[name] for name in METRICS] for run in window.runs])
    total = values.var(axis=0, ddof=1)
    component = np.maximum(total - _interaction(parts, fold_of), 0.0)
    return SeedNoise(component, total, np.full(len(METRICS), len(parts) - 1.0), source)


def _pooled(measured: SeedNoise, published: Floats, source: str) -> SeedNoise:
    """Return measured and published variance, each weighed by its degrees of freedom."""
    own = measured.degrees_of_freedom
    both = own + PUBLISHED_SEEDS - 1.0
    parts = (own * part + (PUBLISHED_SEEDS - 1.0) * published for part in (measured.component, measured.total))
    component, total = (part / both for part in parts)
    return SeedNoise(component, total, both, source)


def _shares_of_rsum(parts: Sequence[Floats], fold_of: npt.NDArray[Any]) -> Floats:
    """Return what part of rsum's variance between seeds each of METRICS gets, rsum itself all of it.

    Of single metrics nothing is published. Each gets the share that its own variance over images has in the sum of the
    six. As the six rise and fall together, these shares are rather too large than too small.
    """
    over_images = clustered_error(np.mean(parts, axis=0), fold_of) ** 2
    whole = over_images[:-1].sum()
    share = over_images / whole if whole else np.full(len(METRICS), 1.0 / (len(METRICS) - 1))
    share[-1] = 1.0
    return np.asarray(share, dtype=np.float64)


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
    doubt = image_variance**2 / images_df + (float(noise.total[at]) * runs) ** 2 / float(noise.degrees_of_freedom[at])
    return Error(math.sqrt(variance), variance**2 / doubt if doubt else float(images_df))


def _parts(window: Window) -> tuple[list[Floats], npt.NDArray[np.int64]]:
    found = [image_parts(window, run) for run in window.runs]
    return [part for part, _ in found], found[0][1].fold_of


def _interaction(parts: Sequence[Floats], fold_of: npt.NDArray[Any]) -> Floats:
    """Return the mean square of what is left of the images' results, over the number of images: (metrics,)."""
    mean = np.mean(parts, axis=0)
    squares = sum(clustered_error(part - mean, fold_of) ** 2 for part in parts)
    return np.asarray(squares / (len(parts) - 1), dtype=np.float64)
