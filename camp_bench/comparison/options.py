"""What a comparison is asked to do, checked before anything is read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from camp_bench.comparison.rows import all_metrics
from camp_bench.comparison.stats import ADJUSTMENTS, RESAMPLES
from camp_bench.errors import ConfigError, nearest
from camp_bench.ranking.metrics import RECALL_AT

__all__ = ["CompareOptions"]

TESTED = ("rsum", "i2t.R@1", "t2i.R@1")
"""Tested where nothing else is asked for: each further metric costs power, as the correction counts it."""
LARGEST_K = 1000
MOST_RESAMPLES = 1_000_000


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """How to compare.

    metrics: those to show and test, None for all and for rsum and R@1 both ways. ks: the K of R@K. alpha: level of
    tests, and intervals cover 1 - alpha. sort: a metric (best first), "model" or "none" (as given). reference: only
    pairs with this row, a label or model. rope: differences within plus or minus this many points count as equal.
    models: only these rows. split: only this one. scope: "auto" takes `method` for rows of three seeds or more.
    published: add the papers' rows. adjust: p-values for their number, "holm" or "bh" (Benjamini and Hochberg).
    """

    metrics: tuple[str, ...] | None = None
    ks: tuple[int, ...] = RECALL_AT
    alpha: float = 0.05
    sort: str = "rsum"
    reference: str | None = None
    rope: float | None = None
    models: tuple[str, ...] | None = None
    split: str | None = None
    scope: str = "auto"
    published: bool = False
    adjust: str = "holm"
    resamples: int = RESAMPLES
    seed: int = 0

    def checked(self) -> CompareOptions:
        """Return these options, ks sorted; ConfigError names the first that makes no sense."""
        if not self.ks or not all(1 <= k <= LARGEST_K for k in self.ks):
            raise ConfigError(f"--k: got {_listed(self.ks)}, expected numbers from 1 to {LARGEST_K}, such as 1,5,10")
        if not 0 < self.alpha < 0.5:
            raise ConfigError(f"--alpha: got {self.alpha}, expected a number above 0 and below 0.5, such as 0.05")
        if self.rope is not None and not (self.rope > 0 and math.isfinite(self.rope)):
            raise ConfigError(f"--rope: got {self.rope}, expected percentage points above 0, such as 1.0")
        if not 100 <= self.resamples <= MOST_RESAMPLES:
            raise ConfigError(f"--resamples: got {self.resamples}, expected 100 to {MOST_RESAMPLES:,}")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"--seed: got {self.seed}, expected 0 to {2**32 - 1}")
        if self.scope not in ("auto", "checkpoints", "method"):
            raise ConfigError(f"--scope: got '{self.scope}', expected auto, checkpoints or method")
        if self.adjust not in ADJUSTMENTS:
            raise ConfigError(f"--adjust: got '{self.adjust}', expected one of {', '.join(ADJUSTMENTS)}")
        known = self.known()
        for option, names, more in (("--metrics", self.metrics or (), ()), ("--sort", (self.sort,), ("model", "none"))):
            for name in names:
                if name not in (*known, *more):
                    raise ConfigError(
                        f"{option}: got '{name}', expected {'one' if more else 'some'} of {', '.join((*known, *more))}"
                        f"{nearest(name, (*known, *more))}"
                    )
        return dataclasses.replace(self, ks=tuple(sorted(set(self.ks))))

    def known(self) -> tuple[str, ...]:
        """Return the metrics there are, whether shown or not."""
        return all_metrics(tuple(sorted({*RECALL_AT, *self.ks})))

    def shown(self) -> tuple[str, ...]:
        """Return the metrics of rows, in the order of columns."""
        if self.metrics is None:
            return all_metrics(self.ks)
        return tuple(name for name in self.known() if name in self.metrics)

    def tested(self) -> tuple[str, ...]:
        """Return the metrics of pairs."""
        return tuple(name for name in (self.metrics or TESTED) if name in self.known())


def _listed(values: Sequence[object]) -> str:
    return ",".join(map(str, values)) or "none"
