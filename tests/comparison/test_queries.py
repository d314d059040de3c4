"""The queries on which two rows differ most, with captions from the data where that is still there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from comparison_examples import write_run
from examples import TINY

from camp_bench.comparison import CompareOptions, query_differences
from camp_bench.data import open_dataset
from camp_bench.data.fingerprints import task_fingerprint
from camp_bench.errors import ConfigError
from camp_bench.report.listings import queries_document


def two_on_toy(results: Path) -> None:
    task = task_fingerprint(open_dataset(TINY, ["test"]).split("test"))
    for model in ("camp", "vsepp"):
        evaluation = {"task_fingerprint": task}
        write_run(results, model=model, images=5, dataset={"source": TINY}, evaluation=evaluation)


def test_the_largest_factors_come_first_with_their_captions(tmp_path: Path) -> None:
    two_on_toy(tmp_path)
    found = query_differences([tmp_path], 7)
    split = open_dataset(TINY, ["test"]).split("test")
    assert (found.first, found.second, found.total, len(found.rows)) == ("camp", "vsepp", 30, 7)
    factors = [abs(np.log(row.first_rank / row.second_rank)) for row in found.rows]
    assert factors == sorted(factors, reverse=True)
    ranks = []
    for model in ("camp", "vsepp"):
        with np.load(tmp_path / f"{model}-s0" / "queries_test.npz") as stored:
            ranks.append(np.concatenate([stored["i2t_b"], stored["t2i_b"]]) + 1.0)
    assert factors[0] == pytest.approx(np.abs(np.log(ranks[0] / ranks[1])).max())
    for row in found.rows:
        caption = row.query if row.way == "t2i" else 5 * row.query
        assert row.text == split.captions[caption]
        assert row.image == split.image_ids[split.image_of[caption]]
    assert [column.header for column in queries_document(found).sheets[0].columns][-1] == "caption"


@pytest.mark.parametrize(
    ("source", "reason"),
    [("/nowhere/at/all", "can't be read"), ("toy:train=12,dev=4,test=9,regions=8,feature_size=16", "no longer those")],
)
def test_without_the_data_it_says_why(tmp_path: Path, source: str, reason: str) -> None:
    for model in ("camp", "vsepp"):
        write_run(tmp_path, model=model, images=9, dataset={"source": source})
    found = query_differences([tmp_path], 3)
    assert reason in found.missing_text
    (sheet,) = queries_document(found).sheets
    assert "caption" not in [column.header for column in sheet.columns]
    assert found.missing_text in sheet.legend


def test_two_rows_it_must_be(tmp_path: Path) -> None:
    two_on_toy(tmp_path)
    write_run(tmp_path, model="scan", images=5, evaluation={"task_fingerprint": "other"})
    with pytest.raises(ConfigError, match="pick with --models"):
        query_differences([tmp_path], 3)
    with pytest.raises(ConfigError, match="expected 1 or more"):
        query_differences([tmp_path], 0)
    for folder in ("camp-s0", "vsepp-s0"):
        assert (tmp_path / folder).is_dir()
    assert query_differences([tmp_path / "camp-s0", tmp_path / "vsepp-s0"], 3, CompareOptions()).total == 30
