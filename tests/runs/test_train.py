"""The training loop against what it promises: schedule, best epoch, clipping, and clear ends where numbers fail."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from examples import SETTINGS, TINY
from torch import Tensor

from camp_bench.config import Stage
from camp_bench.data import open_dataset
from camp_bench.data.batches import pad_tokens
from camp_bench.data.corpus import Corpus, TokenizedSplit
from camp_bench.data.dataset import Split
from camp_bench.errors import ConfigError, DataError, NumericError
from camp_bench.evaluation.evaluate import Asked, evaluate
from camp_bench.models.base import PairModel, Shape
from camp_bench.models.registry import build_model, find_variant, resolve_options
from camp_bench.records import EpochLog
from camp_bench.runs.train import Trained, train

CPU = torch.device("cpu")


class Quiet:
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None:
        self.losses.append(loss)

    def on_tile(self, split: str, done: int, total: int) -> None:
        pass

    def on_epoch(self, log: EpochLog, epochs: int) -> None:
        pass


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return Corpus(open_dataset(TINY), ("train", "dev"))


def make_model(
    corpus: Corpus, name: str = "vsepp", options: Mapping[str, Any] | None = None, **changes: Any
) -> PairModel:
    settings = msgspec.structs.replace(SETTINGS, **changes)
    variant = find_variant(name)
    shape = Shape(len(corpus.vocabulary("train+dev", 1)), corpus.splits["train"].feature_size)
    return build_model(variant, settings, resolve_options(variant, options or {}), shape, 0)


def split_of(corpus: Corpus, name: str) -> TokenizedSplit:
    return corpus.encoded(name, corpus.vocabulary("train+dev", 1), 47)


def fit(model: PairModel, corpus: Corpus, *, seed: int = 0, train_on: TokenizedSplit | None = None) -> Trained:
    return train(
        model,
        train_on or split_of(corpus, "train"),
        split_of(corpus, "dev"),
        seed=seed,
        device=CPU,
        precision="fp32",
        observer=Quiet(),
    )


def test_schedule_is_the_one_asked_for(corpus: Corpus) -> None:
    model = make_model(corpus, epochs=4, warmup_epochs=2, decay_epochs=(1, 3), learning_rate=0.01, validate_every=3)
    logs = fit(model, corpus).epochs
    assert [log.learning_rate for log in logs] == pytest.approx([0.01, 0.001, 0.001, 0.0001])
    assert [log.negatives for log in logs] == ["all", "all", "hardest", "hardest"]
    assert [log.dev_rsum is not None for log in logs] == [False, False, True, True]


def test_model_ends_with_the_weights_of_its_best_epoch(corpus: Corpus) -> None:
    model = make_model(corpus, epochs=6, learning_rate=0.05)
    trained = fit(model, corpus)
    scores = [log.dev_rsum for log in trained.epochs]
    assert trained.best_epochs[0] == 1 + int(np.argmax([score or 0 for score in scores]))
    dev = split_of(corpus, "dev")
    again = evaluate(model, dev, Asked(device=CPU))
    assert again.metrics == trained.dev.metrics
    assert again.metrics["rsum"] == max(score for score in scores if score is not None)


def test_training_lowers_the_loss(corpus: Corpus) -> None:
    trained = fit(make_model(corpus, epochs=8, warmup_epochs=8), corpus)
    assert trained.epochs[-1].loss < 0.7 * trained.epochs[0].loss


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_both_optimizers_step(corpus: Corpus, optimizer: str) -> None:
    model = make_model(corpus, optimizer=optimizer, momentum=0.9, epochs=1)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    fit(model, corpus)
    assert any(not torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_clipping_bounds_a_step(corpus: Corpus) -> None:
    moved = {}
    for clip_norm in (1e-6, 0.0):
        model = make_model(corpus, optimizer="sgd", learning_rate=1.0, clip_norm=clip_norm, epochs=1, batch_size=60)
        before = torch.cat([weight.detach().flatten().clone() for weight in model.parameters()])
        fit(model, corpus)
        after = torch.cat([weight.detach().flatten() for weight in model.parameters()])
        moved[clip_norm] = float((after - before).norm())
    assert moved[1e-6] < 2e-6 < moved[0.0]


def test_batch_order_depends_on_the_seed(corpus: Corpus) -> None:
    one, same, other = (fit(make_model(corpus), corpus, seed=seed).weights for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_bf16_trains_and_evaluates_in_float32(corpus: Corpus) -> None:
    model = make_model(corpus)
    trained = train(
        model,
        split_of(corpus, "train"),
        split_of(corpus, "dev"),
        seed=0,
        device=CPU,
        precision="bf16",
        observer=Quiet(),
    )
    assert all(weight.dtype == torch.float32 for weight in trained.weights.values())
    assert not torch.equal(
        trained.weights["image_encoder.weight"], fit(make_model(corpus), corpus).weights["image_encoder.weight"]
    )


def replace_features(split: TokenizedSplit, image: int, value: float) -> TokenizedSplit:
    source = split.split
    features = np.array(source.features)
    features[source.feature_rows[image]] = value
    changed = Split(
        name=source.name,
        features=features,
        feature_rows=source.feature_rows,
        image_ids=source.image_ids,
        captions=source.captions,
        image_of=source.image_of,
    )
    return TokenizedSplit(changed, split.token_ids)


def test_image_without_features_is_named_where_vsepp_cannot_normalise_it(corpus: Corpus) -> None:
    broken = replace_features(split_of(corpus, "train"), 7, 0.0)
    with pytest.raises(NumericError, match=r"epoch 1, step \d+: the loss is nan because of train image 7"):
        fit(make_model(corpus), corpus, train_on=broken)


def test_diverging_training_is_named(corpus: Corpus) -> None:
    huge = replace_features(split_of(corpus, "train"), 3, 3e38)
    with pytest.raises(NumericError, match=r"epoch 1, step \d+: the loss is (nan|inf)"):
        fit(make_model(corpus, "camp"), corpus, train_on=huge)


def test_single_image_cannot_be_trained_on(corpus: Corpus) -> None:
    whole = split_of(corpus, "train")
    own = whole.split.image_of == 0
    one = Split(
        name="train",
        features=whole.split.features[:1],
        feature_rows=np.array([0]),
        image_ids=("x",),
        captions=tuple(c for c, mine in zip(whole.split.captions, own, strict=True) if mine),
        image_of=np.zeros(int(own.sum()), dtype=np.int64),
    )
    ids = [tokens for tokens, mine in zip(whole.token_ids, own, strict=True) if mine]
    with pytest.raises(DataError, match=r"1 image\(s\) with 5 caption\(s\)"):
        fit(make_model(corpus), corpus, train_on=TokenizedSplit(one, ids))


@pytest.mark.parametrize(("name", "each"), [("vsepp", 2 * 0.2), ("camp", 4 * math.log(2))])
def test_plateau_is_that_of_a_constant_scorer(corpus: Corpus, name: str, each: float) -> None:
    model = make_model(corpus, name, epochs=1, warmup_epochs=0, batch_size=60)
    (log,) = fit(model, corpus).epochs
    assert log.plateau == pytest.approx(60 * each)
    assert not log.collapsed


def test_model_whose_scores_are_one_constant_has_collapsed(corpus: Corpus) -> None:
    model = make_model(corpus, "camp", epochs=1, warmup_epochs=0, learning_rate=1e-12)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    (log,) = fit(model, corpus).epochs
    assert log.collapsed
    assert log.loss == pytest.approx(log.plateau)


def test_members_of_an_ensemble_are_trained_by_themselves_and_averaged(corpus: Corpus) -> None:
    ensemble = make_model(corpus, "scan:ensemble", epochs=2)
    initial = [{name: weight.clone() for name, weight in member.state_dict().items()} for member in ensemble.members]
    trained = fit(ensemble, corpus)
    assert [log.epoch for log in trained.epochs] == [1, 2, 3, 4]
    assert [log.negatives for log in trained.epochs] == ["all", "hardest"] * 2
    first, second = trained.best_epochs
    assert (first in (1, 2), second in (3, 4)) == (True, True)
    for place, name in enumerate(("scan:t2i-avg", "scan:i2t-lse")):
        alone = make_model(corpus, name, epochs=2)
        alone.load_state_dict(initial[place])
        weights = fit(alone, corpus).weights
        assert all(torch.equal(weights[key], trained.weights[f"parts.{place}.{key}"]) for key in weights)
    dev = split_of(corpus, "dev")
    tokens, lengths = pad_tokens(dev.token_ids)
    features = torch.from_numpy(dev.split.gather(np.arange(dev.split.n_images)))
    with torch.no_grad():
        scores = [model.eval()(features, tokens, lengths) for model in (ensemble, *ensemble.members)]
    torch.testing.assert_close(scores[0], (scores[1] + scores[2]) / 2)


def test_only_hardest_negatives_and_most_of_an_epoch_make_a_collapse(corpus: Corpus) -> None:
    (log,) = fit(make_model(corpus, epochs=1), corpus).epochs
    assert not msgspec.structs.replace(log, negatives="all", on_plateau=1.0).collapsed
    assert not msgspec.structs.replace(log, negatives="hardest", on_plateau=0.5).collapsed
    assert msgspec.structs.replace(log, negatives="hardest", on_plateau=0.95).collapsed


STAGES = (
    Stage(
        name="attention",
        model="camp:cross_attention_new:masked",
        options={"loss": "triplet"},
        settings={"epochs": 2, "learning_rate": 0.003, "validate_every": 2},
    ),
    Stage(name="fusion", freeze=("encoders", "attention"), settings={"epochs": 1, "optimizer": "sgd"}),
    Stage(name="all", settings={"epochs": 3, "warmup_epochs": 0, "batch_size": 12}),
)


def test_stages_follow_each_other_with_settings_of_their_own(corpus: Corpus) -> None:
    model = make_model(corpus, "camp:gate_fusion_new", stages=STAGES, warmup_epochs=1, validate_every=2)
    whole = model.settings
    trained = fit(model, corpus)
    logs = trained.epochs
    assert [(log.epoch, log.stage) for log in logs] == [
        (1, "attention"),
        (2, "attention"),
        (3, "fusion"),
        (4, "all"),
        (5, "all"),
        (6, "all"),
    ]
    assert [log.negatives for log in logs] == ["all", "hardest", "all", "hardest", "hardest", "hardest"]
    assert [log.learning_rate for log in logs] == [0.003, 0.003, 0.01, 0.01, 0.01, 0.01]
    assert [log.steps for log in logs] == [8, 8, 8, 5, 5, 5]
    assert trained.steps == sum(log.steps for log in logs)
    # an earlier stage is validated where its settings say so, the end of the last one always
    assert [log.dev_rsum is not None for log in logs] == [False, True, False, False, True, True]
    assert trained.best_epochs[0] in (5, 6)
    assert trained.dev.metrics["rsum"] == logs[trained.best_epochs[0] - 1].dev_rsum
    assert model.settings is whole
    assert all(weight.requires_grad for weight in model.parameters())


def test_a_stage_starts_from_what_the_one_before_has_learnt(corpus: Corpus) -> None:
    def learnt(stages: tuple[Stage, ...]) -> dict[str, Tensor]:
        return fit(make_model(corpus, "camp:gate_fusion_new", stages=stages), corpus).weights

    still = Stage(name="still", settings={"epochs": 1, "learning_rate": 1e-30})
    after, fresh = learnt((STAGES[0], still)), learnt((still,))
    first = fit(make_model(corpus, "camp:cross_attention_new:masked"), corpus).weights
    changed = {name for name in after if float((after[name] - fresh[name]).abs().max()) > 1e-6}
    assert changed == set(first) & set(after), "all that both models have, and nothing else"


def test_a_frozen_part_stays_as_it_is(corpus: Corpus) -> None:
    model = make_model(corpus, "camp:gate_fusion_new", stages=STAGES[1:2])
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    after = fit(model, corpus).weights
    same = {name.split(".")[0] for name in before if torch.equal(before[name], after[name])}
    other = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    attention = {
        f"{kind}_{side}" for kind in ("key", "query", "second_key", "second_query") for side in ("image", "text")
    }
    assert same == {"image_encoder", "caption_encoder"} | attention
    assert other == {f"{kind}_{side}" for kind in ("fuse", "pool", "heads") for side in ("image", "text")} | {
        "hidden",
        "out",
    }


def test_a_stage_that_leaves_nothing_to_learn_is_refused_before_the_first_step(corpus: Corpus) -> None:
    stages = (Stage(name="first"), Stage(name="idle", freeze=("encoders",)))
    observer = Quiet()
    with pytest.raises(ConfigError, match="stage 'idle': freezes encoders, which is all there is to learn"):
        train(
            make_model(corpus, stages=stages),
            split_of(corpus, "train"),
            split_of(corpus, "dev"),
            seed=0,
            device=CPU,
            precision="fp32",
            observer=observer,
        )
    assert observer.losses == []


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("camp:gate_fusion_new", "cross_entropy"),
        ("camp:gate_fusion-sum", "cross_entropy"),
        ("camp:gate_fusion", "cross_entropy"),
        ("camp:cross_attention_new", "triplet"),
        ("camp:cross_attention", "triplet"),
    ],
)
def test_training_lowers_the_loss_of_the_released_measures(corpus: Corpus, name: str, loss: str) -> None:
    changes = {"dim": 32, "word_spread": 1.0, "epochs": 8, "warmup_epochs": 8, "validate_every": 8}
    trained = fit(make_model(corpus, name, {"loss": loss}, **changes), corpus)
    assert trained.epochs[-1].loss < 0.9 * trained.epochs[0].loss
