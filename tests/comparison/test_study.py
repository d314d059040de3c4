"""Curves, settings and disagreements, each against a plain count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from comparison_examples import write_run
from examples import TINY

from camp_bench.comparison import CompareOptions
from camp_bench.comparison.study import (
    CURVE_KS,
    Study,
    disagreements,
    pairs_per_second,
    recall_curve,
    setting_differences,
    studies,
)
from camp_bench.data import open_dataset
from camp_bench.data.fingerprints import task_fingerprint
from camp_bench.records import Measurement, folder

IMAGES = 5


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    results = tmp_path_factory.mktemp("results")
    task = task_fingerprint(open_dataset(TINY, ["test"]).split("test"))
    for model, level, precision in (("camp", 0.5, "fp32"), ("vsepp", 1.5, "bf16")):
        for seed in range(3):
            write_run(
                results,
                model=model,
                seed=seed,
                level=level,
                images=IMAGES,
                dataset={"source": TINY},
                evaluation={"task_fingerprint": task},
                config={"precision": precision},
                timings=(Measurement(name="score_and_rank", unit="s", samples=(0.5,)),),
            )
    (found,), _ = studies([results], CompareOptions(resamples=100))
    return found


def test_rows_have_the_runs_behind_them_in_the_order_of_seeds(study: Study) -> None:
    assert [row.letter for row in study.rows] == [row.letter for row in study.table.rows]
    assert [[run.record.config.seed for run in row.runs] for row in study.rows] == [[0, 1, 2], [0, 1, 2]]


def test_arrays_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path, images=4)
    write_run(tmp_path, model="camp", images=4)
    read: list[str] = []
    plain = folder.read_arrays
    monkeypatch.setattr(folder, "read_arrays", lambda *given: read.append(given[0].name) or plain(*given))
    studies([tmp_path], CompareOptions(resamples=100))
    assert sorted(read) == ["camp-s0", "vsepp-s0"]


def test_bands_draw_images_that_are_nearly_the_same_as_one(tmp_path: Path) -> None:
    groups = np.repeat(np.arange(20), 5).astype(np.int64)
    for name, arrays in (("alone", None), ("grouped", {"similar_images": groups})):
        write_run(tmp_path / name, images=100, album=5, arrays=arrays)
    (alone,), _ = studies([tmp_path / "alone"], CompareOptions(resamples=100))
    (grouped,), _ = studies([tmp_path / "grouped"], CompareOptions(resamples=100))
    widths = [curve.high[4] - curve.low[4] for curve in (recall_curve(one.rows[0], "i2t") for one in (alone, grouped))]
    assert widths[1] > 1.2 * widths[0]


@pytest.mark.parametrize("way", ["i2t", "t2i"])
def test_a_curve_is_the_share_of_hits_by_k(study: Study, way: str) -> None:
    row = study.rows[0]
    curve = recall_curve(row, way)
    assert curve.ks == CURVE_KS
    for k in (1, 2, 7, 100):
        hits = []
        for run in row.runs:
            with np.load(run.folder / "queries_test.npz") as arrays:
                hits.append(100 * np.mean(arrays[f"{way}_b"] < k))
        place = k - 1
        assert curve.values[place] == pytest.approx(np.mean(hits))
        assert curve.low[place] <= curve.values[place] <= curve.high[place]
    assert (np.diff(curve.values) >= 0).all()
    assert curve.high[0] > curve.low[0]


def test_only_settings_that_differ_are_named(study: Study) -> None:
    assert setting_differences(study.rows) == [("precision", ("fp32", "bf16"))]
    assert setting_differences(study.rows[:1]) == []


def test_pairs_a_second_are_those_of_the_run(study: Study) -> None:
    assert pairs_per_second(study.rows[0].runs[0]) == IMAGES * 5 * IMAGES / 0.5


def test_disagreements_are_the_largest_factors_with_answers_marked(study: Study) -> None:
    found, missing = disagreements(study, 6)
    assert missing == ""
    assert [item.way for item in found] == ["i2t"] * 3 + ["t2i"] * 3
    split = open_dataset(TINY, ["test"]).split("test")
    firsts = [row.runs[0].results for row in study.rows]
    for way in ("i2t", "t2i"):
        a, b = (getattr(one, f"{way}_ranks") for one in firsts)
        factors = np.maximum(a / b, b / a)
        mine = [item for item in found if item.way == way]
        assert [factors[item.query] for item in mine] == pytest.approx(sorted(factors, reverse=True)[:3])
        for item in mine:
            assert item.ranks == {"a": a[item.query], "b": b[item.query]}
            for answers in item.answers.values():
                for one in answers:
                    image = split.image_of[one.id] if way == "i2t" else one.id
                    own = item.query if way == "i2t" else split.image_of[item.query]
                    assert one.right == (image == own)
                    assert (split.captions[one.id] if way == "i2t" else split.image_ids[one.id]) in one.text


def test_one_model_disagrees_with_nobody(tmp_path: Path) -> None:
    write_run(tmp_path, images=4)
    (found,), _ = studies([tmp_path], CompareOptions(resamples=100))
    assert disagreements(found, 4) == ([], "there is one model alone")
