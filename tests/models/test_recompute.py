"""Gradients of whole CAMP models in float32, as training takes them, beside the plain form's in double precision."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import nullcontext

import msgspec
import pytest
import torch
from far_tensors import Far
from torch import Tensor

from camp_bench.data.batches import pad_tokens
from camp_bench.models.base import PairModel, Shape
from camp_bench.models.losses import same_image
from camp_bench.models.recompute import score_tile
from camp_bench.models.registry import build_model, find_variant, variants

NAMES = sorted(variant.name for variant in variants() if variant.name.split(":")[0] == "camp")
BATCH = 8
SHAPE = Shape(vocabulary_size=40, feature_size=24)


def make_model(name: str) -> PairModel:
    variant = find_variant(name)
    small = msgspec.structs.replace(variant.settings["quick"], dim=48, word_dim=16, word_spread=1.0, stages=())
    return build_model(variant, small, variant.options, SHAPE, seed=0)  # type: ignore[arg-type]


def make_batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(BATCH, 12, SHAPE.feature_size, generator=generator)
    sentences = [torch.randint(40, (length,), generator=generator) for length in (9, 3, 12, 7, 1, 8, 16, 5)]
    tokens, lengths = pad_tokens([words.tolist() for words in sentences])
    return features, tokens, lengths


def gap_of_negatives(scores: Tensor) -> float:
    """Return by how much the hardest negative of any image or caption leads at least."""
    wrong = scores.detach().masked_fill(torch.eye(len(scores), dtype=torch.bool), -torch.inf)
    best = torch.cat((wrong.topk(2, 1).values, wrong.T.topk(2, 1).values))
    return float((best[:, 0] - best[:, 1]).min())


@pytest.mark.parametrize("hardest", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_in_float32_are_the_plain_form_s_in_double(name: str, hardest: bool) -> None:
    features, tokens, lengths = make_batch()
    model, same = make_model(name), same_image(torch.arange(BATCH))
    exact = copy.deepcopy(model).double()
    model.loss(model(features, tokens, lengths), same, hardest=hardest).backward()
    images, captions = exact.encode_images(features.double()), exact.encode_captions(tokens, lengths)
    scores = exact.score_plain(images, captions, lengths)
    assert gap_of_negatives(scores) > 1e-5  # no tie that rounding could break otherwise
    exact.loss(scores, same, hardest=hardest).backward()
    expected = {name: weight.grad for name, weight in exact.named_parameters() if weight.grad is not None}
    whole = math.sqrt(sum(float(gradient.square().sum()) for gradient in expected.values()))
    assert whole > 1e-3
    for part, gradient in expected.items():
        found = model.get_parameter(part).grad
        assert found is not None
        assert float((found.double() - gradient).norm()) <= 1e-4 * float(gradient.norm()) + 1e-6 * whole


def test_lengths_on_the_cpu_go_with_scores_of_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: a hardest negative's pairs are picked there, while the captions' lengths stayed on the CPU."""
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda _device: torch.bfloat16)  # the device meta has none
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _device: False)
    monkeypatch.setattr(torch, "autocast", lambda *_how: nullcontext())
    lengths, images, captions = torch.tensor([2, 1, 3, 2]), torch.randn(4, 3), torch.randn(4, 3)
    seen: list[list[int]] = []

    def tile(images: Sequence[Tensor], captions: Sequence[Tensor], _shared: Sequence[Tensor]) -> Tensor:
        return images[0] @ captions[0].T

    def pairs(images: Sequence[Tensor], captions: Sequence[Tensor], _shared: Sequence[Tensor]) -> Tensor:
        seen.append(captions[1].tolist())
        return (images[0] * captions[0]).sum(1)

    found = []
    for far in (False, True):
        sides = [(Far(side) if far else side.clone()).requires_grad_() for side in (images, captions)]
        scores = score_tile(tile, pairs, sides[:1], (sides[1], lengths))
        scores[torch.tensor([0, 1, 2]), torch.tensor([2, 3, 0])].sum().backward()
        found.append([side.grad.inner if isinstance(side.grad, Far) else side.grad for side in sides])
    assert seen == [[3, 2, 2], [3, 2, 2]]
    for near, away in zip(*found, strict=True):
        assert near is not None
        assert away is not None
        assert torch.equal(near, away)
