"""Whether intervals cover and tests err as often as they say, on simulated test sets whose captions share an image.

Every simulation draws 1,000 images with five captions each; what is checked is the library's own functions. The
figures are printed (`pytest -s`).
"""

from __future__ import annotations

import numpy as np
import pytest

from camp_bench.comparison.stats import (
    PerImage,
    clustered_error,
    combined_error,
    influences,
    percentile_interval,
    shares,
    sign_flip_p,
    t_interval,
    t_p_value,
)
from camp_bench.comparison.stats.resampling import bootstrap
from camp_bench.ranking.metrics import RECALL_AT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

IMAGES, CAPTIONS, SIMULATIONS = 1000, 5, 5000
IMAGE_OF = np.repeat(np.arange(IMAGES), CAPTIONS)
LEVELS = np.array([-0.3, 0.8, 1.3])
"""How much easier R@1, R@5 and R@10 are: about 40, 75 and 88 % in the units of the difficulties below."""
SHARED, OWN = 0.8, 0.6
"""Standard deviation of what an image's queries share under all models, and of what a model makes of a query."""


def simulated(rng: np.random.Generator, hard: np.ndarray, quality: float) -> PerImage:
    """Return a model's results on images that are `hard`; quality moves all recalls together."""
    liking = rng.normal(size=IMAGES) * 0.5  # what one model makes of an image and all its captions

    def hits(owner: np.ndarray) -> np.ndarray:
        score = quality - SHARED * hard[owner] + liking[owner] + OWN * rng.normal(size=len(owner))
        return (score[:, None] + LEVELS > 0).astype(np.float64)

    t2i = hits(IMAGE_OF).reshape(IMAGES, CAPTIONS, 3).sum(axis=1)
    return PerImage(
        ks=RECALL_AT,
        i2t_hits=hits(np.arange(IMAGES)),
        t2i_hits=t2i,
        captions=np.full(IMAGES, CAPTIONS),
        i2t_ranks=np.ones(IMAGES),
        t2i_ranks=np.ones(len(IMAGE_OF)),
        image_of=IMAGE_OF,
        fold_of=np.zeros(IMAGES, dtype=np.int64),
    )


def rsum(run: PerImage) -> np.ndarray:
    return shares(run)[:, -1]


def true_rsum(quality: float) -> float:
    """Return the rsum over endless images: each hit is a normal variable above 0."""
    from scipy.stats import norm

    return float(200 * norm.cdf((quality + LEVELS) / np.sqrt(SHARED**2 + 0.25 + OWN**2)).sum())


def points_per_quality() -> float:
    """Return how many points of rsum a unit of quality is worth around 0."""
    return (true_rsum(0.01) - true_rsum(-0.01)) / 0.02


def test_sign_flips_at_scope_checkpoints_err_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    by_image = []
    for _ in range(SIMULATIONS):
        hard = rng.normal(size=IMAGES)
        a, b = simulated(rng, hard, 0.0), simulated(rng, hard, 0.0)
        by_image.append(rsum(a) - rsum(b))
    p = sign_flip_p(np.stack(by_image, axis=1), np.zeros(IMAGES, dtype=np.int64), rng=rng, permutations=4999)
    rate = float((p < 0.05).mean())
    print(f"\nscope checkpoints: p < 0.05 in {rate:.2%} of {SIMULATIONS} null simulations (rsum)")
    assert 0.04 <= rate <= 0.06


def test_ignoring_the_clustering_errs_more_often() -> None:
    from scipy.stats import norm

    rng = np.random.default_rng(2)
    clustered, naive = [], []
    for _ in range(SIMULATIONS):
        hard = rng.normal(size=IMAGES)
        a, b = simulated(rng, hard, 0.0), simulated(rng, hard, 0.0)
        difference = (a.t2i_hits[:, 0] - b.t2i_hits[:, 0]) / CAPTIONS
        clustered.append(difference.mean() / (difference.std(ddof=1) / np.sqrt(IMAGES)))
        # The captions' own spread if they were independent: hits are 0 or 1, so rates of each side are all it takes.
        rates = [side.t2i_hits[:, 0].sum() / len(IMAGE_OF) for side in (a, b)]
        spread = np.sqrt(sum(rate * (1 - rate) for rate in rates) / len(IMAGE_OF))
        naive.append(difference.mean() / spread)
    found = [float((2 * norm.sf(np.abs(z)) < 0.05).mean()) for z in (clustered, naive)]
    print(f"\nt2i R@1: p < 0.05 in {found[0]:.2%} by image, in {found[1]:.2%} with captions as independent")
    assert 0.04 <= found[0] <= 0.06
    assert found[1] > found[0] + 0.02


def test_bootstrap_intervals_cover() -> None:
    rng = np.random.default_rng(3)
    truth, covered, of_difference = true_rsum(0.0), 0, 0
    count = 2000
    for _ in range(count):
        hard = rng.normal(size=IMAGES)
        runs = [simulated(rng, hard, 0.0), simulated(rng, hard, 0.1)]
        draws = bootstrap(runs, rng=rng, resamples=1000, medians=False)["rsum"]
        low, high = percentile_interval(draws[0])
        covered += low <= truth <= high
        low, high = percentile_interval(draws[1] - draws[0])
        of_difference += low <= true_rsum(0.1) - truth <= high
    rates = covered / count, of_difference / count
    print(f"\nbootstrap: 95 % intervals cover {rates[0]:.2%} (rsum) and {rates[1]:.2%} (difference) of {count}")
    assert 0.935 <= rates[0] <= 0.965
    assert 0.935 <= rates[1] <= 0.965


def interaction(parts: list[np.ndarray]) -> float:
    """Return the variance that seed x image adds to a mean over runs. parts: (images,) of each run."""
    left = np.array(parts) - np.mean(parts, axis=0) - np.mean(parts, axis=1, keepdims=True) + np.mean(parts)
    return float((left**2).sum() / (len(parts) - 1) / (IMAGES - 1) / IMAGES / len(parts))


@pytest.mark.parametrize("seeds", [(3, 3), (5, 5), (10, 10), (3, 10)])
@pytest.mark.parametrize(("sd", "tails"), [(0.0, "normal"), (2.0, "normal"), (5.0, "normal"), (3.0, "heavy")])
def test_scope_method_errs_no_more_than_it_says(seeds: tuple[int, int], sd: float, tails: str) -> None:
    """Beside it the form that counts seed x image with images and with seeds, which errs less than it says."""
    rng = np.random.default_rng([4, int(sd), *seeds])
    spread = sd / points_per_quality()
    fold_of = np.zeros(IMAGES, dtype=np.int64)
    count, errors, twice = 1500, 0, 0
    for _ in range(count):
        hard = rng.normal(size=IMAGES)
        draws = [rng.standard_t(3, n) / np.sqrt(3) if tails == "heavy" else rng.normal(size=n) for n in seeds]
        parts = [[influences(simulated(rng, hard, spread * one))[:, -1] for one in own] for own in draws]
        moved = [np.mean(own, axis=0) for own in parts]
        values = [[float(part.mean()) for part in own] for own in parts]
        image_se = float(clustered_error((moved[0] - moved[1])[:, None], fold_of)[0])
        difference = float(np.mean(values[0]) - np.mean(values[1]))
        for both in (True, False):
            held = [interaction(own) if both else 0.0 for own in parts]
            wrong = t_p_value(difference, combined_error(image_se, IMAGES - 1, held, *values)) < 0.05
            errors, twice = errors + (both and wrong), twice + (not both and wrong)
    print(
        f"\nscope method, seeds' sd {sd:g} rsum ({tails}), {seeds[0]} against {seeds[1]}: p < 0.05 in "
        f"{errors / count:.2%} of {count}; {twice / count:.2%} where seed x image counts twice"
    )
    assert errors / count <= 0.07
    assert errors >= twice


def test_intervals_of_a_method_cover_its_mean() -> None:
    rng = np.random.default_rng(5)
    spread, count, covered = 3.0 / points_per_quality(), 2000, 0
    qualities = np.random.default_rng(6).normal(0.0, spread, size=4000)
    truth = float(np.mean([true_rsum(quality) for quality in qualities]))
    for _ in range(count):
        hard = rng.normal(size=IMAGES)
        side = [simulated(rng, hard, quality) for quality in rng.normal(0.0, spread, size=3)]
        parts = [influences(run)[:, -1] for run in side]
        values = [float(rsum(run).mean()) for run in side]
        image_se = float(clustered_error(np.mean(parts, axis=0)[:, None], np.zeros(IMAGES, dtype=np.int64))[0])
        error = combined_error(image_se, IMAGES - 1, [interaction(parts)], values)
        low, high = t_interval(float(np.mean(values)), error)
        covered += low <= truth <= high
    print(f"\nscope method, one row of 3 seeds, sd 3: 95 % intervals cover {covered / count:.2%} of {count}")
    assert covered / count >= 0.93
