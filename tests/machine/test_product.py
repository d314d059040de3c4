"""Products by whichever kernel equal torch's own in double precision, gradients included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from camp_bench.machine.devices import autocast
from camp_bench.machine.product import SMALL, product, product_relu

SIZES = [(1, 1, 1), (3, 5, 2), (64, 70, 33), (200, 1, 1024), (1, 400, 300), (96, 128, 64)]


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("m", "n", "k"), SIZES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("kind", ["bare", "biased", "relu"])
def test_products_and_their_gradients(m: int, n: int, k: int, transposed: bool, kind: str) -> None:
    a, b, bias, outer = draw(m, k, seed=0), draw(n, k, seed=1), draw(n, seed=2), draw(m, n, seed=3)
    if transposed:
        a, b = a.T.contiguous().T, b.T.contiguous().T
    multiply = product_relu if kind == "relu" else product
    given = (a, b) if kind == "bare" else (a, b, bias)
    found = []
    for dtype in (torch.float32, torch.float64):
        leaves = [x.to(dtype).requires_grad_() for x in given]
        if dtype == torch.float64:
            result = leaves[0] @ leaves[1].T + sum(leaves[2:])
            result = result.relu() if kind == "relu" else result
        else:
            result = multiply(*leaves)
            assert torch.equal(multiply(*given), result)
        gradients = torch.autograd.grad(result, leaves, outer.to(dtype))
        found.append((result.detach(), *gradients))
    for one, exact in zip(*found, strict=True):
        torch.testing.assert_close(one.double(), exact, rtol=0, atol=1e-6 * max(m, n, k))


def test_a_factor_that_is_not_learnt_gets_no_gradient() -> None:
    a, b = draw(96, 64, seed=0).requires_grad_(), draw(128, 64, seed=1)
    assert SMALL < 96 * 128 * 64
    product(a, b).sum().backward()
    torch.testing.assert_close(a.grad, b.sum(0).expand(96, -1), rtol=0, atol=1e-4)
    assert b.grad is None


def test_rows_are_the_same_bits_in_threads_of_any_number() -> None:
    a, b = draw(576, 256, seed=0), draw(400, 256, seed=1)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(product(a, b))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_under_autocast_they_have_its_precision() -> None:
    a, b = draw(96, 64, seed=0), draw(128, 64, seed=1)
    with autocast(torch.device("cpu"), "bf16"):
        assert product(a, b).dtype == torch.bfloat16
        assert product_relu(a, b, draw(128, seed=2)).dtype == torch.bfloat16
