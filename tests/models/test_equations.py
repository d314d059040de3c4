"""The scorers: plain forms against floats computed one by one, fast forms against the plain ones, gradients of both."""

from __future__ import annotations

import math
from itertools import product
from typing import Any, Literal

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from camp_bench.config import Settings
from camp_bench.machine.devices import autocast
from camp_bench.models.base import PairModel, Shape
from camp_bench.models.camp.plain import CampForm, camp_plain
from camp_bench.models.losses import triplet_loss
from camp_bench.models.norms import l2norm, norm_from_square, unit, word_mask
from camp_bench.models.registry import build_model, find_variant, resolve_options
from camp_bench.models.scan import tile as scan
from camp_bench.models.scan.plain import normalize_affinity, scan_attention, scan_plain

Vector = list[float]

DIRECTIONS = ("t2i", "i2t")
POOLINGS = ("lse", "avg", "max", "sum")
NORMS = ("softmax", "l2norm", "clipped_l2norm", "l1norm", "clipped_l1norm", "clipped", "none")
SCAN_FORMS = list(product(DIRECTIONS, POOLINGS, NORMS))
LENGTHS = torch.tensor([5, 2, 7, 1])


# --- the papers' equations on plain floats -------------------------------------------------------------------------


def dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def softmax(values: Vector) -> Vector:
    powers = [math.exp(value) for value in values]
    return [power / math.fsum(powers) for power in powers]


def mixture(weights: Vector, vectors: list[Vector]) -> Vector:
    return [dot(weights, [vector[d] for vector in vectors]) for d in range(len(vectors[0]))]


def normalized(row: Vector, norm: str) -> Vector:
    if norm.startswith("clipped"):
        row = [value if value > 0 else 0.1 * value for value in row]
    if norm == "softmax":
        return softmax(row)
    if norm.endswith("l2norm"):
        return [value / (math.sqrt(dot(row, row)) + 1e-8) for value in row]
    if norm.endswith("l1norm"):
        return [value / (math.fsum(map(abs, row)) + 1e-8) for value in row]
    return row


def scan_by_floats(
    image: list[Vector], caption: list[Vector], direction: str, pooling: str, norm: str, sharp: float, pool: float
) -> float:
    """Lee et al., ECCV 2018: equations 1 to 5 for `i2t`, 6 to 10 for `t2i`."""
    queries, contexts = (caption, image) if direction == "t2i" else (image, caption)
    table = [normalized([dot(context, query) for query in queries], norm) for context in contexts]
    cosines = []
    for q, query in enumerate(queries):
        attended = mixture(softmax([sharp * row[q] for row in table]), contexts)
        lengths = math.sqrt(dot(query, query)) * math.sqrt(dot(attended, attended))
        cosines.append(dot(query, attended) / max(lengths, 1e-8))
    if pooling == "lse":
        return math.log(math.fsum(math.exp(pool * cosine) for cosine in cosines)) / pool
    return {"avg": math.fsum(cosines) / len(cosines), "max": max(cosines), "sum": math.fsum(cosines)}[pooling]


def camp_by_floats(
    image: list[Vector], caption: list[Vector], weights: dict[str, Tensor], similarity: str = "none"
) -> float:
    """Wang et al., ICCV 2019, equations 1 to 11, up to the sigmoid of the last; and what is added to that."""
    w = {name: value.tolist() for name, value in weights.items()}
    dim = len(image[0])

    def linear(x: Vector, name: str, bias: str | None = None) -> Vector:
        out = mixture(x, w[name])
        return out if bias is None else [a + b for a, b in zip(out, w[bias], strict=True)]

    image_keys = [linear(region, "key_image") for region in image]
    text_keys = [linear(word, "key_text") for word in caption]
    table = [[dot(a, b) / math.sqrt(len(a)) for b in text_keys] for a in image_keys]

    def fuse(own: Vector, message: Vector, side: str) -> Vector:
        gated = [(a + b) / (1 + math.exp(-a * b)) for a, b in zip(own, message, strict=True)]
        return [max(0.0, a) + b for a, b in zip(linear(gated, f"fuse_{side}", f"fuse_{side}_bias"), own, strict=True)]

    def cosine(a: Vector, b: Vector) -> float:
        return dot(a, b) / max(math.sqrt(dot(a, a) * dot(b, b)), 1e-8)

    columns = [list(column) for column in zip(*table, strict=True)]
    pooled, agreement = {}, {}
    for side, own, others, rows in (("image", image, caption, table), ("text", caption, image, columns)):
        messages = [mixture(softmax(row), others) for row in rows]
        fused = [fuse(x, message, side) for x, message in zip(own, messages, strict=True)]
        shares = softmax([dot(x, w[f"attend_{side}"]) / math.sqrt(dim) for x in fused])
        pooled[side] = mixture(shares, fused)
        agreement[side] = dot(shares, [cosine(x, message) for x, message in zip(own, messages, strict=True)])
    both = [a + b for a, b in zip(pooled["image"], pooled["text"], strict=True)]
    hidden = [max(0.0, value) for value in linear(both, "hidden", "hidden_bias")]
    terms = [cosine(pooled["image"], pooled["text"]), agreement["image"], agreement["text"]]
    used = {"none": 0, "cosine": 1, "agreement": 3}[similarity]
    return dot(hidden, w["out"]) + w["out_bias"] + dot(w["similarity"][:used], terms[:used])


# --- what the tests score ------------------------------------------------------------------------------------------


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def draw_captions(lengths: Tensor, dim: int, seed: int = 1, longest: int | None = None) -> Tensor:
    """Return random words, zero beyond each caption's length."""
    words = int(lengths.max()) if longest is None else longest
    return draw(len(lengths), words, dim, seed=seed) * word_mask(lengths, words)[:, :, None]


def small_model(name: str, dim: int, **options: Any) -> PairModel:
    """Return a model whose encoders don't matter here, in double, with no weight left at zero."""
    variant = find_variant(name)
    small = msgspec.structs.replace(variant.settings["quick"], dim=dim, word_dim=2)
    assert isinstance(small, Settings)
    model = build_model(variant, small, resolve_options(variant, options), Shape(5, 3), seed=0).double()
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) * 0.5)
    return model.requires_grad_(False)


def fast(model: PairModel, images: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
    """Score encoded items as evaluation does: prepared once, then as one tile."""
    return model.score_tile(model.prepare_images(images), model.prepare_captions(captions, lengths))


def scan_model(direction: str, pooling: str, norm: str, dim: int = 6, **lambdas: float) -> PairModel:
    suffix = "" if norm == "clipped_l2norm" else f"-{norm}"
    return small_model(f"scan:{direction}-{pooling}{suffix}", dim, **lambdas)


def settled(images: Tensor, captions: Tensor, lengths: Tensor, direction: str, norm: str) -> Tensor:
    """Return which pairs have a cosine at all: not those with a context that cancels down to its rounding errors."""
    columns = []
    for caption, length in zip(captions, lengths.tolist(), strict=True):
        words = caption[:length].expand(len(images), -1, -1)
        weights, _ = scan_attention(images, words, direction=direction, norm=norm, lambda_attention=9.0)
        context = images if direction == "t2i" else words
        attended = torch.linalg.vector_norm(weights.transpose(1, 2) @ context, dim=2)
        given = (weights * torch.linalg.vector_norm(context, dim=2, keepdim=True)).sum(1)
        columns.append(((attended > 1e-5 * given) | (given == 0)).all(1))
    return torch.stack(columns, 1)


def random_camp_weights(dim: int, hidden: int) -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {
        "key_image": (dim, hidden),
        "key_text": (dim, hidden),
        "fuse_image": (dim, dim),
        "fuse_image_bias": (dim,),
        "fuse_text": (dim, dim),
        "fuse_text_bias": (dim,),
        "attend_image": (dim,),
        "attend_text": (dim,),
        "hidden": (dim, dim),
        "hidden_bias": (dim,),
        "out": (dim,),
        "out_bias": (),
        "similarity": (3,),
    }
    return {name: draw(*shape, seed=seed) for seed, (name, shape) in enumerate(shapes.items(), start=20)}


# --- tests ---------------------------------------------------------------------------------------------------------


class TestCommon:
    def test_l2norm_by_hand(self) -> None:
        assert l2norm(torch.tensor([[3.0, -4.0]], dtype=torch.float64))[0].tolist() == [3 / (5 + 1e-8), -4 / (5 + 1e-8)]
        columns = l2norm(torch.tensor([[3.0, 0.0], [4.0, 2.0]], dtype=torch.float64), 0)
        assert columns.T.tolist() == [[3 / (5 + 1e-8), 4 / (5 + 1e-8)], [0.0, 2 / (2 + 1e-8)]]

    def test_l2norm_of_a_zero_vector_is_zero_with_zero_gradient(self) -> None:
        x = torch.tensor([[0.0, 0.0], [0.0, 2.0]], requires_grad=True)
        y = l2norm(x)
        assert y[0].tolist() == [0, 0]
        y.sum().backward()
        assert x.grad is not None
        assert x.grad[0].tolist() == [0, 0]
        assert x.grad[1].tolist() == pytest.approx([0.5, 0.0], abs=1e-6)

    def test_unit_by_hand_and_nan_for_a_zero_vector(self) -> None:
        found = unit(torch.tensor([[3.0, -4.0], [0.0, 0.0]], dtype=torch.float64))
        assert found[0].tolist() == [0.6, -0.8]
        assert found[1].isnan().all()

    def test_norm_from_square_has_no_gradient_where_rounding_made_a_square_negative(self) -> None:
        square = torch.tensor([4.0, 0.0, -1e-9], requires_grad=True)
        norm = norm_from_square(square)
        assert norm.tolist() == [2, 0, 0]
        norm.sum().backward()
        assert square.grad is not None
        assert square.grad.tolist() == [0.25, 0, 0]

    def test_word_mask(self) -> None:
        assert word_mask(torch.tensor([2, 0, 3]), 3).tolist() == [[True, True, False], [False] * 3, [True] * 3]

    @pytest.mark.parametrize(
        ("norm", "expected"),
        [
            ("softmax", [1 / (1 + math.exp(-7)), 1 / (1 + math.exp(7))]),
            ("l2norm", [0.6, -0.8]),
            ("clipped_l2norm", [3 / math.sqrt(9.16), -0.4 / math.sqrt(9.16)]),
            ("l1norm", [3 / 7, -4 / 7]),
            ("clipped_l1norm", [3 / 3.4, -0.4 / 3.4]),
            ("clipped", [3.0, -0.4]),
            ("none", [3.0, -4.0]),
        ],
    )
    def test_affinities_are_normalised(self, norm: str, expected: Vector) -> None:
        table = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
        assert normalize_affinity(table, norm, 1)[0].tolist() == pytest.approx(expected, abs=1e-8)
        assert normalize_affinity(table.T, norm, 0)[:, 0].tolist() == pytest.approx(expected, abs=1e-8)


class TestScan:
    def test_two_regions_and_two_words_by_hand(self) -> None:
        """S = [[1, 0.6], [0, 0.8]]; attention by powers of two, so that the weights can be written down."""
        image = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
        caption = torch.tensor([[[1.0, 0.0], [0.6, 0.8]]], dtype=torch.float64)

        def score(direction: str, pooling: str) -> float:
            sharp = {"norm": "none", "lambda_attention": math.log(2), "lambda_pooling": 3.0}
            return float(
                scan_plain(image, caption, torch.tensor([2]), direction=direction, pooling=pooling, **sharp)  # type: ignore[arg-type]
            )

        # words attend: (2, 1) / 3 of the regions for the first, (1, 2^0.2) / (1 + 2^0.2) for the second
        first = 2 / math.sqrt(5)
        second = (0.6 + 0.8 * 2**0.2) / math.sqrt(1 + 2**0.4)
        assert score("t2i", "avg") == pytest.approx((first + second) / 2, abs=1e-12)
        assert score("t2i", "sum") == pytest.approx(first + second, abs=1e-12)
        assert score("t2i", "max") == pytest.approx(second, abs=1e-12)
        lse = math.log(math.exp(3 * first) + math.exp(3 * second)) / 3
        assert score("t2i", "lse") == pytest.approx(lse, abs=1e-12)
        # regions attend: (2, 2^0.6) of the words (1, 0), (0.6, 0.8) for the first, (1, 2^0.8) for the second
        x, y = 2 + 0.6 * 2**0.6, 0.8 * 2**0.6
        first = x / math.hypot(x, y)
        x, y = 1 + 0.6 * 2**0.8, 0.8 * 2**0.8
        second = y / math.hypot(x, y)
        assert score("i2t", "avg") == pytest.approx((first + second) / 2, abs=1e-12)
        assert score("i2t", "max") == pytest.approx(first, abs=1e-12)

    def test_affinities_are_normalised_along_the_attending_side(self) -> None:
        """Text to image, each region's affinities with the words have length 1: row [3, 4] becomes [0.6, 0.8]."""
        image = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]], dtype=torch.float64)
        caption = torch.tensor([[[3.0, 0.0], [4.0, 1.0]]], dtype=torch.float64)
        found = scan_plain(
            image,
            caption,
            torch.tensor([2]),
            direction="t2i",
            pooling="sum",
            norm="l2norm",
            lambda_attention=1.0,
            lambda_pooling=1.0,
        )
        # S = [[3, 4], [0, 1]] -> [[0.6, 0.8], [0, 1]]; word 0 weighs e^0.6 : e^0, word 1 e^0.8 : e^1
        first = math.exp(0.6) / math.hypot(math.exp(0.6), 1)
        second = (4 * math.exp(0.8) + math.exp(1)) / (math.sqrt(17) * math.hypot(math.exp(0.8), math.exp(1)))
        assert float(found) == pytest.approx(first + second, abs=1e-7)

    @pytest.mark.parametrize(("direction", "pooling", "norm"), SCAN_FORMS)
    def test_plain_form_is_the_paper_s(self, direction: str, pooling: str, norm: str) -> None:
        images, captions = draw(3, 4, 6), draw_captions(LENGTHS, 6)
        found = scan_plain(
            images,
            captions,
            LENGTHS,
            direction=direction,
            pooling=pooling,
            norm=norm,
            lambda_attention=2.5,
            lambda_pooling=1.5,
        )
        expected = [
            [
                scan_by_floats(image, caption[:length], direction, pooling, norm, 2.5, 1.5)
                for caption, length in zip(captions.tolist(), LENGTHS.tolist(), strict=True)
            ]
            for image in images.tolist()
        ]
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-11)

    @pytest.mark.parametrize(("direction", "pooling", "norm"), SCAN_FORMS)
    def test_fast_form_and_its_gradient_are_the_plain_one_s(self, direction: str, pooling: str, norm: str) -> None:
        model = scan_model(direction, pooling, norm, lambda_attention=4.0, lambda_pooling=3.0)
        mask = word_mask(LENGTHS, 7)[:, :, None]
        shares = draw(3, 4, seed=9)
        found = []
        for form in (fast, plain):
            images, captions = draw(3, 4, 6).requires_grad_(), draw_captions(LENGTHS, 6).requires_grad_()
            scores = form(model, images, captions * mask, LENGTHS)
            gradients = torch.autograd.grad((scores * shares).sum(), (images, captions))
            found.append((scores.detach(), *gradients))
        for quick, slow in zip(*found, strict=True):
            torch.testing.assert_close(quick, slow, rtol=1e-10, atol=1e-10)

    @settings(max_examples=30)
    @given(st.data())
    def test_fast_form_agrees_for_any_sizes(self, data: st.DataObject) -> None:
        sizes = st.integers(1, 6)
        n_images, regions, dim = data.draw(sizes), data.draw(sizes), data.draw(sizes)
        lengths = torch.tensor(data.draw(st.lists(sizes, min_size=1, max_size=5)))
        direction, pooling, norm = data.draw(st.sampled_from(SCAN_FORMS))
        model = scan_model(direction, pooling, norm, dim=dim)
        images, captions = draw(n_images, regions, dim, seed=3), draw_captions(lengths, dim, seed=4)
        found = fast(model, images, captions, lengths)
        torch.testing.assert_close(found, model.score_plain(images, captions, lengths), rtol=1e-9, atol=1e-9)

    @settings(max_examples=30, deadline=None)
    @given(st.data())
    def test_fast_form_agrees_in_float32_in_many_pieces(self, data: st.DataObject) -> None:
        """Unit vectors, as the encoders give, some of them zero; tiles of several packs and bands, or of one number."""
        sizes = st.integers(1, 40)
        n_images, regions, dim = data.draw(sizes), data.draw(sizes), data.draw(sizes)
        lengths = torch.tensor(data.draw(st.lists(sizes, min_size=1, max_size=30)))
        direction, pooling, norm = data.draw(st.sampled_from(SCAN_FORMS))
        images, captions = draw(n_images, regions, dim, seed=3), draw_captions(lengths, dim, seed=4)
        images[0, 0] = captions[0, 0] = 0
        images[-1] *= data.draw(st.sampled_from([0, 1]))
        images, captions = l2norm(images).float(), l2norm(captions).float()
        model = scan_model(direction, pooling, norm, dim=dim, lambda_attention=9.0).float()
        exact = model.score_plain(images.double(), captions.double(), lengths)
        before = scan.ENTRIES
        try:
            scan.ENTRIES = data.draw(st.sampled_from([before, 3000]))
            found = fast(model, images, captions, lengths)
        finally:
            scan.ENTRIES = before
        scale = lengths.max() if pooling == "sum" and direction == "t2i" else regions if pooling == "sum" else 1
        sure = settled(images.double(), captions.double(), lengths, direction, norm)
        torch.testing.assert_close(found.double()[sure], exact[sure], rtol=0, atol=1e-5 * float(scale))

    @pytest.mark.parametrize("sharp", [9.0, 60.0])
    @pytest.mark.parametrize(("direction", "pooling", "norm"), SCAN_FORMS)
    def test_float32_scores_and_gradients_are_the_plain_one_s(
        self, direction: str, pooling: str, norm: str, sharp: float
    ) -> None:
        """More captions than lie side by side at most, some of one word; every pair has a gradient."""
        lengths = torch.arange(140) * 7 % 9 + 1
        model = scan_model(direction, pooling, norm, dim=16, lambda_attention=sharp)
        shares = draw(5, len(lengths), seed=9)
        found = []
        for form, dtype in ((fast, torch.float32), (plain, torch.float64)):
            inputs = tuple(items.to(dtype).requires_grad_() for items in (draw(5, 7, 16), draw_captions(lengths, 16)))
            scores = form(model.to(dtype), l2norm(inputs[0]), l2norm(inputs[1]), lengths)
            gradients = torch.autograd.grad((scores * shares.to(dtype)).sum(), inputs)
            found.append([scores.detach().double(), *(gradient.double() for gradient in gradients)])
        (scores, *gradients), (exact, *others) = found
        torch.testing.assert_close(scores, exact, rtol=0, atol=1e-5)
        whole = math.hypot(*(float(gradient.norm()) for gradient in others))
        for quick, slow in zip(gradients, others, strict=True):
            assert (quick - slow).norm() <= 1e-4 * slow.norm() + 1e-6 * whole

    @pytest.mark.parametrize("hardest", [True, False])
    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_float32_gradients_of_the_loss_are_the_plain_one_s(self, direction: str, hardest: bool) -> None:
        """The seeds are such that the hardest negatives lead by enough for both forms to choose the same."""
        lengths = torch.arange(24) % 9 + 4
        model = scan_model(direction, "lse", "clipped_l2norm", dim=32)
        same = torch.eye(24, dtype=torch.bool)
        found = []
        for form, dtype in ((fast, torch.float32), (plain, torch.float64)):
            inputs = tuple(items.to(dtype).requires_grad_() for items in (draw(24, 9, 32), draw_captions(lengths, 32)))
            scores = form(model.to(dtype), l2norm(inputs[0]), l2norm(inputs[1]), lengths)
            if dtype == torch.float64:
                for lines in (scores.detach(), scores.detach().T):
                    first, second = lines.masked_fill(same, -torch.inf).topk(2, dim=1).values.unbind(1)
                    assert (first - second).min() > 1e-5
            loss = triplet_loss(scores, same, margin=0.2, hardest=hardest)
            found.append([gradient.double() for gradient in torch.autograd.grad(loss, inputs)])
        whole = math.hypot(*(float(gradient.norm()) for gradient in found[1]))
        for quick, slow in zip(*found, strict=True):
            assert (quick - slow).norm() <= 1e-4 * slow.norm() + 1e-6 * whole

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    @pytest.mark.parametrize(("direction", "pooling", "norm"), SCAN_FORMS)
    def test_what_is_no_number_is_no_score(self, direction: str, pooling: str, norm: str, value: float) -> None:
        """Of its own image, and of no other."""
        model = scan_model(direction, pooling, norm).float()
        images, captions = draw(3, 4, 6).float(), draw_captions(LENGTHS, 6).float()
        images[1, 2, 3] = value
        scores = fast(model, images, captions, LENGTHS)
        assert scores.isfinite().tolist() == [[True] * 4, [False] * 4, [True] * 4]

    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_great_lambdas_neither_overflow_nor_vanish(self, direction: str) -> None:
        lengths = torch.tensor([5, 2, 7, 1])
        images, captions = l2norm(draw(3, 4, 6)).float(), l2norm(draw_captions(lengths, 6)).float()
        model = scan_model(direction, "lse", "clipped_l2norm", lambda_attention=300.0, lambda_pooling=500.0).float()
        exact = model.score_plain(images.double(), captions.double(), lengths)
        torch.testing.assert_close(fast(model, images, captions, lengths).double(), exact, rtol=0, atol=1e-4)

    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_the_number_of_threads_changes_no_bit(self, direction: str) -> None:
        lengths = torch.arange(60) % 17 + 3
        images, captions = l2norm(draw(40, 36, 64)).float(), l2norm(draw_captions(lengths, 64)).float()
        model = scan_model(direction, "lse", "clipped_l2norm", dim=64).float()
        before, found = torch.get_num_threads(), []
        try:
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                found.append(fast(model, images, captions, lengths))
        finally:
            torch.set_num_threads(before)
        assert torch.equal(found[0], found[1])
        assert torch.equal(found[0], found[2])

    @pytest.mark.parametrize(("direction", "pooling", "norm"), SCAN_FORMS)
    def test_padding_does_not_change_a_score(self, direction: str, pooling: str, norm: str) -> None:
        model = scan_model(direction, pooling, norm)
        images = draw(3, 4, 6)
        tight, padded = draw_captions(LENGTHS, 6), torch.zeros(4, 12, 6, dtype=torch.float64)
        padded[:, :7] = tight
        found = fast(model, images, padded, LENGTHS)
        torch.testing.assert_close(found, fast(model, images, tight, LENGTHS), rtol=0, atol=1e-12)
        alone = fast(model, images, tight[1:2, :2], LENGTHS[1:2])
        torch.testing.assert_close(found[:, 1:2], alone, rtol=0, atol=1e-12)
        padded[1, 2:] = 7.0  # the plain form does not even look
        torch.testing.assert_close(model.score_plain(images, padded, LENGTHS), found, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("direction", DIRECTIONS)
    @pytest.mark.parametrize("pooling", POOLINGS)
    def test_float32_keeps_six_digits(self, direction: str, pooling: str) -> None:
        lengths = torch.tensor([12, 3, 20, 9])
        images, captions = l2norm(draw(5, 36, 64)), l2norm(draw_captions(lengths, 64))
        model = scan_model(direction, pooling, "clipped_l2norm", dim=64)
        exact = model.score_plain(images, captions, lengths)
        found = fast(model.float(), images.float(), captions.float(), lengths)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), exact, rtol=2e-6, atol=2e-6)

    @pytest.mark.parametrize(
        ("direction", "pooling", "norm"),
        [(d, p, "clipped_l2norm") for d, p in product(DIRECTIONS, POOLINGS)]
        + [(d, "lse", n) for d, n in product(DIRECTIONS, NORMS) if n != "clipped_l2norm"],
    )
    @pytest.mark.parametrize("form", ["fast", "plain"])
    def test_gradients_are_those_of_finite_differences(
        self, form: str, direction: str, pooling: str, norm: str
    ) -> None:
        model = scan_model(direction, pooling, norm, dim=3, lambda_attention=2.0, lambda_pooling=3.0)
        lengths = torch.tensor([3, 1])
        score = fast if form == "fast" else plain

        def scores(images: Tensor, captions: Tensor) -> Tensor:
            return score(model, images, captions * word_mask(lengths, 3)[:, :, None], lengths)

        inputs = (draw(2, 2, 3, seed=5).requires_grad_(), draw(2, 3, 3, seed=6).requires_grad_())
        assert torch.autograd.gradcheck(scores, inputs)

    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_contexts_that_nearly_cancel_keep_their_digits(self, direction: str) -> None:
        """Two opposed vectors, attended to alike, leave 1/1000 of their length: its square has 1e-7 of the table's."""
        opposed = torch.tensor([[[1.0, 0.0, 0.0], [-1.0, 1e-3, 0.0]]])
        others = torch.tensor([[[0.0, 1.0, 0.0], [0.0, 0.6, 0.8]]])
        images, captions = (opposed, others) if direction == "t2i" else (others, opposed)
        lengths = torch.tensor([2])
        model = scan_model(direction, "sum", "none", dim=3, lambda_attention=0.05)
        exact = model.score_plain(images.double(), captions.double(), lengths)
        torch.testing.assert_close(exact, torch.tensor([[1.598]], dtype=torch.float64), rtol=0, atol=1e-3)
        found = fast(model.float(), images, captions, lengths)
        torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-5)

    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_contexts_that_nearly_cancel_are_scored_under_autocast_too(self, direction: str) -> None:
        opposed = torch.tensor([[[1.0, 0.0, 0.0], [-1.0, 2**-6, 0.0]]])
        others = torch.tensor([[[0.0, 1.0, 0.0], [0.0, 0.5, 0.5]]])
        images, captions = (opposed, others) if direction == "t2i" else (others, opposed)
        lengths = torch.tensor([2])
        model = scan_model(direction, "sum", "none", dim=3, lambda_attention=0.05).float()
        exact = model.score_plain(images, captions, lengths)
        inputs = (images.clone().requires_grad_(), captions.clone().requires_grad_())
        with autocast(torch.device("cpu"), "bf16"):
            found = fast(model, *inputs, lengths)
        assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(found.sum(), inputs))
        torch.testing.assert_close(found.detach().float(), exact, rtol=0, atol=0.1)

    @pytest.mark.parametrize("direction", DIRECTIONS)
    def test_gradients_of_contexts_that_nearly_cancel_keep_their_digits(self, direction: str) -> None:
        opposed = torch.tensor([[[1.0, 0.0, 0.0], [-1.0, 1e-3, 0.0]]], dtype=torch.float64)
        others = torch.tensor([[[0.0, 1.0, 0.1], [0.0, 0.6, 0.8]]], dtype=torch.float64)
        images, captions = (opposed, others) if direction == "t2i" else (others, opposed)
        lengths = torch.tensor([2])
        model = scan_model(direction, "sum", "none", dim=3, lambda_attention=0.05)
        found = []
        for form in (fast, plain):
            inputs = (images.clone().requires_grad_(), captions.clone().requires_grad_())
            scores = form(model, *inputs, lengths)
            found.append(torch.autograd.grad(scores.sum(), inputs))
        for quick, slow in zip(*found, strict=True):
            torch.testing.assert_close(quick, slow, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("direction", DIRECTIONS)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_contexts_that_cancel_exactly_score_zero(self, direction: str, dtype: torch.dtype) -> None:
        opposed = torch.tensor([[[0.6, 0.8], [-0.6, -0.8]]], dtype=dtype)
        others = torch.tensor([[[0.8, -0.6], [-0.8, 0.6], [1.6, -1.2]]], dtype=dtype)
        images, captions = (opposed, others) if direction == "t2i" else (others, opposed)
        lengths = torch.tensor([captions.shape[1]])
        model = scan_model(direction, "sum", "none", dim=2).to(dtype)
        assert abs(float(fast(model, images, captions, lengths))) < 1e-6
        assert abs(float(model.score_plain(images, captions, lengths))) < 1e-6

    @pytest.mark.parametrize(("direction", "pooling", "norm"), SCAN_FORMS)
    def test_zero_vectors_score_finite_and_get_no_gradient(self, direction: str, pooling: str, norm: str) -> None:
        """One image of zeros, one region of zeros, a caption of zeros, a word of zeros: before the normalisation."""
        model = scan_model(direction, pooling, norm)
        found = []
        for form in (fast, plain):
            images, captions = draw(3, 4, 6), draw_captions(LENGTHS, 6)
            images[0] = images[1, 2] = captions[0] = captions[2, 3] = 0
            images.requires_grad_()
            captions.requires_grad_()
            scores = form(model, l2norm(images), l2norm(captions), LENGTHS)
            assert scores.isfinite().all()
            image_gradient, caption_gradient = torch.autograd.grad(scores.sum(), (images, captions))
            assert image_gradient[0].abs().max() == image_gradient[1, 2].abs().max() == 0
            assert caption_gradient[0].abs().max() == caption_gradient[2, 3].abs().max() == 0
            for gradient in (image_gradient, caption_gradient):
                assert gradient.isfinite().all()
                assert 0 < gradient.abs().max() < 1e3
            found.append(scores.detach())
        torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)
        places = 4 if direction == "i2t" else 5  # of caption 0, which all have cosine 0
        pooled = {"lse": math.log(places), "avg": 0.0, "max": 0.0, "sum": 0.0}[pooling]
        sharp = float(model.options.lambda_pooling) if pooling == "lse" else 1.0
        assert found[0][:, 0].tolist() == pytest.approx([pooled / sharp] * 3, abs=1e-9)


class TestCamp:
    def test_two_regions_and_two_words_by_hand(self) -> None:
        """Keys that don't look at anything, fusion that keeps its input, so that each step can be written down."""
        one, zero = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
        weights = {
            "key_image": 0 * one,
            "key_text": 0 * one,
            "fuse_image": one,
            "fuse_image_bias": zero,
            "fuse_text": 2 * one,
            "fuse_text_bias": zero,
            "attend_image": torch.tensor([math.sqrt(2), 0.0], dtype=torch.float64),
            "attend_text": zero,
            "hidden": one,
            "hidden_bias": torch.tensor([0.5, -100.0], dtype=torch.float64),
            "out": torch.tensor([3.0, 1.0], dtype=torch.float64),
            "out_bias": torch.tensor(-0.25, dtype=torch.float64),
        }
        image = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]], dtype=torch.float64)  # mean (0.5, 1): each word's message
        caption = torch.tensor([[[2.0, 0.0], [-1.0, 1.0]]], dtype=torch.float64)  # mean (0.5, 0.5): each region's

        def gate(x: float) -> float:
            return 1 / (1 + math.exp(-x))

        # first coordinates only: the second is cut off by a bias of -100
        regions = [gate(0.5) * 1.5 + 1, gate(0.0) * 0.5 + 0]
        words = [2 * gate(1.0) * 2.5 + 2, max(0.0, 2 * gate(-0.5) * -0.5) - 1]
        shares = [math.exp(regions[0]), math.exp(regions[1])]
        pooled = (shares[0] * regions[0] + shares[1] * regions[1]) / sum(shares) + (words[0] + words[1]) / 2
        expected = 3 * (pooled + 0.5) - 0.25
        assert float(camp_plain(image, caption, torch.tensor([2]), weights)) == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize("similarity", ["none", "cosine", "agreement"])
    @pytest.mark.parametrize(("dim", "hidden"), [(2, 2), (4, 4), (3, 5)])
    def test_plain_form_is_the_paper_s(
        self, dim: int, hidden: int, similarity: Literal["none", "cosine", "agreement"]
    ) -> None:
        weights = random_camp_weights(dim, hidden)
        images, captions = draw(3, 2, dim), draw_captions(LENGTHS, dim)
        expected = [
            [
                camp_by_floats(image, caption[:length], weights, similarity)
                for caption, length in zip(captions.tolist(), LENGTHS.tolist(), strict=True)
            ]
            for image in images.tolist()
        ]
        found = camp_plain(images, captions, LENGTHS, weights, CampForm(similarity=similarity))
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-11, atol=1e-11)

    @settings(max_examples=30)
    @given(st.data())
    def test_fast_form_and_its_gradient_are_the_plain_one_s(self, data: st.DataObject) -> None:
        sizes = st.integers(1, 6)
        n_images, regions, dim = data.draw(sizes), data.draw(sizes), data.draw(sizes)
        lengths = torch.tensor(data.draw(st.lists(sizes, min_size=1, max_size=5)))
        model = small_model("camp", dim)
        shares = draw(n_images, len(lengths), seed=9)
        found = []
        for form in (fast, plain):
            images, captions = draw(n_images, regions, dim), draw_captions(lengths, dim)
            inputs = (images.requires_grad_(), captions.requires_grad_())
            mask = word_mask(lengths, captions.shape[1])[:, :, None]
            scores = form(model, images, captions * mask, lengths)
            found.append((scores.detach(), *torch.autograd.grad((scores * shares).sum(), inputs)))
        for quick, slow in zip(*found, strict=True):
            torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-9)

    def test_gradients_of_all_weights_are_the_plain_one_s(self) -> None:
        found = []
        for form in (fast, plain):
            model = small_model("camp", 6).requires_grad_()
            scores = form(model, draw(3, 4, 6), draw_captions(LENGTHS, 6), LENGTHS)
            (scores * draw(3, 4, seed=9)).sum().backward()
            found.append({name: weight.grad for name, weight in model.named_parameters()})
        assert sum(gradient is not None for gradient in found[1].values()) == 12
        for name, slow in found[1].items():
            torch.testing.assert_close(found[0][name], slow, rtol=1e-10, atol=1e-10)

    def test_padding_does_not_change_a_score(self) -> None:
        model = small_model("camp", 6)
        images = draw(3, 4, 6)
        tight, padded = draw_captions(LENGTHS, 6), torch.zeros(4, 12, 6, dtype=torch.float64)
        padded[:, :7] = tight
        found = fast(model, images, padded, LENGTHS)
        torch.testing.assert_close(found, fast(model, images, tight, LENGTHS), rtol=0, atol=1e-12)
        torch.testing.assert_close(found[:, 1:2], fast(model, images, tight[1:2, :2], LENGTHS[1:2]), rtol=0, atol=1e-12)
        padded[1, 2:] = 7.0
        torch.testing.assert_close(model.score_plain(images, padded, LENGTHS), found, rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("form", ["fast", "plain"])
    def test_gradients_are_those_of_finite_differences(self, form: str) -> None:
        model, lengths = small_model("camp", 3), torch.tensor([3, 1])
        score = fast if form == "fast" else plain

        def scores(images: Tensor, captions: Tensor) -> Tensor:
            return score(model, images, captions * word_mask(lengths, 3)[:, :, None], lengths)

        inputs = (draw(2, 2, 3, seed=5).requires_grad_(), draw(2, 3, 3, seed=6).requires_grad_())
        assert torch.autograd.gradcheck(scores, inputs)

    def test_zero_vectors_score_finite_with_finite_gradients(self) -> None:
        model = small_model("camp", 6)
        found = []
        for form in (fast, plain):
            images, captions = draw(3, 4, 6), draw_captions(LENGTHS, 6)
            images[0] = images[1, 2] = captions[0] = captions[2, 3] = 0
            inputs = (images.requires_grad_(), captions.requires_grad_())
            scores = form(model, *inputs, LENGTHS)
            gradients = torch.autograd.grad(scores.sum(), inputs)
            assert all(value.isfinite().all() for value in (scores, *gradients))
            assert max(float(gradient.abs().max()) for gradient in gradients) < 1e3
            found.append(scores.detach())
        torch.testing.assert_close(*found, rtol=1e-10, atol=1e-10)


class TestCosine:
    def test_two_images_and_two_captions_by_hand(self) -> None:
        model = small_model("vsepp", 2)
        images, captions = torch.tensor([[0.6, 0.8], [1.0, 0.0]]), torch.tensor([[0.8, -0.6], [0.0, 1.0]])
        for score in (fast, plain):
            found = score(model, images, captions, torch.tensor([3, 2]))
            torch.testing.assert_close(found, torch.tensor([[0.0, 0.8], [0.8, 0.0]]), rtol=0, atol=1e-7)

    @pytest.mark.parametrize("form", ["fast", "plain"])
    def test_gradients_are_those_of_finite_differences(self, form: str) -> None:
        model, lengths = small_model("vsepp", 4), torch.tensor([2, 2, 2])
        score = fast if form == "fast" else plain
        inputs = (draw(2, 4, seed=5).requires_grad_(), draw(3, 4, seed=6).requires_grad_())
        assert torch.autograd.gradcheck(lambda a, b: score(model, unit(a), unit(b), lengths), inputs)

    def test_a_zero_vector_scores_nan_so_that_ranking_names_it(self) -> None:
        model = small_model("vsepp", 4)
        images = draw(3, 4)
        images[1] = 0
        scores = fast(model, unit(images), unit(draw(2, 4, seed=1)), torch.tensor([2, 2]))
        assert scores.isnan().tolist() == [[False, False], [True, True], [False, False]]


SPARSE = {
    "nothing": [[0.0, 0.0, 0.0, 0.0]] * 3,
    "one pair": [[0.0] * 4, [0.0, 0.0, -2.0, 0.0], [0.0] * 4],
    "some pairs of each caption": [[1.0, 0.0, 0.0, -1.0], [0.0, 2.0, 0.0, 0.5], [0.0, -1.0, 3.0, 0.0]],
    "a whole column and a whole row": [[1.0, 2.0, -1.0, 0.5], [0.0, 3.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0]],
}


@pytest.mark.parametrize("name", ["scan:t2i-lse", "scan:i2t-avg-softmax", "scan:t2i-max-l1norm", "camp"])
class TestGradientsOfFewPairs:
    """A loss over the hardest negatives depends on few of a batch's pairs."""

    @pytest.mark.parametrize("shares", SPARSE.values(), ids=SPARSE)
    def test_are_the_plain_one_s(self, name: str, shares: list[Vector]) -> None:
        found = []
        for form in (fast, plain):
            model = small_model(name, 6).requires_grad_()
            images, captions = draw(3, 4, 6).requires_grad_(), draw_captions(LENGTHS, 6).requires_grad_()
            words = captions * word_mask(LENGTHS, 7)[:, :, None]
            (form(model, images, words, LENGTHS) * torch.tensor(shares, dtype=torch.float64)).sum().backward()
            weights = [weight.grad for weight in model.parameters() if weight.grad is not None]
            found.append([images.grad, captions.grad, *weights])
        for quick, slow in zip(*found, strict=True):
            torch.testing.assert_close(quick, slow, rtol=1e-9, atol=1e-10)

    @pytest.mark.parametrize("side", ["images", "captions"])
    def test_are_there_where_one_side_alone_is_learnt(self, name: str, side: str) -> None:
        model, shares = small_model(name, 6), torch.tensor(SPARSE["some pairs of each caption"], dtype=torch.float64)
        found = []
        for form in (fast, plain):
            items = {"images": draw(3, 4, 6), "captions": draw_captions(LENGTHS, 6)}
            items[side].requires_grad_()
            words = items["captions"] * word_mask(LENGTHS, 7)[:, :, None]
            scores = form(model, items["images"], words, LENGTHS)
            found.append(torch.autograd.grad((scores * shares).sum(), items[side])[0])
        torch.testing.assert_close(*found, rtol=1e-9, atol=1e-10)

    def test_scores_are_the_same_bits_with_and_without_a_gradient(self, name: str) -> None:
        model, images, captions = small_model(name, 6), draw(3, 4, 6), draw_captions(LENGTHS, 6)
        with torch.no_grad():
            quiet = fast(model, images, captions, LENGTHS)
        assert not quiet.requires_grad
        learning = fast(model, images.requires_grad_(), captions, LENGTHS)
        assert learning.requires_grad
        assert torch.equal(quiet, learning.detach())


def plain(model: PairModel, images: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
    return model.score_plain(images, captions, lengths)
