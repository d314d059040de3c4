"""The order measure: counted by hand, in tiles, and with a gradient where the norm is zero."""

from __future__ import annotations

import math

import pytest
import torch

from camp_bench.models.vsepp import order
from camp_bench.models.vsepp.order import order_plain, order_tile


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("form", [order_tile, order_plain])
def test_only_what_lies_above_the_image_counts(form: object) -> None:
    images = torch.tensor([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    captions = torch.tensor([[4.0, 6.0, 0.0], [1.0, 1.0, 1.0]])
    scores = form(images, captions)  # type: ignore[operator]
    expected = torch.tensor([[-5.0, 0.0], [-math.sqrt(52), -math.sqrt(3)]])
    torch.testing.assert_close(scores, expected)


def test_tile_equals_the_plain_form_with_and_without_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    images, captions = draw(7, 5), draw(11, 5, seed=1)
    plain = order_plain(images, captions)
    torch.testing.assert_close(order_tile(images, captions), plain)
    monkeypatch.setattr(order, "CHUNK", 2 * captions.numel())
    with torch.no_grad():
        torch.testing.assert_close(order_tile(images, captions), plain)


def test_gradients_are_right() -> None:
    images, captions = draw(3, 4).requires_grad_(), draw(2, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(order_tile, (images, captions))
    assert torch.autograd.gradcheck(order_plain, (images, captions))


def test_gradient_of_a_zero_norm_is_zero() -> None:
    images, captions = torch.ones(1, 3, requires_grad=True), torch.zeros(1, 3, requires_grad=True)
    order_tile(images, captions).sum().backward()
    assert images.grad is not None
    assert captions.grad is not None
    assert images.grad.abs().sum() == captions.grad.abs().sum() == 0
