"""The papers' figures: all there, checked, and only beside what they are about."""

from __future__ import annotations

from pathlib import Path

import pytest
from comparison_examples import write_run

from camp_bench.comparison import CompareOptions, compare, read_published
from camp_bench.errors import ConfigError, DataError

ROW = """[[row]]
method = "A"
features = "regions"
members = 1
protocol = "f30k-1k"
i2t = [10.0, 20.0, 30.0]
t2i = [5.0, 15.0, 25.0]
paper = "P"
year = 2020
"""


def rows_of(tmp_path: Path, text: str) -> object:
    file = tmp_path / "published.toml"
    file.write_text(text, encoding="utf-8")
    return read_published(file)


def test_file_that_comes_along() -> None:
    rows = read_published()
    counted = {name: sum(row.protocol == name for row in rows) for name in ("f30k-1k", "coco-1k-5fold", "coco-5k")}
    assert counted == {"f30k-1k": 14, "coco-1k-5fold": 12, "coco-5k": 11}
    found = {(row.method, row.protocol): row for row in rows}
    assert found["CAMP", "f30k-1k"].metrics["rsum"] == pytest.approx(466.9)
    assert found["SCAN i2t AVG", "coco-1k-5fold"].metrics["rsum"] == pytest.approx(493.9)
    assert found["SCAN t2i AVG", "coco-1k-5fold"].metrics["rsum"] == pytest.approx(500.5)
    assert {row.members for row in rows if "ensemble" in row.method} == {2}
    assert all(row.year >= 2018 and row.paper and row.features for row in rows)


def test_rsum_is_computed(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, ROW)
    assert row.metrics["rsum"] == pytest.approx(105.0)
    assert row.source == "P, 2020"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW.replace("20.0", "9.0"), "R@1 <= R@5 <= R@10"),
        (ROW.replace("30.0", "300.0"), "R@1 <= R@5 <= R@10"),
        (ROW.replace("30.0", "nan"), "R@1 <= R@5 <= R@10"),
        (ROW + ROW, "same name"),
        (ROW + ROW.replace('"A"', '"B"'), "same figures"),
        (ROW.replace("year", "yaer"), "not a file of published figures"),
        (ROW.replace("f30k-1k", "f8k"), "not a file of published figures"),
        ("row = [", "not a file of published figures"),
    ],
)
def test_slips_are_found(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows_of(tmp_path, text)


def write_two(results: Path, name: str, images: int, protocol: str = "full") -> None:
    for model in ("camp", "vsepp"):
        evaluation = {"protocol": protocol, "metrics": {}}
        write_run(results, model=model, images=images, dataset={"name": name}, evaluation=evaluation)


@pytest.mark.parametrize(
    ("name", "images", "protocol", "rows"),
    [
        ("f30k_precomp", 1000, "full", 14),
        ("Flickr30K", 1000, "f30k-1k", 14),
        ("coco_precomp", 5000, "coco-1k-5fold", 12),
    ],
)
def test_rows_stand_beside_what_they_are_about(
    tmp_path: Path, name: str, images: int, protocol: str, rows: int
) -> None:
    write_two(tmp_path, name, images, protocol)
    table = compare(tmp_path, CompareOptions(resamples=100, published=True))
    assert len(table.published) == rows
    assert {row.label for row in table.rows} == {"camp", "vsepp"}
    assert all(item["p"] is None for item in table.to_records() if item["kind"] == "published")


@pytest.mark.parametrize(("name", "images"), [("toy", 1000), ("f8k2k", 1000), ("f30k_precomp", 500), ("coco", 1000)])
def test_rows_are_refused_elsewhere(tmp_path: Path, name: str, images: int) -> None:
    write_two(tmp_path, name, images)
    with pytest.raises(ConfigError, match="say nothing about"):
        compare(tmp_path, CompareOptions(resamples=100, published=True))
