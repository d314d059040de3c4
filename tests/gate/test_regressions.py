"""Faults put into a real model's evaluation, from the weights to the scores: the gate catches each of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.torch
import torch
from examples import read_back

from camp_bench.cli import main
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.models.scan.model import Scan
from camp_bench.records import list_records, read_record, write_file, write_record
from camp_bench.runs import evaluate_run

EXPERIMENT = """
models = ["scan"]
data = "toy:train=300,dev=10,test=100,regions=8,feature_size=32"
device = "cpu"
[settings]
dim = 32
word_dim = 32
epochs = 6
warmup_epochs = 6
batch_size = 50
learning_rate = 0.01
decay_epochs = []
validate_every = 6
min_count = 2
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a trained run and its baseline."""
    place = tmp_path_factory.mktemp("trained")
    (place / "e.toml").write_text(EXPERIMENT)
    assert main(["run", str(place / "e.toml"), "--results", str(place / "runs")]) == 0
    (run,) = list_records(place / "runs")
    assert read_record(run).evaluation("test").metrics["rsum"] > 150
    run.rename(place / "run")
    assert main(["baseline", "save", str(place / "run"), "-o", str(place / "base.json")]) == 0
    return place


def judge(trained: Path, results: Path, *options: str, run: Path | None = None) -> int:
    """Evaluate the run once more, with whatever is broken now, and return the gate's exit code."""
    assert main(["evaluate", str(run or trained / "run"), "--device", "cpu", "--results", str(results)]) == 0
    return main(["check", str(results), "--baseline", str(trained / "base.json"), *options])


def test_nothing_broken_passes(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(trained, tmp_path, "--same-checkpoint", "--tolerance", "0") == 0
    assert "rsum" in capsys.readouterr().out


def test_perturbed_weights_are_caught(trained: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(trained / "run", broken)
    weights = safetensors.torch.load_file(broken / "weights.safetensors")
    generator = torch.Generator().manual_seed(0)
    noisy = {
        name: value + 0.6 * value.std(correction=0) * torch.randn(value.shape, generator=generator)
        for name, value in weights.items()
    }
    checksum = write_file(broken / "weights.safetensors", safetensors.torch.save(noisy))
    record = read_back(broken)
    files = record.files | {"weights.safetensors": checksum}
    write_record(broken, msgspec.structs.replace(record, weights_sha256=checksum, files=files))
    assert judge(trained, tmp_path / "results", run=broken) == 1
    assert (
        main(["check", str(tmp_path / "results"), "--baseline", str(trained / "base.json"), "--same-checkpoint"]) == 2
    )


def shuffled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let captions be scored under each other's number."""
    real = evaluate_run.evaluate

    def broken(model: Any, items: Any, asked: Any) -> Any:
        order = np.random.default_rng(0).permutation(len(items.token_ids))
        return real(model, TokenizedSplit(items.split, [items.token_ids[i] for i in order]), asked)

    monkeypatch.setattr(evaluate_run, "evaluate", broken)


def with_scores(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[pytest.MonkeyPatch], None]:
    """Return what makes the scorer return changed scores."""

    def breaks(monkeypatch: pytest.MonkeyPatch) -> None:
        real = Scan.score_tile
        monkeypatch.setattr(Scan, "score_tile", lambda self, *tile: change(real(self, *tile)))

    return breaks


@pytest.mark.parametrize(
    ("breaks", "code"),
    [
        # Pairs of the ranking score otherwise alone, so it is no ranking by this model.
        pytest.param(shuffled, 2, id="captions shuffled"),
        pytest.param(with_scores(lambda scores: -scores), 1, id="sign flipped"),
        pytest.param(with_scores(lambda scores: scores.round()), 1, id="scores rounded, so tied"),
        pytest.param(with_scores(torch.zeros_like), 1, id="constant"),
        # A pair's score then is its neighbour's, so it depends on the gallery, and is no longer the baseline's kind.
        pytest.param(with_scores(lambda scores: scores.roll(1, 0)), 2, id="images off by one"),
    ],
)
def test_broken_scoring_of_the_same_weights_is_caught(
    breaks: Callable[[pytest.MonkeyPatch], None],
    code: int,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    breaks(monkeypatch)
    assert judge(trained, tmp_path, "--same-checkpoint") == code


def test_scores_that_are_no_numbers_leave_no_run_to_judge(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_scores(lambda scores: scores * torch.nan)(monkeypatch)
    arguments = ["evaluate", str(trained / "run"), "--device", "cpu", "--results", str(tmp_path / "r")]
    assert main(arguments) == 2
    assert main(["check", str(tmp_path / "r"), "--baseline", str(trained / "base.json"), "--same-checkpoint"]) == 2
