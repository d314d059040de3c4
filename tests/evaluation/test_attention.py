"""What a model looks at in a few pairs: shapes, sums, which pairs, and that it is the attention which scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from examples import TINY
from run_examples import SMALL, Quiet

from camp_bench.config import Experiment
from camp_bench.errors import ConfigError
from camp_bench.records import read_arrays, read_record
from camp_bench.runs.evaluate_run import EvaluationRequest, evaluate_run
from camp_bench.runs.experiment import run_experiment
from camp_bench.runs.plan import plan_runs

WANTED = 3


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    results = tmp_path_factory.mktemp("runs")
    models = ("vsepp", "scan:t2i-lse", "scan:i2t-avg", "scan:ensemble", "camp", "camp:no-attention")
    experiment = Experiment(
        models=models, data=TINY, device="cpu", results=str(results), settings=SMALL, examples=WANTED
    )
    return {record.config.model: folder for folder, record in run_experiment(experiment, Quiet())}


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ("vsepp", set()),
        ("scan:t2i-lse", {"attention_words", "relevance_words"}),
        ("scan:i2t-avg", {"attention_regions", "relevance_regions"}),
        (
            "scan:ensemble",
            {
                "member0.attention_words",
                "member0.relevance_words",
                "member1.attention_regions",
                "member1.relevance_regions",
            },
        ),
        (
            "camp",
            {
                f"{what}_{side}"
                for what in ("attention", "gate", "gate_spread", "pooling")
                for side in ("words", "regions")
            },
        ),
    ],
)
def test_keeps_attention_and_gates_of_each_pair(runs: dict[str, Path], model: str, names: set[str]) -> None:
    record = read_record(runs[model])
    arrays = read_arrays(runs[model], record, record.evaluation("test").examples or "")
    assert arrays["captions"].tolist() == [0, 8, 16]  # of 25, five an image
    assert arrays["own_images"].tolist() == [0, 1, 3]
    assert not (arrays["other_images"] == arrays["own_images"]).any()
    ranked = read_arrays(runs[model], record, "queries_test.npz")["t2i_top_ids"][arrays["captions"]]
    for own, other, row in zip(arrays["own_images"], arrays["other_images"], ranked, strict=True):
        assert other == next(image for image in row if image != own)
    for k in range(WANTED):
        words = arrays[f"{k}/words"]
        assert (words[0], words[-1]) == ("<start>", "<end>")
        for pair in ("own", "other"):
            found = {key.removeprefix(f"{k}/{pair}/"): v for key, v in arrays.items() if key.startswith(f"{k}/{pair}/")}
            assert set(found) == names
            for name, value in found.items():
                rows, others = (len(words), 8) if name.endswith("words") else (8, len(words))
                assert value.shape == ((rows, others) if "attention" in name else (rows,))
                if "attention" in name or "pooling" in name:
                    np.testing.assert_allclose(value.sum(-1), 1, rtol=1e-5)


def test_without_attention_every_message_is_the_mean(runs: dict[str, Path]) -> None:
    folder = runs["camp:no-attention"]
    arrays = read_arrays(folder, read_record(folder), "examples_test.npz")
    np.testing.assert_allclose(arrays["0/own/attention_words"], 1 / 8, rtol=1e-6)


def test_scan_s_relevance_is_what_its_score_pools(runs: dict[str, Path]) -> None:
    folder = runs["scan:t2i-lse"]
    arrays = read_arrays(folder, read_record(folder), "examples_test.npz")
    scores = read_arrays(folder, read_record(folder), "queries_test.npz")
    caption, other = arrays["captions"][0], arrays["other_images"][0]
    sharpness = read_record(folder).config.options["lambda_pooling"]
    score = np.log(np.exp(sharpness * arrays["0/other/relevance_words"]).sum()) / sharpness
    place = scores["t2i_top_ids"][caption].tolist().index(other)
    assert score == pytest.approx(scores["t2i_top_scores"][caption][place], abs=1e-5)


def test_evaluate_keeps_them_too_and_the_same(runs: dict[str, Path], tmp_path: Path) -> None:
    home, record = evaluate_run(runs["camp"], EvaluationRequest(device="cpu", examples=WANTED), tmp_path, Quiet())
    before = read_arrays(runs["camp"], read_record(runs["camp"]), "examples_test.npz")
    after = read_arrays(home, record, record.evaluation("test").examples or "")
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_more_examples_than_captions_are_all_captions(runs: dict[str, Path], tmp_path: Path) -> None:
    home, record = evaluate_run(runs["scan:t2i-lse"], EvaluationRequest(device="cpu", examples=99), tmp_path, Quiet())
    assert read_arrays(home, record, "examples_test.npz")["captions"].tolist() == list(range(25))


def test_none_are_kept_unless_asked_for(runs: dict[str, Path], tmp_path: Path) -> None:
    _, record = evaluate_run(runs["scan:t2i-lse"], EvaluationRequest(device="cpu"), tmp_path, Quiet())
    assert record.evaluation("test").examples is None
    assert set(record.files) == {"queries_test.npz"}


@pytest.mark.parametrize("examples", [-1, 1001])
def test_a_number_that_makes_no_sense_is_refused(runs: dict[str, Path], tmp_path: Path, examples: int) -> None:
    with pytest.raises(ConfigError, match=rf"examples: got {examples}, expected 0 to 1000"):
        evaluate_run(runs["camp"], EvaluationRequest(examples=examples), tmp_path, Quiet())
    with pytest.raises(ConfigError, match=rf"examples: got {examples}, expected 0 to 1000"):
        plan_runs(Experiment(examples=examples))
    assert not list(tmp_path.iterdir())
