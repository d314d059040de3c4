"""How likely the gate is to catch a drop of a given size, with a baseline's test set and a number of runs.

The standard error is the gate's own (`noise`), taken from the baseline before any new run exists: what a new run would
add is what the baseline's runs differ by among themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from camp_bench.comparison.stats import Error
from camp_bench.config.protocols import find_protocol
from camp_bench.errors import ConfigError, RecordError
from camp_bench.gate.baseline import Window
from camp_bench.gate.limits import METRICS, Limits
from camp_bench.gate.noise import difference_error, expected_image_variance, seed_noise

__all__ = ["GatePower", "PowerRow", "gate_power"]

LIKELY = 0.8
QUANTILES = 2000
"""Points at which the unknown standard error is averaged over."""


@dataclass(frozen=True, slots=True)
class PowerRow:
    """One metric. se_image, se_seed: parts of the error of a drop, in points.

    chance: that the gate calls a true drop of the size asked for `regressed`. catches: the drop that it calls so with
    probability LIKELY.
    """

    metric: str
    tolerance: float
    se_image: float
    se_seed: float
    chance: float
    catches: float


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
        image_variance = float(each[METRICS.index(name)]) * share
        error = difference_error(image_variance, noise, name, share, baseline.images - folds)
        tolerance = asked.points(baseline.mean(name))
        rows.append(
            PowerRow(
                metric=name,
                tolerance=tolerance,
                se_image=image_variance**0.5,
                se_seed=max(error.se**2 - image_variance, 0.0) ** 0.5,
                chance=_chance(drop, tolerance, error, level),
                catches=_catches(tolerance, error, level),
            )
        )
    return GatePower(
        tuple(rows), drop, runs, len(baseline.runs), limits.alpha, noise.source, at_least=len(baseline.runs) == 1
    )


def _chance(drop: float, tolerance: float, error: Error, level: float) -> float:
    """Return P(observed > tolerance and observed > t SE'), the observed drop normal about the true one.

    SE' is the error that the gate will estimate: SE times the root of a chi-squared over its degrees of freedom.
    """
    from scipy.stats import chi2, norm, t

    if error.se == 0.0:
        return float(drop > tolerance)
    middles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    estimates = error.se * np.sqrt(chi2.ppf(middles, error.df) / error.df)
    needed = np.maximum(tolerance, t.ppf(1 - level, error.df) * estimates)
    return float(norm.sf((needed - drop) / error.se).mean())


def _catches(tolerance: float, error: Error, level: float) -> float:
    """Return the drop that is caught with probability LIKELY, to a hundredth of a point."""
    low, high = 0.0, tolerance + 1.0
    while _chance(high, tolerance, error, level) < LIKELY:
        low, high = high, 2 * high
    while high - low > 0.005:
        middle = (low + high) / 2
        low, high = (middle, high) if _chance(middle, tolerance, error, level) < LIKELY else (low, middle)
    return high
