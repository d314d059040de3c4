"""One row as the statistics see it: what its seeds give on average, by image and by resample."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from camp_bench.comparison.grouping import RowRuns
from camp_bench.comparison.loading import FinishedRun
from camp_bench.comparison.remarks import looks_of, repeated
from camp_bench.comparison.rows import LARGEST, Estimate, Scope
from camp_bench.comparison.stats import (
    PerImage,
    Sources,
    clustered_error,
    combined_error,
    error_sources,
    fold_mean,
    influences,
    metric_names,
    percentile_interval,
    shares,
    t_interval,
)
from camp_bench.ranking.metrics import median_rank

__all__ = ["Side", "estimates", "image_error", "sides_of", "sources_of"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """The mean over a row's runs.

    values: by metric, one a run. draws: by metric, (resamples,). shares, influences: (images, metrics), in the order of
    `metric_names`; recalls and rsum alone, since MedR is no mean. i2t_ranks: (images,); t2i_ranks: (captions,).
    interactions: the variance that what single seeds make of single images adds to each mean, in the order of
    `metric_names`; 0 for one seed.
    """

    label: str
    scope: Scope
    runs: tuple[FinishedRun, ...]
    names: tuple[str, ...]
    values: Mapping[str, tuple[float, ...]]
    draws: Mapping[str, Floats]
    shares: Floats
    influences: Floats
    i2t_ranks: Floats
    t2i_ranks: Floats
    interactions: Floats

    @property
    def fold_of(self) -> npt.NDArray[np.int64]:
        return self.runs[0].results.fold_of

    @property
    def group_of(self) -> npt.NDArray[np.int64] | None:
        return self.runs[0].results.group_of

    @property
    def images_df(self) -> int:
        """How many images, or groups of nearly the same ones, less one a fold."""
        drawn = len(self.fold_of)
        if self.group_of is not None:
            drawn = len(np.unique(np.stack([self.fold_of, self.group_of]), axis=1).T)
        return drawn - int(self.fold_of.max()) - 1

    @property
    def looks(self) -> int:
        return looks_of(self.runs)

    def value(self, metric: str) -> float:
        return statistics.fmean(self.values[metric])

    def interaction(self, metric: str) -> float:
        """Return what of the variance over images and that between seeds is the same; of MedR nothing is known."""
        return float(self.interactions[self.names.index(metric)]) if metric in self.names else 0.0


def sides_of(
    groups: Sequence[RowRuns[FinishedRun]], scopes: Sequence[Scope], draws: Mapping[str, Floats]
) -> list[Side]:
    """Return a side for each row. draws: of `bootstrap`, (runs, resamples), the runs of all rows in order."""
    sides = []
    start = 0
    for group, scope in zip(groups, scopes, strict=True):
        results = [run.results for run in group.runs]
        each = [_values(item) for item in results]
        moved = [influences(item) for item in results]
        own = slice(start, start + len(results))
        start = own.stop
        sides.append(
            Side(
                label=group.label,
                scope=scope,
                runs=group.runs,
                names=metric_names(results[0].ks),
                values={name: tuple(values[name] for values in each) for name in each[0]},
                draws={name: values[own].mean(axis=0) for name, values in draws.items()},
                shares=_mean([shares(item) for item in results]),
                influences=_mean(moved),
                interactions=_interactions(moved, results[0]),
                i2t_ranks=_mean([item.i2t_ranks for item in results]),
                t2i_ranks=_mean([item.t2i_ranks for item in results]),
            )
        )
    return sides


def estimates(side: Side, alpha: float) -> dict[str, Estimate]:
    """Return all metrics of a row with the intervals of its scope, for all looks at it together (Bonferroni)."""
    return {metric: _estimate(side, metric, alpha / side.looks) for metric in side.values}


def image_error(side: Side, metric: str, other: Side | None = None) -> float:
    """Return the standard error from the images: of a side's mean, or of its paired difference from another."""
    if metric not in side.names:  # MedR: the spread of its resamples
        draws = side.draws[metric] - (0.0 if other is None else other.draws[metric])
        return float(draws.std(ddof=1))
    column = side.names.index(metric)
    values = side.influences[:, [column]] - (0.0 if other is None else other.influences[:, [column]])
    return float(clustered_error(values, side.fold_of, side.group_of)[0])


def sources_of(side: Side, other: Side | None = None) -> Sources | None:
    """Return where the error of rsum, or of its paired difference, comes from; None for too few images to tell."""
    if side.images_df < 1:
        return None
    sides = [side] if other is None else [side, other]
    values = [one.values["rsum"] for one in sides]
    return error_sources(image_error(side, "rsum", other), [one.interaction("rsum") for one in sides], *values)


def _interactions(parts: Sequence[Floats], results: PerImage) -> Floats:
    """Return the variance of means over runs from what is left of single results. parts: (images, metrics) each."""
    if len(parts) < 2:
        return np.zeros(parts[0].shape[1])
    mean = _mean(parts)
    squares = sum(clustered_error(part - mean, results.fold_of, results.group_of) ** 2 for part in parts)
    return np.asarray(squares / (len(parts) - 1) / len(parts), dtype=np.float64)


def _estimate(side: Side, metric: str, alpha: float) -> Estimate:
    value, by_seed = side.value(metric), side.values[metric]
    low, high = None, None
    if side.images_df > 0:
        if side.scope == "method":
            error = combined_error(image_error(side, metric), side.images_df, [side.interaction(metric)], by_seed)
            low, high = _within(metric, t_interval(value, error, alpha))
        else:
            low, high = percentile_interval(side.draws[metric], alpha)
    sd = statistics.stdev(by_seed) if len(by_seed) > 1 and not repeated(side.runs) else None
    return Estimate(value=value, low=low, high=high, scope=side.scope, sd=sd, by_seed=by_seed)


def _within(metric: str, interval: tuple[float, float]) -> tuple[float, float]:
    """Return the part of an interval that the metric can take."""
    least, most = (1.0, float("inf")) if metric.endswith("MedR") else (0.0, LARGEST if metric == "rsum" else 100.0)
    return max(least, interval[0]), min(most, interval[1])


def _values(results: PerImage) -> dict[str, float]:
    """Return the run's own metrics, those of folds averaged."""
    means = fold_mean(shares(results), results.fold_of)
    found = {name: float(value) for name, value in zip(metric_names(results.ks), means, strict=True)}
    owners = results.fold_of[results.image_of]
    for way, ranks, fold_of in (("i2t", results.i2t_ranks, results.fold_of), ("t2i", results.t2i_ranks, owners)):
        folds = range(int(results.fold_of.max()) + 1)
        found[f"{way}.MedR"] = statistics.fmean(median_rank(ranks[fold_of == fold]) for fold in folds)
    return found


def _mean(arrays: Sequence[Floats]) -> Floats:
    return np.asarray(np.mean(arrays, axis=0), dtype=np.float64)
