"""Statistics of retrieval metrics: what each image contributes, resampling by image, tests and intervals.

The unit is the image. An image brings all its captions, which are not independent of each other, so nothing here
resamples, permutes or counts captions by themselves where it says how sure a figure is.
"""

from __future__ import annotations

from camp_bench.comparison.stats.inference import (
    ADJUSTMENTS,
    Error,
    Sources,
    benjamini_hochberg,
    combined_error,
    error_sources,
    holm,
    mcnemar_mid_p,
    percentile_interval,
    probability_of_improvement,
    rank_biserial,
    rope_verdict,
    t_interval,
    t_p_value,
    wilcoxon_p,
    wins_ties_losses,
)
from camp_bench.comparison.stats.per_image import (
    PerImage,
    clustered_error,
    fold_mean,
    influences,
    metric_names,
    per_image,
    shares,
    with_shared_groups,
)
from camp_bench.comparison.stats.resampling import RESAMPLES, bootstrap, sign_flip_p

__all__ = [
    "ADJUSTMENTS",
    "RESAMPLES",
    "Error",
    "PerImage",
    "Sources",
    "benjamini_hochberg",
    "bootstrap",
    "clustered_error",
    "combined_error",
    "error_sources",
    "fold_mean",
    "holm",
    "influences",
    "mcnemar_mid_p",
    "metric_names",
    "per_image",
    "percentile_interval",
    "probability_of_improvement",
    "rank_biserial",
    "rope_verdict",
    "shares",
    "sign_flip_p",
    "t_interval",
    "t_p_value",
    "wilcoxon_p",
    "wins_ties_losses",
    "with_shared_groups",
]
