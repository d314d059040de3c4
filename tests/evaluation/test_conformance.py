"""The checks that any model has to pass: our own pass, and each kind of misbehaviour fails the check that is for it."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from camp_bench.cli import main
from camp_bench.evaluation.conformance import CHECKS, check_model
from camp_bench.models import presets
from camp_bench.models.base import NoOptions, PairModel, Prepared, Variant
from camp_bench.models.registry import find_variant
from camp_bench.models.vsepp.model import Vsepp, VseppOptions


def failed(model: type[PairModel], options: Any = None) -> dict[str, str]:
    """Return the checks that a model fails, with what they found."""
    variant = Variant(
        name="m",
        model=model,
        options=options or VseppOptions(),
        settings={"quick": presets.QUICK},
        source="test",
        summary="test",
    )
    return {check.name: check.found for check in check_model(variant) if not check.passed}


@pytest.mark.parametrize("name", ["vsepp", "vsepp:order", "scan", "scan:i2t-avg", "scan:ensemble", "camp"])
def test_our_own_models_pass(name: str) -> None:
    checks = list(check_model(find_variant(name)))
    assert {check.name: check.found for check in checks if not check.passed} == {}
    assert len(checks) == len(CHECKS) + 1


class Broken(Vsepp):
    def __init__(self, *args: Any) -> None:
        raise ValueError("no\nway")


class Random(Vsepp):
    def score_tile(self, images: Prepared, captions: Prepared) -> Tensor:
        scores = super().score_tile(images, captions)
        return scores + torch.rand_like(scores)


class NaN(Vsepp):
    def score_tile(self, images: Prepared, captions: Prepared) -> Tensor:
        return super().score_tile(images, captions) * torch.nan


class Transposed(Vsepp):
    def score_tile(self, images: Prepared, captions: Prepared) -> Tensor:
        return super().score_tile(images, captions).T


class BatchNormalised(Vsepp):
    def encode_images(self, features: Tensor) -> Tensor:
        encoded = super().encode_images(features)
        return encoded - encoded.mean(0)


class Padded(Vsepp):
    def encode_captions(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return super().encode_captions(tokens, torch.full_like(lengths, tokens.shape[1]))


class Softmaxed(Vsepp):
    def score_tile(self, images: Prepared, captions: Prepared) -> Tensor:
        return super().score_tile(images, captions).softmax(0)


class SaysSo(Softmaxed):
    transductive = True


class OtherPlain(Vsepp):
    def score_plain(self, images: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
        return super().score_plain(images, captions, lengths) * 1.01


class Detached(Vsepp):
    def encode_captions(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        return super().encode_captions(tokens, lengths).detach()


class Unlearning(Vsepp):
    def loss(self, scores: Tensor, same: Tensor, *, hardest: bool) -> Tensor:
        return scores.sum() * 0 + 1


@pytest.mark.parametrize(
    ("model", "check", "said"),
    [
        (Broken, "it can be built", "ValueError: no way"),
        (Random, "the same seed gives the same scores", "random numbers"),
        (NaN, "scores are numbers, one a pair", "NaN or infinite"),
        (Transposed, "scores are numbers, one a pair", "TypeCheckError"),  # which only tests have; else the check's own
        (BatchNormalised, "an image's scores don't depend on its batch", "encoded alone"),
        (Padded, "a caption's scores don't depend on padding or its batch", "without padding"),
        (Softmaxed, "scores don't depend on the gallery", "transductive = True"),
        (Softmaxed, "scores don't depend on tiles", "tiles of 4 x 5"),
        (OtherPlain, "the plain form agrees", "score_plain and score_tile differ"),
        (Detached, "gradients reach every weight", "no gradient reaches caption_encoder.words.weight"),
        (Unlearning, "training lowers the loss", "took the loss from 1 to 1"),
    ],
)
def test_a_fault_fails_the_check_that_is_for_it(model: type[PairModel], check: str, said: str) -> None:
    assert said in failed(model)[check]


def test_a_model_that_can_t_be_built_gets_no_further_checks() -> None:
    assert list(failed(Broken)) == ["it can be built"]


def test_a_transductive_model_that_says_so_may_look_at_the_gallery() -> None:
    assert "scores don't depend on the gallery" not in failed(SaysSo)


def test_a_model_without_options_has_none() -> None:
    variant = dataclasses.replace(find_variant("vsepp"), options=NoOptions())
    assert msgspec.to_builtins(variant.options) == {}


def test_the_command_says_what_failed_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Vsepp, "loss", Unlearning.loss)
    assert main(["models", "test", "vsepp"]) == 1
    out, err = capsys.readouterr()
    assert "FAILED  training lowers the loss: 30 steps on one batch took the loss from 1 to 1" in out
    assert err == "vsepp: 2 check(s) failed\n"


def test_the_command_refuses_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "test", "vsep"]) == 2
    assert "did you mean 'vsepp'?" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["test"], ["tests", "vsepp"], ["list", "vsepp"]])
def test_the_command_refuses_other_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", *words]) == 2
    assert "expected 'models' or 'models test NAME'" in capsys.readouterr().err
