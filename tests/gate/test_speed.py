"""Speed verdicts: ratios with their spread, counts to the last one, and what can't be compared."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from examples import example_record

from camp_bench.errors import RecordError
from camp_bench.gate.limits import parse_limits
from camp_bench.gate.speed import judge_speed
from camp_bench.gate.verdicts import Row
from camp_bench.records import Measurement
from camp_bench.records.throughput import Baseline, ModelThroughput, ThroughputReport, Workload

STEADY = tuple(10.0 + 0.02 * k for k in range(-5, 6))
UNSTEADY = tuple(10.0 + 1.5 * k for k in range(-5, 6))


def measured(name: str, unit: str = "s") -> Measurement:
    return Measurement(name=name, unit=unit, samples=(1.0,) * 11)


def report(speed_ups: tuple[float, ...] = STEADY, *, model: str = "scan", **changes: Any) -> ThroughputReport:
    plain = Baseline(
        padded_words=None,
        images=4,
        captions=8,
        seconds=measured("plain"),
        speed_ups=speed_ups,
        flops=200,
        traffic_bytes=300,
        max_difference=1e-6,
    )
    fields: dict[str, Any] = {"flops": 1000, "traffic_bytes": 2000, "baselines": (plain,)}
    item = ModelThroughput(
        model=model,
        workload=Workload(images=4, captions=8),
        tile_images=4,
        tile_captions=8,
        score=measured("score"),
        evaluate=measured("evaluate"),
        encode_images=measured("encode_images"),
        encode_captions=measured("encode_captions"),
        product=measured("product", "FLOP/s"),
        product_shape=(1, 1, 1),
        useful_flops=900,
        peak_bytes=None,
        **(fields | changes),
    )
    return ThroughputReport(
        created="now", command=(), precision="fp32", environment=example_record().environment, models=(item,)
    )


def ratio(before: ThroughputReport, after: ThroughputReport, *fails: str) -> Row:
    return judge_speed(before, after, parse_limits(fails=fails))[0]


def scaled(factor: float, samples: tuple[float, ...] = STEADY) -> tuple[float, ...]:
    return tuple(factor * sample for sample in samples)


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (STEADY, "pass"),
        (scaled(1.3), "pass"),
        (scaled(0.97), "below tolerance"),
        (scaled(0.9), "regressed"),
        (UNSTEADY, "unstable"),
        (scaled(1.3, UNSTEADY), "unstable"),
        (scaled(0.3, UNSTEADY), "regressed"),
        (STEADY[:4], "unstable"),
        (scaled(0.1)[:1], "unstable"),
    ],
)
def test_ratio_is_held_where_its_samples_are_steady(after: tuple[float, ...], verdict: str) -> None:
    row = ratio(report(), report(after))
    assert row.verdict == verdict
    assert row.value == pytest.approx(np.median(after))


def test_tolerance_is_the_one_asked_for_and_an_unsteady_baseline_is_unstable_too() -> None:
    assert ratio(report(), report(scaled(0.9)), "speed:20%").verdict == "below tolerance"
    assert ratio(report(UNSTEADY), report()).verdict == "unstable"
    assert ratio(report(UNSTEADY), report(), "speed:60%").verdict == "pass"


def test_error_of_the_median_is_that_of_normal_samples() -> None:
    rng = np.random.default_rng(0)
    medians = [float(np.median(rng.normal(10, 0.2, 15))) for _ in range(4000)]
    rows = [ratio(report(tuple(rng.normal(10, 0.2, 15))), report(tuple(rng.normal(10, 0.2, 15)))) for _ in range(300)]
    half = [(row.drop or 0.0) - (row.bound or 0.0) for row in rows]
    expected = 1.645 * 100 * np.std(medians) / 10 * np.sqrt(2)
    assert np.median(half) == pytest.approx(expected, rel=0.15)
    assert np.mean([(row.bound or 0.0) > 0 for row in rows]) < 0.1


@pytest.mark.parametrize("name", ["flops", "traffic_bytes"])
def test_counts_are_held_to_the_last_one(name: str) -> None:
    at = 1 if name == "flops" else 2
    same = getattr(report().models[0], name)
    for value, verdict in ((same, "pass"), (same + 1, "regressed"), (same - 1, "changed")):
        assert judge_speed(report(), report(**{name: value}), parse_limits())[at].verdict == verdict


def test_every_model_and_every_plain_form_of_the_baseline_is_held() -> None:
    plain = report().models[0].baselines[0]
    both = (plain, msgspec.structs.replace(plain, padded_words=50))
    rows = judge_speed(report(baselines=both), report(baselines=both), parse_limits())
    assert [row.name for row in rows] == [
        "scan over plain",
        "scan over plain padded to 50",
        "scan FLOPs",
        "scan bytes",
    ]
    with pytest.raises(RecordError, match="no speed-up over plain padded to 50 was measured"):
        judge_speed(report(baselines=both), report(), parse_limits())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"device": "cuda:0"}, "device cuda, the baseline's is cpu"),
        ({"threads": 4}, "threads 4, the baseline's is 1"),
    ],
)
def test_other_machines_of_another_kind_are_refused(changes: dict[str, Any], message: str) -> None:
    environment = msgspec.structs.replace(report().environment, **changes)
    with pytest.raises(RecordError, match=message):
        judge_speed(report(), msgspec.structs.replace(report(), environment=environment), parse_limits())


def test_what_was_not_measured_is_never_a_pass() -> None:
    with pytest.raises(RecordError, match="nothing about 'scan'"):
        judge_speed(report(), report(model="camp"), parse_limits())
    with pytest.raises(RecordError, match="workload"):
        judge_speed(report(), _other_workload(), parse_limits())
    with pytest.raises(RecordError, match="the baseline has no model"):
        judge_speed(msgspec.structs.replace(report(), models=()), report(), parse_limits())


def _other_workload() -> ThroughputReport:
    whole = report()
    item = msgspec.structs.replace(whole.models[0], workload=Workload(images=5, captions=8))
    return msgspec.structs.replace(whole, models=(item,))
