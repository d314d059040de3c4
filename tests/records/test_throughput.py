"""Reports of throughput: what is derived from samples, and strict reading."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from examples import example_throughput

from camp_bench.errors import OutputError, RecordError
from camp_bench.records import Measurement
from camp_bench.records.throughput import (
    ScalingPoint,
    encode_throughput,
    quartiles,
    read_throughput,
    relative_spread,
    require_output,
    write_output,
)


def test_a_report_reads_back_as_it_was_written(tmp_path: Path) -> None:
    report = example_throughput()
    write_output(tmp_path / "t.json", encode_throughput(report))
    assert read_throughput(tmp_path / "t.json") == report
    assert [path.name for path in tmp_path.iterdir()] == ["t.json"]


def test_statistics_follow_from_samples() -> None:
    model = example_throughput().models[0]  # 100 x 500 pairs in 1, 2 and 4 s; product 10 GFLOP/s
    assert model.pairs_per_second == (50_000, 25_000, 12_500)
    assert model.flops_per_pair == 1000
    assert model.useful_flops_per_pair == 800
    assert model.traffic_bytes_per_pair == 40
    assert model.product_shares == pytest.approx((4e-3, 2e-3, 1e-3))  # 50,000 x 800 FLOPs in 1, 2, 4 s over 1e10
    assert model.baselines[0].flops_per_pair == 3000
    assert model.predicted_seconds(1000, 5000) == pytest.approx(1000 * 0.001 + 5000 * 0.002 + 100 * 2)
    assert model.ranked_product_share == pytest.approx(2e-3)  # 50,000 x 800 FLOPs in 2 s over 1e10
    assert model.predicted_seconds(1000, 5000, folds=5) == pytest.approx(1000 * 0.001 + 5000 * 0.002 + 20 * 2)
    assert model.growth_exponent is None


def test_quartiles_and_spread() -> None:
    assert quartiles([5.0]) == (5, 5, 5)
    assert quartiles([4.0, 1.0, 3.0, 2.0, 5.0]) == (2, 3, 4)
    assert relative_spread([4.0, 1.0, 3.0, 2.0, 5.0]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("exponent", [1.0, 1.5])
def test_growth_exponent_is_that_of_a_power_law(exponent: float) -> None:
    points = tuple(
        ScalingPoint(
            images=images,
            captions=captions,
            seconds=Measurement(name="evaluate", unit="s", samples=((images * captions / 100) ** exponent,) * 3),
        )
        for images, captions in ((10, 50), (20, 50), (20, 100), (40, 100))
    )
    model = msgspec.structs.replace(example_throughput().models[0], scaling=points)
    assert model.growth_exponent == pytest.approx(exponent)


def test_a_model_is_found_by_its_name() -> None:
    report = example_throughput()
    assert report.model("scan:t2i-lse") is report.models[0]
    with pytest.raises(RecordError, match=r"nothing about 'camp'; measured were scan:t2i-lse"):
        report.model("camp")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b'"schema_version": 1', b'"schema_version": 2', "schema version 2, this camp-bench reads 1"),
        (b'"precision"', b'"precisions"', "unknown field `precisions`"),
        (b'"flops": 50000000', b'"flops": "many"', "Expected `int`"),
        (b'"captions": 500', b'"captions": 0', "expected 1 pair or more"),
        (
            b'"s",\n        "samples": [\n          1.0',
            b'"s",\n        "samples": [\n          0.0',
            "score: expected one",
        ),
        (b'"samples": [\n          1.0,\n', b'"samples": [\n', "as many samples of product"),
        (b'"speed_ups": [', b'"speed_ups": [-1.0,', "speed_ups: expected one or more samples above 0"),
        (b"{", b"", "not a throughput report"),
    ],
)
def test_a_report_that_makes_no_sense_is_refused(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    text = encode_throughput(example_throughput())
    assert old in text
    path = tmp_path / "t.json"
    path.write_bytes(text.replace(old, new, 1))
    with pytest.raises(RecordError, match=message):
        read_throughput(path)


def test_a_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"can't be read \(No such file"):
        read_throughput(tmp_path / "none.json")


def test_output_goes_over_a_file_and_into_a_pipe(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("before")
    write_output(tmp_path / "t", b"after")
    assert (tmp_path / "t").read_text() == "after"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_output(pipe, b"after")
    assert os.read(reader, 9) == b"after"
    os.close(reader)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipe", "t"]


def test_output_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"none/t: can't be written \(No such file"):
        write_output(tmp_path / "none" / "t", b"x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"folder: can't be written \(Is a directory"):
        write_output(tmp_path / "folder", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_link_beside_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / ".file.partial").symlink_to(tmp_path / "elsewhere")
    require_output(tmp_path / "file")
    write_output(tmp_path / "file", b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".file.partial", "file"]
