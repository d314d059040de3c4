"""How likely the gate is to catch a drop of a given size, with a baseline's test set and a number of runs.

The gate's own limits (`noise`) are taken from the baseline before any new run exists: what a new run would add is what
the baseline's runs differ by among themselves. Given the baseline, the gate's estimate of the seeds' variance is known
and the variance itself isn't: it is averaged over, as its degrees of freedom tell how far it may be from the estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camp_bench.config.protocols import find_protocol
from camp_bench.errors import ConfigError, RecordError
from camp_bench.gate.baseline import Window
from camp_bench.gate.limits import METRICS, Limits
from camp_bench.gate.noise import difference_error, expected_image_variance, seed_noise

__all__ = ["GatePower", "PowerRow", "gate_power"]

LIKELY = 0.8
QUANTILES = 2000
"""Points at which the unknown variance between seeds is averaged over."""
ALIKE = (0.0, 0.25, 0.5, 1.0)
"""Parts of the images' variance that two runs may differ by where one run alone tells; the worst of these counts."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PowerRow:
    """One metric. se_image, se_seed: parts of the error of a drop, in points, as the seeds' spread is estimated.

    chance: that the gate calls a true drop of the size asked for `regressed`. catches: the drop that it calls so with
    probability LIKELY. chance_doubled: that chance if seeds spread twice as far as published, None where measured.
    """

    metric: str
    tolerance: float
    se_image: float
    se_seed: float
    chance: float
    catches: float
    chance_doubled: float | None = None


@dataclass(frozen=True, slots=True)
class GatePower:
    """rows: one for each metric. source: of the spread between seeds. at_least: the chances are lower bounds."""

    rows: tuple[PowerRow, ...]
    drop: float
    runs: int
    baseline_runs: int
    alpha: float
    source: str
    at_least: bool


def gate_power(baseline: Window, drop: float, limits: Limits, *, runs: int = 1) -> GatePower:
    """Return how likely `runs` new runs of a method that lost `drop` points fail the gate, metric by metric.

    Where several metrics are held each is judged at alpha over their number, the first and hardest step of Holm's
    procedure. With one baseline run nothing tells how alike two runs treat the images, so the chances are lower bounds.
    Raises ConfigError for a drop or a number of runs that makes no sense.
    """
    if not 0 < drop <= 600:
        raise ConfigError(f"--drop: got {drop}, expected points above 0, such as 2.0")
    if not 1 <= runs <= 1000:
        raise ConfigError(f"--runs: got {runs}, expected 1 or more")
    folds = find_protocol(baseline.protocol).folds
    if baseline.images <= folds:
        raise RecordError(f"power: {baseline.images} images in {folds} fold(s) tell nothing of others; expected more")
    noise = seed_noise(baseline)
    each = expected_image_variance(baseline)
    share = 1 / len(baseline.runs) + 1 / runs
    level = limits.alpha / len(limits.tolerances)
    rows = []
    for name, asked in limits.tolerances.items():
        at = METRICS.index(name)
        tolerance = asked.points(baseline.mean(name))
        seeds = float(noise.component[at]) * share
        unknown = seeds * _unknown(float(noise.degrees_of_freedom[at]))
        chances, catches, doubled = [], [], []
        for part in ALIKE if len(baseline.runs) == 1 else (1.0,):
            images = part * float(each[at]) * share
            decided = difference_error(images, noise.deciding, name, share, baseline.images - folds)
            needed = max(tolerance, _quantile(level, decided.df) * decided.se)
            chances.append(_chance(drop, needed, images + unknown))
            catches.append(_catches(needed, images + unknown))
            if noise.doubted is not None:
                doubled.append(_chance(drop, needed, np.array([images + float(noise.doubted.component[at]) * share])))
        rows.append(
            PowerRow(
                metric=name,
                tolerance=tolerance,
                se_image=(float(each[at]) * share) ** 0.5,
                se_seed=seeds**0.5,
                chance=min(chances),
                catches=max(catches),
                chance_doubled=min(doubled, default=None),
            )
        )
    return GatePower(
        tuple(rows), drop, runs, len(baseline.runs), limits.alpha, noise.source, at_least=len(baseline.runs) == 1
    )


def _quantile(level: float, df: float) -> float:
    from scipy.stats import t

    return float(t.ppf(1 - level, df))


def _unknown(df: float) -> Floats:
    """Return what a variance may be in parts of an estimate with `df` degrees of freedom, all equally likely."""
    from scipy.stats import chi2

    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    return np.asarray(df / chi2.ppf(middles, df), dtype=np.float64)


def _chance(drop: float, needed: float, variances: Floats) -> float:
    """Return P(observed > needed), the observed drop normal about the true one with each of the variances in turn."""
    from scipy.stats import norm

    if not variances.all():
        return float(drop > needed)
    return float(norm.sf((needed - drop) / np.sqrt(variances)).mean())


def _catches(needed: float, variances: Floats) -> float:
    """Return the drop that is caught with probability LIKELY, to a hundredth of a point."""
    low, high = 0.0, needed + 1.0
    while _chance(high, needed, variances) < LIKELY:
        low, high = high, 2 * high
    while high - low > 0.005:
        middle = (low + high) / 2
        low, high = (middle, high) if _chance(middle, needed, variances) < LIKELY else (low, middle)
    return high
