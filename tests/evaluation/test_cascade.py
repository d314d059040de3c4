"""A cascade against the full ranking: the same where everything is proposed, counted pairs where it is not."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch
from examples import SETTINGS, TINY

from camp_bench.data import open_dataset
from camp_bench.data.corpus import Corpus, TokenizedSplit
from camp_bench.errors import DeviceError, NumericError
from camp_bench.evaluation.cascade import Cascade, evaluate_cascade
from camp_bench.evaluation.evaluate import Asked
from camp_bench.models.base import PairModel, Prepared, Shape
from camp_bench.models.registry import build_model, find_variant
from camp_bench.models.scan.model import Scan

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def items() -> TokenizedSplit:
    corpus = Corpus(open_dataset(TINY.replace("test=5", "test=9")), ("train", "dev", "test"))
    return corpus.encoded("test", corpus.vocabulary("train+dev", 1), 47)


def make_model(name: str, items: TokenizedSplit, **changes: object) -> PairModel:
    variant = find_variant(name)
    words = 1 + max(max(ids) for ids in items.token_ids)
    settings = msgspec.structs.replace(SETTINGS, **changes)
    return build_model(variant, settings, variant.options, Shape(words, items.split.feature_size), 3)


@pytest.mark.parametrize("budget", ["1GB", "150KB"])
@pytest.mark.parametrize("name", ["scan", "camp"])
def test_proposing_everything_changes_nothing(items: TokenizedSplit, name: str, budget: str) -> None:
    found = evaluate_cascade(
        make_model(name, items, memory_budget=budget),
        make_model("vsepp", items),
        items,
        items,
        10_000,
        Asked(device=CPU),
    )
    assert found.pairs_scored == found.pairs <= items.split.n_images * items.split.n_captions
    for direction in ("i2t", "t2i"):
        one, other = getattr(found.reranked.ranks, direction), getattr(found.full.ranks, direction)
        np.testing.assert_allclose(one.top_scores, other.top_scores, atol=2e-6)
        assert (one.b != other.b).mean() < 0.1  # scores of other tiles may differ in their last bit
        assert np.array_equal(one.b + one.n + one.p >= 1, other.b + other.n + other.p >= 1)


def test_only_the_union_of_both_directions_is_scored(items: TokenizedSplit) -> None:
    split = items.split
    found = evaluate_cascade(make_model("scan", items), make_model("vsepp", items), items, items, 2, Asked(device=CPU))
    assert 2 * split.n_images <= found.pairs_scored <= 2 * (split.n_images + split.n_captions)
    assert found.pairs_scored < found.pairs
    assert found.reranked.ranks.i2t.top_ids.shape == (split.n_images, 2)
    assert found.seconds > 0


def test_a_model_that_proposes_to_itself_keeps_its_first_places(items: TokenizedSplit) -> None:
    model = make_model("scan", items)
    found = evaluate_cascade(model, model, items, items, 4, Asked(device=CPU))
    for direction in ("i2t", "t2i"):
        one, other = getattr(found.reranked.ranks, direction), getattr(found.full.ranks, direction)
        np.testing.assert_allclose(one.top_scores, other.top_scores[:, :4], atol=2e-6)
        assert np.abs(one.b - other.b).max() <= 1


def test_models_are_left_in_the_mode_they_were_in(items: TokenizedSplit) -> None:
    model, proposer = make_model("scan", items).train(), make_model("vsepp", items).eval()
    evaluate_cascade(model, proposer, items, items, 2, Asked(device=CPU))
    assert (model.training, proposer.training) == (True, False)


def test_pairs_for_which_memory_runs_out_name_a_smaller_budget_or_adapt_to_it(
    items: TokenizedSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(**changes: object) -> Cascade:
        model = make_model("scan", items, memory_budget="50KB", **changes)
        return evaluate_cascade(model, make_model("vsepp", items), items, items, 5, Asked(device=CPU))

    score = Scan.score_tile

    def too_much(self: Scan, images: Prepared, captions: Prepared) -> torch.Tensor:
        if len(captions["words"]) == 1 and len(images["regions"]) > 6:  # more than any tile of 50 KB has
            raise torch.OutOfMemoryError("tried to allocate 1 TiB\nand more")
        return score(self, images, captions)

    enough = evaluate()
    monkeypatch.setattr(Scan, "score_tile", too_much)
    with pytest.raises(DeviceError, match=r"of memory \(tried.*\); pass --memory-budget 25KB or less .*or --adapt$"):
        evaluate()
    found = evaluate(adapt=True)
    assert (enough.reranked.tiling.budget_bytes, found.reranked.tiling.budget_bytes) == (50_000, 12_500)
    assert found.full.tiling.budget_bytes == 50_000
    assert found.pairs_scored == enough.pairs_scored
    for direction in ("i2t", "t2i"):
        one, other = getattr(found.reranked.ranks, direction), getattr(enough.reranked.ranks, direction)
        np.testing.assert_allclose(one.top_scores, other.top_scores, atol=2e-6)


def test_nan_score_names_the_pair(items: TokenizedSplit) -> None:
    model = make_model("scan", items)
    with torch.no_grad():
        model.image_encoder.bias[0] = torch.nan  # type: ignore[union-attr, operator]
    with pytest.raises(NumericError, match=r"test: score is NaN for image \d+ and caption \d+"):
        evaluate_cascade(model, make_model("vsepp", items), items, items, 2, Asked(device=CPU))
