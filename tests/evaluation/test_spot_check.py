"""Scores of a ranking against the same pairs scored alone: our own models agree, and ten sneaky ones are caught."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from camp_bench.cli import main
from camp_bench.config import resolve_settings
from camp_bench.data import open_dataset
from camp_bench.data.corpus import Corpus
from camp_bench.evaluation.evaluate import Asked, evaluate
from camp_bench.evaluation.spot_check import score_again
from camp_bench.evaluation.transductive import is_transductive
from camp_bench.models.base import PairModel, Prepared, Shape
from camp_bench.models.registry import build_model, find_variant
from camp_bench.models.vsepp.model import Vsepp
from camp_bench.records import ScoreCheck, list_records, read_record

CPU = torch.device("cpu")
DATA = "toy:train=40,dev=4,test=60,regions=8,feature_size=16"


def checked(name: str, model: type[PairModel] | None = None, protocol: str = "full") -> tuple[ScoreCheck, bool]:
    """Return what checking a ranking finds, and whether looking at a few small galleries would have found it."""
    variant = find_variant(name)
    corpus = Corpus(open_dataset(DATA), ("train", "test"))
    vocabulary = corpus.vocabulary("train", 1)
    settings = resolve_settings(variant.settings["quick"], {"dim": 16, "word_dim": 8, "min_count": 1})
    whole = corpus.encoded("test", vocabulary, settings.max_words)
    shape = Shape(vocabulary_size=len(vocabulary), feature_size=whole.split.feature_size)
    if model is None:
        made = build_model(variant, settings, variant.options, shape, 0)
    else:
        torch.manual_seed(0)
        made = model(settings, variant.options, shape)
    found = evaluate(made, whole, Asked(device=CPU, protocol=protocol))
    return score_again(made, whole, found.ranks, CPU), is_transductive(made, whole, CPU)


@pytest.mark.parametrize(
    "name", ["vsepp", "vsepp:order", "scan", "scan:i2t-avg", "scan:ensemble", "camp", "camp:gate_fusion_new"]
)
def test_our_own_scores_are_those_of_each_pair(name: str) -> None:
    found, _ = checked(name)
    assert (found.differing, found.pairs) == (0, 48)
    assert found.largest < 1.0


class CentredInLargeBatches(Vsepp):
    def encode_images(self, features: Tensor) -> Tensor:
        encoded = super().encode_images(features)
        return encoded - encoded.mean(0) if len(encoded) > 16 else encoded


class PaddedInLargeBatches(Vsepp):
    def encode_captions(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        seen = torch.full_like(lengths, tokens.shape[1]) if len(tokens) > 16 else lengths
        return super().encode_captions(tokens, seen)


class Rescored(Vsepp):
    """What is done to the scores of tiles above a size that checks on small galleries stay below."""

    def score_tile(self, images: Prepared, captions: Prepared) -> Tensor:
        scores = super().score_tile(images, captions)
        return self.again(scores) if scores.numel() > 400 else scores

    def again(self, scores: Tensor) -> Tensor:
        raise NotImplementedError


class SoftmaxOverTheGallery(Rescored):
    def again(self, scores: Tensor) -> Tensor:
        return (20 * scores).softmax(0)


class HubsTakenOff(Rescored):
    def again(self, scores: Tensor) -> Tensor:
        return scores - scores.mean(0) - scores.mean(1, keepdim=True)


class QueriesExpanded(Rescored):
    def again(self, scores: Tensor) -> Tensor:
        return scores + scores @ scores.T @ scores / scores.numel()


class RoundedToWin(Rescored):
    def again(self, scores: Tensor) -> Tensor:
        return (scores * 20).round() / 20


class PlaceInTheTile(Rescored):
    def again(self, scores: Tensor) -> Tensor:
        rows, columns = torch.arange(len(scores)), torch.arange(scores.shape[1])
        return scores + 0.3 * (columns[None] * len(scores) // scores.shape[1] == rows[:, None])


class LateNoise(Vsepp):
    calls: ClassVar[Any] = count()

    def score_tile(self, images: Prepared, captions: Prepared) -> Tensor:
        scores = super().score_tile(images, captions)
        return scores + 0.2 * torch.rand_like(scores) if next(self.calls) >= 0 and scores.numel() > 20 else scores


class Remembers(Vsepp):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.seen: list[Tensor] = []

    def encode_images(self, features: Tensor) -> Tensor:
        encoded = super().encode_images(features)
        self.seen.append(encoded)
        return encoded + 0.5 * torch.cat(self.seen).mean(0) if len(encoded) > 16 else encoded


class FirstOfItsKind(Vsepp):
    """Answers by the order in which images were encoded, wherever there are many."""

    def encode_images(self, features: Tensor) -> Tensor:
        encoded = super().encode_images(features)
        return encoded * torch.linspace(0.2, 1.8, len(encoded))[:, None] if len(encoded) > 16 else encoded


SNEAKY = (
    CentredInLargeBatches,
    PaddedInLargeBatches,
    SoftmaxOverTheGallery,
    HubsTakenOff,
    QueriesExpanded,
    RoundedToWin,
    PlaceInTheTile,
    LateNoise,
    Remembers,
    FirstOfItsKind,
)


@pytest.mark.parametrize("model", SNEAKY)
def test_sneaky_scorers_that_small_galleries_do_not_show_are_caught(model: type[PairModel]) -> None:
    found, shown = checked("vsepp", model)
    assert not shown
    assert found.differing > 0
    assert found.largest > 1.0


PLUGIN = """
from camp_bench.models.vsepp.model import Vsepp

class Sneaky(Vsepp):
    def score_tile(self, images, captions):
        scores = super().score_tile(images, captions)
        return (20 * scores).softmax(0) if scores.numel() > 400 else scores
"""


def test_the_runs_record_says_so_and_tables_set_it_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sneaky.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "e.toml").write_text(
        f'data = "{DATA}"\ndevice = "cpu"\n[settings]\n'
        "dim = 16\nword_dim = 8\nepochs = 1\nwarmup_epochs = 1\nbatch_size = 10\nmin_count = 1\n"
    )
    results = str(tmp_path / "r")
    assert main(["run", str(tmp_path / "e.toml"), "--models", "sneaky:Sneaky,vsepp", "--results", results]) == 0
    tests = {record.config.model: record.evaluation("test") for record in map(read_record, list_records(results))}
    honest, sneaky = tests["vsepp"], tests["sneaky:Sneaky"]
    assert honest.score_check is not None
    assert (honest.score_check.differing, honest.transductive) == (0, False)
    assert sneaky.score_check is not None
    assert sneaky.score_check.differing > 0
    assert sneaky.transductive
    capsys.readouterr()
    assert main(["compare", results]) == 0
    assert "are others when their pair is scored alone" in " ".join(capsys.readouterr().out.split())
    assert main(["models", "test", "sneaky:Sneaky"]) == 1
    assert "FAILED  scores don't depend on tiles larger than a run's" in capsys.readouterr().out
