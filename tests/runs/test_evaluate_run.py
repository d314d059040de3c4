"""A finished run evaluated again: same figures on the same data, a record of its own, clear ends otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from examples import TINY, damage
from run_examples import Quiet, train_one

from camp_bench.cli.results import describe_cascade, describe_precision
from camp_bench.errors import CampBenchError, ConfigError, DataError, DeviceError, RecordError
from camp_bench.models.base import Prepared
from camp_bench.models.vsepp.model import Vsepp
from camp_bench.ranking.tiles import rank_matrix
from camp_bench.records import list_records, read_arrays, read_record, write_record
from camp_bench.runs.evaluate_run import EvaluationRequest, evaluate_run
from camp_bench.runs.saved import open_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_one(tmp_path_factory.mktemp("runs"), "vsepp")


@pytest.mark.parametrize("model", ["scan:i2t-avg", "camp"])
def test_same_data_gives_the_same_figures(tmp_path: Path, model: str) -> None:
    folder = train_one(tmp_path, model)
    parent = read_record(folder)
    home, record = evaluate_run(folder, EvaluationRequest(device="cpu"), tmp_path, Quiet())
    assert record == read_record(home)
    assert record.parent == parent.run_id
    before, after = parent.evaluation("test"), record.evaluation("test")
    assert before == after
    first, second = (read_arrays(f, r, "queries_test.npz") for f, r in ((folder, parent), (home, record)))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_other_data_and_split_are_recorded_with_the_words_that_are_unknown(run: Path, tmp_path: Path) -> None:
    data = "toy:train=2,dev=7,test=2,regions=8,feature_size=16,seed=5"
    home, record = evaluate_run(run, EvaluationRequest(data=data, split="dev", device="cpu"), tmp_path, Quiet())
    parent = read_record(run)
    (evaluation,) = record.evaluations
    assert (evaluation.split, evaluation.images, evaluation.captions) == ("dev", 7, 35)
    assert evaluation.task_fingerprint != parent.evaluation("dev").task_fingerprint
    assert record.dataset.train_fingerprint == parent.dataset.train_fingerprint
    assert record.dataset.images == {"dev": 7}
    assert record.dataset.source == data
    assert record.config == parent.config
    assert 0 < record.vocabulary.unknown_share["dev"] < 1
    assert set(record.files) == {"queries_dev.npz"}
    assert home.name.endswith("-dev-full")


def test_record_alone_names_the_run_as_well_as_its_folder(run: Path, tmp_path: Path) -> None:
    _, record = evaluate_run(run / "record.json", EvaluationRequest(device="cpu"), tmp_path, Quiet())
    assert record.parent == read_record(run).run_id


def test_scores_are_kept_in_the_order_of_the_split(run: Path, tmp_path: Path) -> None:
    home, record = evaluate_run(run, EvaluationRequest(device="cpu", save_scores=True), tmp_path, Quiet())
    evaluation = record.evaluation("test")
    assert evaluation.scores == "scores_test.npy"
    assert set(record.files) == {"queries_test.npz", "scores_test.npy"}
    scores = np.load(home / evaluation.scores, mmap_mode="r")
    assert (scores.shape, scores.dtype) == ((5, 25), np.float32)
    arrays = read_arrays(home, record, "queries_test.npz")
    again = rank_matrix(torch.from_numpy(np.array(scores)), arrays["image_of"].astype(np.int64))
    assert np.array_equal(again.t2i.b, arrays["t2i_b"])
    assert np.array_equal(again.i2t.top_ids, arrays["i2t_top_ids"])
    assert np.array_equal(again.i2t.top_scores, arrays["i2t_top_scores"])


def test_a_budget_cuts_the_tiles_and_stands_in_the_record(run: Path, tmp_path: Path) -> None:
    _, record = evaluate_run(run, EvaluationRequest(device="cpu", memory_budget="500B"), tmp_path, Quiet())
    evaluation, before = record.evaluation("test"), read_record(run).evaluation("test")
    assert (before.tile_images, before.tile_captions, before.memory_budget_bytes) == (5, 25, 10**9)
    assert evaluation.memory_budget_bytes == 500
    assert evaluation.tile_images * evaluation.tile_captions < 25
    assert evaluation.metrics == before.metrics


def test_memory_that_runs_out_names_a_smaller_budget(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = Vsepp.score_tile

    def never(self: Vsepp, images: Prepared, captions: Prepared) -> torch.Tensor:
        raise MemoryError

    def too_much(self: Vsepp, images: Prepared, captions: Prepared) -> torch.Tensor:
        if len(images["vectors"]) * len(captions["vectors"]) > 20:
            raise torch.OutOfMemoryError("tried to allocate 1 TiB\nand more")
        return score(self, images, captions)

    monkeypatch.setattr(Vsepp, "score_tile", too_much)
    asked = {"device": "cpu", "memory_budget": "4KB"}
    with pytest.raises(DeviceError, match=r"of memory \(tried.*\); pass --memory-budget 2KB or less .*or --adapt$"):
        evaluate_run(run, EvaluationRequest(**asked), tmp_path, Quiet())
    assert list(tmp_path.iterdir()) == []
    _, record = evaluate_run(run, EvaluationRequest(adapt=True, **asked), tmp_path, Quiet())
    evaluation = record.evaluation("test")
    assert evaluation.memory_budget_bytes == 1000
    assert evaluation.metrics == read_record(run).evaluation("test").metrics
    monkeypatch.setattr(Vsepp, "score_tile", never)
    with pytest.raises(ConfigError, match="too few for one pair"):
        evaluate_run(run, EvaluationRequest(adapt=True, **asked), tmp_path, Quiet())


def test_cascade_reports_what_it_saves_and_loses(run: Path, tmp_path: Path) -> None:
    scan = train_one(tmp_path, "scan")
    home, _ = evaluate_run(scan, EvaluationRequest(device="cpu", rerank=2, proposer=run), tmp_path, Quiet())
    evaluation = read_record(home).evaluation("test")
    assert evaluation.cascade is not None
    assert evaluation.cascade.proposer == run.name
    assert evaluation.cascade.full_metrics == read_record(scan).evaluation("test").metrics
    assert 0 < evaluation.cascade.pairs_scored < evaluation.cascade.pairs == 125
    assert evaluation.metrics != evaluation.cascade.full_metrics
    assert "rerank2" in home.name
    text = describe_cascade(evaluation.cascade, evaluation.metrics["rsum"])
    assert text.startswith(f"cascade: vsepp proposed 2 candidates a query, run {run.name}\n  saved ")
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"rerank": 5}, ConfigError, "needs both --rerank K and --proposer RUN"),
        ({"proposer": Path("x")}, ConfigError, "needs both --rerank K and --proposer RUN"),
        ({"rerank": 0, "proposer": Path("x")}, ConfigError, "rerank: got 0, expected 1"),
        ({"rerank": 1, "proposer": Path("nowhere")}, RecordError, "nowhere: can't be read"),
        ({"rerank": 1, "proposer": Path("x"), "protocol": "coco-1k-5fold"}, ConfigError, "ranks in folds"),
        ({"memory_budget": "much"}, ConfigError, "memory_budget: got 'much', expected .* 512MB"),
        ({"memory_budget": "1B"}, ConfigError, "too few for one pair"),
        ({"split": "testall"}, DataError, "no split 'testall'"),
        ({"protocol": "f30k-1k"}, DataError, "has 5 images, protocol f30k-1k needs 1,000"),
        ({"protocol": "coco"}, ConfigError, "protocol: got 'coco'"),
        ({"data": "nowhere"}, DataError, "nowhere: no such folder"),
        ({"data": TINY.replace("feature_size=16", "feature_size=8")}, DataError, "features of size 8, .* size 16"),
    ],
)
def test_what_does_not_fit_is_refused(
    run: Path, tmp_path: Path, asked: dict[str, Any], error: type[CampBenchError], message: str
) -> None:
    with pytest.raises(error, match=message):
        evaluate_run(run, EvaluationRequest(device="cpu", **asked), tmp_path, Quiet())
    assert list_records(tmp_path) == []


def test_evaluation_of_an_evaluation_names_the_run_with_the_weights(run: Path, tmp_path: Path) -> None:
    home, _ = evaluate_run(run, EvaluationRequest(device="cpu"), tmp_path, Quiet())
    with pytest.raises(RecordError, match=f"holds no weights; give the run that was trained, {run.name}"):
        open_run(home)


def test_data_that_moved_away_is_said_to_be_as_recorded(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = damage(run, tmp_path / "copy", "extra", b"", forge=False)
    record = read_record(copy)
    write_record(copy, msgspec.structs.replace(record, config=msgspec.structs.replace(record.config, data="gone/away")))
    with pytest.raises(DataError, match=r"gone/away: no such folder.*as the run recorded it; --data says where"):
        evaluate_run(copy, EvaluationRequest(device="cpu"), tmp_path, Quiet())


def test_half_precision_is_recorded_with_what_it_changes(run: Path, tmp_path: Path) -> None:
    home, record = evaluate_run(run, EvaluationRequest(device="cpu", precision="bf16"), tmp_path, Quiet())
    evaluation = record.evaluation("test")
    exact = read_record(run).evaluation("test").metrics
    assert home.name.endswith("-test-full-bf16")
    assert (evaluation.precision, evaluation.scored_as, evaluation.fp32_metrics) == ("bf16", "bf16", exact)
    assert evaluation.metrics["rsum"] == pytest.approx(exact["rsum"], abs=60)  # of 25 captions
    scores = read_arrays(home, record, "queries_test.npz")["t2i_top_scores"]
    assert scores.dtype == np.float32
    assert not np.array_equal(scores, read_arrays(run, read_record(run), "queries_test.npz")["t2i_top_scores"])
    line = describe_precision(evaluation, exact)
    assert line.startswith("bf16 against fp32 (rsum ")
    assert max(map(len, line.splitlines())) <= 120


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"precision": "bf61"}, ConfigError, r"precision: got 'bf61' \(did you mean 'bf16'\?\), expected one of fp32"),
        ({"precision": "fp16"}, DeviceError, "cpu doesn't compute in fp16; expected fp32 or bf16"),
        ({"precision": "bf16", "rerank": 2}, ConfigError, "leave out --rerank or --score-precision bf16"),
    ],
)
def test_precisions_that_are_not_there_are_refused(
    run: Path, tmp_path: Path, changes: dict[str, Any], error: type[CampBenchError], said: str
) -> None:
    if "rerank" in changes:
        changes = changes | {"proposer": run}
    with pytest.raises(error, match=said):
        evaluate_run(run, EvaluationRequest(device="cpu", **changes), tmp_path, Quiet())
    assert not list(tmp_path.iterdir())
