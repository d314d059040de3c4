"""What an epoch's log tells of a model's parts: by hand for a model that is known, and there for every form of CAMP."""

from __future__ import annotations

import msgspec
import pytest
import torch
from examples import SETTINGS, TINY

from camp_bench.data import open_dataset
from camp_bench.data.corpus import Corpus, TokenizedSplit
from camp_bench.evaluation.vitals import flat_parts, vital_signs
from camp_bench.models.base import PairModel, Shape
from camp_bench.models.registry import build_model, find_variant, resolve_options
from camp_bench.runs.train import train

CPU = torch.device("cpu")
GATED = ("camp", "camp:scalar-gates", "camp:gate_fusion_new", "camp:gate_fusion", "camp:gate_fusion-sum")
UNGATED = ("camp:cross_attention_new", "camp:cross_attention_new:masked", "camp:cross_attention")
LENGTHS = {"regions_rms", "words_rms", "region_messages_rms", "word_messages_rms"}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus(open_dataset(TINY), ("train", "dev"))


def split_of(corpus: Corpus, name: str) -> TokenizedSplit:
    return corpus.encoded(name, corpus.vocabulary("train+dev", 1), 47)


def make_model(corpus: Corpus, name: str, *, even: bool) -> PairModel:
    variant, settings = find_variant(name), msgspec.structs.replace(SETTINGS, epochs=1, stages=())
    shape = Shape(len(corpus.vocabulary("train+dev", 1)), corpus.splits["train"].feature_size)
    return build_model(variant, settings, resolve_options(variant, {"even_rms": float(even)}), shape, 0)


@pytest.mark.parametrize("name", [*GATED, *UNGATED])
def test_every_form_of_camp_has_them(name: str, corpus: Corpus) -> None:
    model = make_model(corpus, name, even=True)
    signs = vital_signs(model, split_of(corpus, "train"), CPU)
    gates = {"gates_mean", "gates_sd"} if name in GATED else set()
    assert signs.keys() == LENGTHS | {"attention_entropy"} | gates
    assert signs["regions_rms"] == pytest.approx(1, abs=1e-5)
    assert signs["words_rms"] == pytest.approx(1, abs=1e-5)
    assert 0 < signs["region_messages_rms"] <= 1 + 1e-5
    assert 0 < signs["attention_entropy"] <= 1 + 1e-5
    assert model.training  # as it was


def test_short_words_show(corpus: Corpus) -> None:
    short, even = (
        vital_signs(make_model(corpus, "camp:gate_fusion", even=on), split_of(corpus, "train"), CPU)
        for on in (False, True)
    )
    assert short["words_rms"] < 0.2 * short["regions_rms"]
    assert even["gates_sd"] > short["gates_sd"]


def test_gates_of_one_value_and_even_attention_are_told(corpus: Corpus) -> None:
    model = make_model(corpus, "camp:gate_fusion", even=False)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith("key_") or "caption_encoder" in name:
                weight.zero_()
    signs = vital_signs(model, split_of(corpus, "train"), CPU)
    assert (signs["gates_mean"], signs["gates_sd"], signs["words_rms"]) == (0.5, 0, 0)
    assert signs["attention_entropy"] == pytest.approx(1)
    assert len(flat_parts(signs)) == 2


class Quiet:
    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None:
        pass

    def on_tile(self, split: str, done: int, total: int) -> None:
        pass

    def on_epoch(self, log: object, epochs: int) -> None:
        pass


@pytest.mark.parametrize(("name", "clamped"), [("camp:cross_attention", True), ("camp:gate_fusion", False)])
def test_the_log_tells_what_share_the_loss_as_published_clamps(name: str, clamped: bool, corpus: Corpus) -> None:
    trained = train(
        make_model(corpus, name, even=True),
        split_of(corpus, "train"),
        split_of(corpus, "dev"),
        seed=0,
        device=CPU,
        precision="fp32",
        observer=Quiet(),
    )
    vitals = trained.epochs[0].vitals
    assert vitals.keys() >= LENGTHS
    assert ("clamped" in vitals) == clamped
