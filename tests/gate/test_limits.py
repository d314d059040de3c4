"""What is held, from options: every slip is one line."""

from __future__ import annotations

import pytest

from camp_bench.errors import ConfigError
from camp_bench.gate.limits import METRICS, Limits, Tolerance, parse_limits


def test_rsum_alone_is_held_by_default() -> None:
    assert parse_limits() == Limits({"rsum": Tolerance(1.0)}, {}, 5.0, 0.05)
    assert METRICS == ("i2t.R@1", "i2t.R@5", "i2t.R@10", "t2i.R@1", "t2i.R@5", "t2i.R@10", "rsum")


def test_metrics_share_the_tolerance_and_fails_bring_their_own() -> None:
    found = parse_limits(["rsum", "i2t.R@1"], ["i2t.R@1:3%", "t2i.R@5:2", "speed:10%"], ["rsum=96"], tolerance=0.5)
    assert found.tolerances == {"rsum": Tolerance(0.5), "i2t.R@1": Tolerance(3.0, True), "t2i.R@5": Tolerance(2.0)}
    assert found.floors == {"rsum": 96.0}
    assert found.speed_percent == 10.0


def test_percent_is_of_the_baseline() -> None:
    assert Tolerance(2.0, percent=True).points(150.0) == 3.0
    assert Tolerance(2.0).points(150.0) == 2.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["rsun"]}, r"--metric: got 'rsun', expected one of .*rsum \(did you mean 'rsum'\?\)"),
        ({"metrics": ["i2t.MedR"]}, "--metric: got 'i2t.MedR'"),
        ({"fails": ["rsum"]}, "--fail: got 'rsum', expected e.g. rsum:2"),
        ({"fails": ["rsum:"]}, "--fail: got 'rsum:'"),
        ({"fails": ["rsum:two"]}, "expected a number, 0 or more, instead of 'two'"),
        ({"fails": ["rsum:-1"]}, "instead of '-1'"),
        ({"fails": ["rsum:nan"]}, "instead of 'nan'"),
        ({"fails": ["rsum:inf%"]}, "instead of 'inf'"),
        ({"fails": ["rsum:1e3"]}, "instead of '1e3'"),
        ({"fails": ["rsum:1", "rsum:2"]}, "--fail: rsum is given twice"),
        ({"fails": ["speed:5"]}, "expected a share of the speed-up, such as speed:5%"),
        ({"fails": ["sped:5%"]}, r"--fail: got 'sped', .*did you mean 'speed'"),
        ({"floors": ["rsum:1"]}, "--floor: got 'rsum:1', expected e.g. i2t.R@1=20"),
        ({"floors": ["rsum=1", "rsum=2"]}, "--floor: rsum is given twice"),
        ({"floors": ["MedR=1"]}, "--floor: got 'MedR'"),
        ({"tolerance": -1.0}, "--tolerance: got -1.0"),
        ({"tolerance": float("nan")}, "--tolerance: got nan"),
        ({"alpha": 0.0}, "--alpha: got 0.0"),
        ({"alpha": 0.5}, "--alpha: got 0.5"),
        ({"alpha": float("nan")}, "--alpha: got nan"),
    ],
)
def test_slips_are_named(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_limits(**options)  # type: ignore[arg-type]
