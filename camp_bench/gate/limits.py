"""What is held and by how much it may fall: `--metric`, `--tolerance`, `--fail` and `--floor` as one frozen value."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from camp_bench.comparison.stats import metric_names
from camp_bench.errors import ConfigError, nearest
from camp_bench.ranking.metrics import RECALL_AT

__all__ = ["DEFAULT_ALPHA", "DEFAULT_SPEED", "DEFAULT_TOLERANCE", "METRICS", "Limits", "Tolerance", "parse_limits"]

METRICS: Final = metric_names(RECALL_AT)
"""What a gate can hold: means over images, whose error is known. Medians are not."""
DEFAULT_METRIC: Final = "rsum"
DEFAULT_TOLERANCE: Final = 1.0
DEFAULT_ALPHA: Final = 0.05
DEFAULT_SPEED: Final = 5.0
SPEED: Final = "speed"


class Tolerance(NamedTuple):
    """A drop that is tolerated: in points, or in percent of the baseline's value."""

    size: float
    percent: bool = False

    def points(self, baseline: float) -> float:
        """Return it in points."""
        return self.size * baseline / 100.0 if self.percent else self.size


@dataclass(frozen=True, slots=True)
class Limits:
    """tolerances: by metric, in the order asked for. floors: lowest values. speed_percent: of the speed-up.

    prove: a pass has to be proven, the upper bound of the drop being within the tolerance.
    """

    tolerances: dict[str, Tolerance] = field(default_factory=lambda: {DEFAULT_METRIC: Tolerance(DEFAULT_TOLERANCE)})
    floors: dict[str, float] = field(default_factory=dict)
    speed_percent: float = DEFAULT_SPEED
    alpha: float = DEFAULT_ALPHA
    prove: bool = False


def parse_limits(
    metrics: Sequence[str] = (),
    fails: Sequence[str] = (),
    floors: Sequence[str] = (),
    *,
    tolerance: float = DEFAULT_TOLERANCE,
    alpha: float = DEFAULT_ALPHA,
    prove: bool = False,
) -> Limits:
    """Return the limits that were asked for; ConfigError for what makes none.

    metrics: `rsum`, `i2t.R@1`, held with `tolerance` points. fails: `rsum:2`, `i2t.R@1:3%`, `speed:5%`, each with a
    tolerance of its own. floors: `i2t.R@1=20`. Without metrics and fails of recall, rsum alone is held.
    """
    if not 0 < alpha < 0.5:
        raise ConfigError(f"--alpha: got {alpha}, expected a level between 0 and 0.5, such as 0.05")
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise ConfigError(f"--tolerance: got {tolerance}, expected points, 0 or more")
    held = {_metric("--metric", name): Tolerance(tolerance) for name in metrics}
    speed: Tolerance | None = None
    own: set[str] = set()
    for text in fails:
        name, found = _split("--fail", text, ":", "rsum:2, i2t.R@1:3% or speed:5%")
        percent = found.endswith("%")
        limit = Tolerance(_number("--fail", text, found.removesuffix("%")), percent)
        if name == SPEED and not percent:
            raise ConfigError(f"--fail: got '{text}', expected a share of the speed-up, such as speed:5%")
        if name in own:
            raise ConfigError(f"--fail: {name} is given twice")
        own.add(name)
        if name == SPEED:
            speed = limit
        else:
            held[_metric("--fail", name, SPEED)] = limit
    lowest: dict[str, float] = {}
    for text in floors:
        name, found = _split("--floor", text, "=", "i2t.R@1=20")
        if _metric("--floor", name) in lowest:
            raise ConfigError(f"--floor: {name} is given twice")
        lowest[name] = _number("--floor", text, found)
    return Limits(
        tolerances=held or {DEFAULT_METRIC: Tolerance(tolerance)},
        floors=lowest,
        speed_percent=DEFAULT_SPEED if speed is None else speed.size,
        alpha=alpha,
        prove=prove,
    )


def _metric(option: str, name: str, *others: str) -> str:
    if name not in METRICS:
        known = (*METRICS, *others)
        raise ConfigError(f"{option}: got '{name}', expected one of {', '.join(known)}{nearest(name, known)}")
    return name


def _split(option: str, text: str, mark: str, example: str) -> tuple[str, str]:
    name, found, value = text.partition(mark)
    if not (found and name and value):
        raise ConfigError(f"{option}: got '{text}', expected e.g. {example}")
    return name.strip(), value.strip()


def _number(option: str, text: str, value: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d{1,9})?", value, flags=re.ASCII):
        raise ConfigError(f"{option}: got '{text}', expected a number, 0 or more, instead of '{value}'")
    return float(value)
