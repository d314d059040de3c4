"""A split evaluated in tiles against one big score matrix, and what the grid may and may not change."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from examples import SETTINGS, TINY

from camp_bench.data import open_dataset
from camp_bench.data.batches import pad_tokens
from camp_bench.data.corpus import Corpus, TokenizedSplit
from camp_bench.errors import NumericError
from camp_bench.evaluation import evaluate as module
from camp_bench.evaluation.evaluate import Asked, evaluate
from camp_bench.models.base import PairModel, Shape
from camp_bench.models.registry import build_model, find_variant
from camp_bench.ranking.tiles import rank_matrix

CPU = torch.device("cpu")
MODELS = ["vsepp", "scan", "scan:i2t-avg", "camp"]


@pytest.fixture(scope="module")
def split() -> TokenizedSplit:
    corpus = Corpus(open_dataset(TINY.replace("test=5", "test=9")), ("train", "dev", "test"))
    return corpus.encoded("test", corpus.vocabulary("train+dev", 1), 47)


def make_model(name: str, split: TokenizedSplit, *, tile_images: int = 4, tile_captions: int = 10) -> PairModel:
    variant = find_variant(name)
    settings = msgspec.structs.replace(SETTINGS, tile_images=tile_images, tile_captions=tile_captions)
    words = 1 + max(max(ids) for ids in split.token_ids)
    return build_model(variant, settings, variant.options, Shape(words, split.split.feature_size), 3)


@pytest.mark.parametrize("name", MODELS)
def test_tiles_give_the_ranks_of_the_whole_matrix(name: str, split: TokenizedSplit) -> None:
    model = make_model(name, split)
    found = evaluate(model, split, Asked(device=CPU))
    features = torch.from_numpy(split.split.gather(np.arange(split.split.n_images)))
    tokens, lengths = pad_tokens(split.token_ids)
    with torch.no_grad():
        scores = model.eval()(features, tokens, lengths)
    whole = rank_matrix(scores, split.split.image_of)
    np.testing.assert_allclose(found.ranks.t2i.top_scores, whole.t2i.top_scores, atol=2e-6)
    np.testing.assert_allclose(found.ranks.i2t.top_scores, whole.i2t.top_scores, atol=2e-6)
    assert np.abs(found.ranks.i2t.b - whole.i2t.b).max() <= 1  # where scores differ by their last bit
    assert (found.ranks.t2i.b != whole.t2i.b).mean() < 0.1


@pytest.mark.parametrize("name", MODELS)
def test_same_grid_gives_the_same_digits(name: str, split: TokenizedSplit) -> None:
    one, two = (evaluate(make_model(name, split), split, Asked(device=CPU)) for _ in range(2))
    assert one.metrics == two.metrics
    assert np.array_equal(one.ranks.i2t.top_scores, two.ranks.i2t.top_scores)


def test_model_is_left_in_the_mode_it_was_in(split: TokenizedSplit) -> None:
    model = make_model("vsepp", split)
    for training in (True, False):
        model.train(training)
        evaluate(model, split, Asked(device=CPU))
        assert model.training is training


def test_progress_counts_every_tile_once(split: TokenizedSplit) -> None:
    heard: list[tuple[int, int]] = []
    evaluate(make_model("vsepp", split), split, Asked(device=CPU, on_tile=lambda *told: heard.append(told)))
    assert [done for done, _ in heard] == list(range(1, heard[0][1] + 1))


def test_nan_score_names_the_pair(split: TokenizedSplit) -> None:
    model = make_model("vsepp", split)
    with torch.no_grad():
        model.image_encoder.weight.zero_()  # type: ignore[union-attr]
    with pytest.raises(NumericError, match=r"score is NaN for image 0 and caption \d+"):
        evaluate(model, split, Asked(device=CPU))


def test_nan_score_in_a_fold_names_the_pair_by_its_numbers_in_the_split(
    split: TokenizedSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    features = split.split.features.copy()
    features[split.split.feature_rows[6]] = np.nan
    broken = TokenizedSplit(replace(split.split, features=features), split.token_ids)
    folds = [np.array([1, 2, 8]), np.array([0, 3, 7]), np.array([4, 5, 6])]
    monkeypatch.setattr(module, "folds_of", lambda *_: folds)
    with pytest.raises(NumericError, match=r"^test: score is NaN for image 6 and caption (\d+) \(") as caught:
        evaluate(make_model("vsepp", split), broken, Asked(device=CPU))
    found = re.search(r"caption (\d+)", str(caught.value))
    assert found is not None
    assert split.split.image_of[int(found[1])] in folds[2]


@pytest.mark.parametrize("name", ["vsepp", "camp"])
def test_folds_are_ranked_by_themselves_and_their_metrics_averaged(
    name: str, split: TokenizedSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(name, split)
    folds = [np.array([1, 2, 8]), np.array([0, 3, 7]), np.array([4, 5, 6])]
    with monkeypatch.context() as patch:
        patch.setattr(module, "folds_of", lambda *_: folds)
        joint = evaluate(model, split, Asked(device=CPU))
    alone = []
    for fold in folds:
        part, captions = split.subset(fold)
        assert part.split.captions == tuple(split.split.captions[i] for i in captions)
        assert np.array_equal(fold[part.split.image_of], split.split.image_of[captions])
        assert np.array_equal(part.split.gather(np.arange(3)), split.split.gather(fold))
        found = evaluate(model, part, Asked(device=CPU))
        alone.append(found)
        assert np.array_equal(joint.ranks.i2t.b[fold], found.ranks.i2t.b)
        assert np.array_equal(joint.ranks.t2i.b[captions], found.ranks.t2i.b)
        assert np.array_equal(joint.ranks.t2i.top_ids[captions], fold[found.ranks.t2i.top_ids])
        assert np.array_equal(joint.ranks.i2t.top_ids[fold], captions[found.ranks.i2t.top_ids])
    for metric, value in joint.metrics.items():
        assert value == pytest.approx(np.mean([part.metrics[metric] for part in alone]))
    assert joint.chance_rsum > evaluate(model, split, Asked(device=CPU)).chance_rsum
