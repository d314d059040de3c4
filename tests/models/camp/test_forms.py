"""CAMP's ablations: the fast form equals the plain one in every combination, gradients included."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from camp_bench.models.camp.plain import CampForm, camp_plain
from camp_bench.models.camp.tile import camp_tile
from camp_bench.models.norms import word_mask

DIM = 6
LENGTHS = torch.tensor([7, 1, 4, 3, 2])
FORMS = [
    CampForm(attention=attention, gates=gates, fusion=fusion, residual=residual, pooling=pooling, score=score)
    for attention, gates, fusion, residual, pooling, score in product(
        (True, False),
        ("element", "scalar", "none"),
        ("sum", "concat", "product"),
        (True, False),
        ("attention", "mean"),
        ("mlp", "cosine"),
    )
] + [
    CampForm(attention=attention, gates=gates, residual=residual, pooling=pooling, similarity=similarity)
    for attention, gates, residual, pooling, similarity in product(
        (True, False), ("element", "scalar"), (True, False), ("attention", "mean"), ("cosine", "agreement")
    )
]


def draw_inputs(form: CampForm) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    fused = 2 * DIM if form.fusion == "concat" else DIM
    weights = {
        "key_image": draw(DIM, DIM),
        "key_text": draw(DIM, DIM),
        "fuse_image": draw(fused, DIM),
        "fuse_image_bias": draw(DIM),
        "fuse_text": draw(fused, DIM),
        "fuse_text_bias": draw(DIM),
        "attend_image": draw(DIM),
        "attend_text": draw(DIM),
        "hidden": draw(DIM, DIM),
        "hidden_bias": draw(DIM),
        "out": draw(DIM),
        "out_bias": draw(1)[0],
        "similarity": draw(3),
    }
    captions = draw(len(LENGTHS), 7, DIM) * word_mask(LENGTHS, 7)[:, :, None]
    return draw(3, 4, DIM), captions, weights


@pytest.mark.parametrize(
    "form", FORMS, ids=lambda form: "-".join(str(getattr(form, name)) for name in form.__struct_fields__)
)
def test_fast_form_is_the_plain_one(form: CampForm) -> None:
    images, captions, weights = draw_inputs(form)
    leaves = [images, captions, *weights.values()]
    for leaf in leaves:
        leaf.requires_grad_()
    fast = camp_tile(
        images, images @ weights["key_image"], captions, captions @ weights["key_text"], LENGTHS, weights, form
    )
    plain = camp_plain(images, captions, LENGTHS, weights, form)
    torch.testing.assert_close(fast, plain, rtol=0, atol=1e-11)
    few = torch.zeros(3, 5, dtype=torch.float64)
    few[0, 1], few[2, 3] = 1.0, -2.0
    for outer in (
        torch.linspace(-1, 2, 15, dtype=torch.float64).view(3, 5),
        few,
    ):  # dense, and as hardest negatives give
        found, expected = (
            torch.autograd.grad(
                (scores * outer).sum(), leaves, retain_graph=True, materialize_grads=True, allow_unused=True
            )
            for scores in (fast, plain)
        )
        real = word_mask(LENGTHS, 7)[:, :, None]
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            shown = (one * real, other * real) if place == 1 else (one, other)
            torch.testing.assert_close(*shown, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("form", [CampForm(attention=False, fusion="concat"), CampForm(gates="scalar", pooling="mean")])
def test_gradients_of_ablations_are_right(form: CampForm) -> None:
    images, captions, weights = draw_inputs(form)
    words = captions[:2].clone()
    keys = images @ weights["key_image"], words @ weights["key_text"]

    def score(images: Tensor, words: Tensor) -> Tensor:
        return camp_tile(images, keys[0], words, keys[1], torch.tensor([7, 7]), weights, form)

    assert torch.autograd.gradcheck(score, (images.requires_grad_(), words.requires_grad_()))
