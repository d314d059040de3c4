"""CAMP's released measures: the plain form against floats computed one by one, the fast form against the plain one."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from camp_bench.models.base import PairModel, Shape
from camp_bench.models.camp_released.plain import PADDED_WORDS
from camp_bench.models.norms import word_mask
from camp_bench.models.registry import build_model, find_variant, resolve_options

Vector = list[float]

NAMES = (
    "camp:gate_fusion_new",
    "camp:gate_fusion_new-sum",
    "camp:gate_fusion",
    "camp:gate_fusion-sum",
    "camp:cross_attention_new",
    "camp:cross_attention_new:masked",
    "camp:cross_attention",
    "camp:gate_fusion_new+agreement",
    "camp:gate_fusion+agreement",
    "camp:gate_fusion_new-sum+cosine",
)
"""Variants; after the plus what is added to the logit."""
LENGTHS = torch.tensor([5, 2, 7, 1])


# --- the measures on plain floats, from their definitions -------------------------------------------------------------


def dot(a: Vector, b: Vector) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def softmax(values: Vector) -> Vector:
    powers = [math.exp(value) for value in values]
    return [power / math.fsum(powers) for power in powers]


def mixture(shares: Vector, vectors: list[Vector]) -> Vector:
    return [dot(shares, [vector[d] for vector in vectors]) for d in range(len(vectors[0]))]


def unit(x: Vector) -> Vector:
    return [value / (math.sqrt(dot(x, x)) + 1e-8) for value in x]


def cosine(a: Vector, b: Vector) -> float:
    return dot(a, b) / max(math.sqrt(dot(a, a)) * math.sqrt(dot(b, b)), 1e-8)


def released_by_floats(name: str, image: list[Vector], caption: list[Vector], weights: dict[str, Any]) -> float:
    name = name.partition("+")[0]
    measure = name.removeprefix("camp:").removesuffix(":masked").removesuffix("-sum")
    new, gated = measure.endswith("_new"), measure.startswith("gate_fusion")
    w = {key: value.tolist() for key, value in weights.items()}
    length = len(caption)  # what stands behind it attends, and nothing attends to it
    if name == "camp:cross_attention_new":
        caption = caption + [[0.0] * len(image[0])] * (50 - length)

    def layer(x: Vector, key: str) -> Vector:  # torch keeps a layer's weight as (out, in)
        out = [dot(row, x) for row in w[f"{key}.weight"]]
        return [a + b for a, b in zip(out, w.get(f"{key}.bias", [0.0] * len(out)), strict=True)]

    def attend(queries: list[Vector], keys: list[Vector], values: list[Vector]) -> list[Vector]:
        scale = math.sqrt(len(values[0]))
        return [mixture(softmax([dot(query, key) / scale for key in keys]), values) for query in queries]

    query = "query" if new else "key"
    sides = {"image": (image, caption, "text"), "text": (caption, image, "image")}
    pooled, agreement = {}, {}
    for side, (own, others, other) in sides.items():
        given = others[:length] if side == "image" else others
        messages = attend([layer(x, f"{query}_{side}") for x in own], [layer(x, f"key_{other}") for x in given], given)
        if new:
            queries = [layer(x, f"second_query_{side}") for x in messages]
            given = messages if side == "image" else messages[:length]
            messages = attend(queries, [layer(x, f"second_key_{side}") for x in given], given)
        if measure == "gate_fusion_new":
            messages = [unit(x) for x in messages]
        agreeing = [cosine(x, message) for x, message in zip(own, messages, strict=True)]
        if gated:
            fused = []
            for x, message in zip(own, messages, strict=True):
                gate = 1 / (1 + math.exp(-dot(x, message)))
                both = [a + b for a, b in zip(x, message, strict=True)] if name.endswith("-sum") else x + message
                inner = layer([gate * value for value in both], f"fuse_{side}")
                fused.append([max(0.0, a) + b for a, b in zip(inner, x, strict=True)])
            messages = fused
        if measure == "cross_attention_new":
            shares = [1 / len(messages)] * len(messages)
        else:
            hidden = [[max(0.0, value) for value in layer(x, f"pool_{side}")] for x in messages]
            logits = [layer(h, f"heads_{side}") for h in hidden]
            heads = [softmax([row[head] for row in logits]) for head in range(4)]
            shares = [math.fsum(head[place] for head in heads) / 4 for place in range(len(messages))]
        pooled[side], agreement[side] = mixture(shares, messages), dot(shares, agreeing)
        if measure == "gate_fusion_new":
            pooled[side] = unit(pooled[side])
    a, b = pooled["image"], pooled["text"]
    if not gated:
        return cosine(a, b)
    both = [x + y for x, y in zip(a, b, strict=True)] if name.endswith("-sum") else a + b
    logit = layer([max(0.0, value) for value in layer(both, "hidden")], "out")[0]
    terms = [cosine(a, b), agreement["image"], agreement["text"]]
    return logit + math.fsum(scale * term for scale, term in zip(w.get("similarity", []), terms, strict=False))


# --- what the tests score ---------------------------------------------------------------------------------------------


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw_captions(lengths: Tensor, dim: int, seed: int = 1) -> Tensor:
    words = int(lengths.max())
    return draw(len(lengths), words, dim, seed=seed) * word_mask(lengths, words)[:, :, None]


def make_model(name: str, dim: int, seed: int = 11) -> PairModel:
    """Return a model in double whose encoders don't matter, with no weight left at zero."""
    named, _, similarity = name.partition("+")
    variant = find_variant(named)
    small = msgspec.structs.replace(variant.settings["quick"], dim=dim, word_dim=2, stages=())
    options = resolve_options(variant, {"similarity": similarity} if similarity else {})
    model = build_model(variant, small, options, Shape(5, 3), seed=0).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=torch.float64) * dim**-0.5)
    return model


def fast(model: PairModel, images: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
    return model.score_tile(model.prepare_images(images), model.prepare_captions(captions, lengths))


def plain(model: PairModel, images: Tensor, captions: Tensor, lengths: Tensor) -> Tensor:
    return model.score_plain(images, captions, lengths)


# --- tests ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dim", "regions"), [(2, 2), (3, 4)])
def test_plain_form_is_what_its_definition_says(name: str, dim: int, regions: int) -> None:
    model = make_model(name, dim)
    images, captions = draw(2, regions, dim), draw_captions(LENGTHS, dim)
    expected = [
        [
            released_by_floats(name, image, caption[:length], model.state_dict())
            for caption, length in zip(captions.tolist(), LENGTHS.tolist(), strict=True)
        ]
        for image in images.tolist()
    ]
    found = plain(model, images, captions, LENGTHS).detach()
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-11, atol=1e-11)


def test_gate_fusion_new_of_two_regions_and_two_words_by_hand() -> None:
    """Attention that sees nothing, so every message is the mean of the other side; fusion that keeps its input."""
    model = make_model("camp:gate_fusion_new", 2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        eye = torch.eye(2, dtype=torch.float64)
        model.get_parameter("fuse_image.weight").copy_(torch.cat((eye, eye), 1))  # relu(gate * (own + message))
        model.get_parameter("fuse_text.weight").copy_(torch.cat((eye, 0 * eye), 1))  # relu(gate * own)
        model.get_parameter("hidden.weight")[0] = torch.tensor([1.0, 0.0, 2.0, 0.0])
        model.get_parameter("out.weight")[0, 0] = 3.0
        model.get_parameter("out.bias")[0] = -0.25
    image = torch.tensor([[[3.0, 0.0], [1.0, 0.0]]], dtype=torch.float64)  # mean (2, 0): of unit length (1, 0)
    caption = torch.tensor([[[0.0, 1.0], [0.0, 3.0]]], dtype=torch.float64)  # mean (0, 2): (0, 1)
    # every own . message is 0, every gate 1/2: regions (3, 0) + (1.5, 0.5) and (1, 0) + (0.5, 0.5), mean (3, 0.5);
    # words (0, 1) + (0, 0.5) and (0, 3) + (0, 1.5), mean (0, 3): of unit length (0, 1)
    expected = 3 * (3 / math.sqrt(9.25) + 2 * 0) - 0.25
    for score in (plain, fast):
        assert float(score(model, image, caption, torch.tensor([2])).detach()) == pytest.approx(expected, abs=1e-7)


def test_cross_attention_new_of_two_regions_and_two_words_by_hand() -> None:
    """Attention that sees nothing: messages are means. Padding thins out the words' mean, but not its direction."""
    image = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]], dtype=torch.float64)  # mean (0.5, 1)
    caption = torch.tensor([[[2.0, 0.0], [-1.0, 1.0]]], dtype=torch.float64)  # mean (0.5, 0.5)
    expected = (0.25 + 0.5) / (math.sqrt(1.25) * math.sqrt(0.5))
    for name in ("camp:cross_attention_new", "camp:cross_attention_new:masked"):
        model = make_model(name, 2)
        with torch.no_grad():
            for weight in model.parameters():
                weight.zero_()
        for score in (plain, fast):
            assert float(score(model, image, caption, torch.tensor([2])).detach()) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
class TestFastForm:
    @settings(max_examples=25)
    @given(st.data())
    def test_and_its_gradients_are_the_plain_one_s(self, name: str, data: st.DataObject) -> None:
        sizes = st.integers(1, 6)
        n_images, regions, dim = data.draw(sizes), data.draw(sizes), data.draw(sizes)
        lengths = torch.tensor(data.draw(st.lists(sizes, min_size=1, max_size=5)))
        empty = data.draw(st.booleans())
        model = make_model(name, dim, seed=data.draw(st.integers(1, 100)))
        outer = draw(n_images, len(lengths), seed=9)
        if data.draw(st.booleans()):
            outer *= draw(n_images, len(lengths), seed=10) > 1  # few pairs, as hardest negatives give
        found = []
        for score in (fast, plain):
            images, captions = draw(n_images, regions, dim), draw_captions(lengths, dim)
            images[0] *= not empty
            inputs = (images.requires_grad_(), captions.requires_grad_())
            words = captions * word_mask(lengths, captions.shape[1])[:, :, None]
            scores = score(model, images, words, lengths)
            leaves = [*inputs, *model.parameters()]
            kept = {"allow_unused": True, "materialize_grads": True}
            found.append((scores.detach(), torch.autograd.grad((scores * outer).sum(), leaves, **kept)))
        torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=1e-10)
        whole = math.sqrt(sum(float(gradient.square().sum()) for gradient in found[1][1]))
        for quick, slow in zip(found[0][1], found[1][1], strict=True):
            assert float((quick - slow).norm()) <= 1e-7 * float(slow.norm()) + 1e-9 * whole + 1e-10

    @settings(max_examples=10)
    @given(st.data())
    def test_is_the_plain_one_in_float32(self, name: str, data: st.DataObject) -> None:
        n_images, regions, dim = (data.draw(st.integers(1, most)) for most in (5, 36, 48))
        lengths = torch.tensor(data.draw(st.lists(st.integers(1, 55), min_size=1, max_size=5)))
        model = make_model(name, dim).float()
        images, captions = draw(n_images, regions, dim).float(), draw_captions(lengths, dim).float()
        with torch.no_grad():
            found, expected = (score(model, images, captions, lengths) for score in (fast, plain))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("dim", [1, 2])
    def test_is_the_plain_one_in_float32_where_mixtures_of_many_vectors_cancel(self, name: str, dim: int) -> None:
        model = make_model(name, dim).float()
        lengths = torch.tensor([50, 23, 8, 2])
        for seed in range(20):
            images, captions = draw(5, 31, dim, seed=seed).float(), draw_captions(lengths, dim, seed=seed).float()
            with torch.no_grad():
                found, expected = (score(model, images, captions, lengths) for score in (fast, plain))
            # the cosine with a message that cancels keeps fewer digits, in both forms
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 if "agreement" in name else 1e-5)

    @pytest.mark.parametrize("score", [fast, plain])
    def test_gradients_are_those_of_finite_differences(self, name: str, score: Any) -> None:
        model, lengths = make_model(name, 3).requires_grad_(False), torch.tensor([3, 1])

        def scores(images: Tensor, captions: Tensor) -> Tensor:
            found: Tensor = score(model, images, captions * word_mask(lengths, 3)[:, :, None], lengths)
            return found

        inputs = (draw(2, 2, 3, seed=5).requires_grad_(), draw(2, 3, 3, seed=6).requires_grad_())
        assert torch.autograd.gradcheck(scores, inputs)

    def test_scores_are_the_same_bits_with_and_without_a_gradient(self, name: str) -> None:
        model, images, captions = make_model(name, 6), draw(3, 4, 6), draw_captions(LENGTHS, 6)
        with torch.no_grad():
            quiet = fast(model, images, captions, LENGTHS)
        learning = fast(model, images.requires_grad_(), captions, LENGTHS)
        assert learning.requires_grad
        assert torch.equal(quiet, learning.detach())

    def test_what_stands_beyond_a_caption_s_end_does_not_count(self, name: str) -> None:
        model, images = make_model(name, 6), draw(3, 4, 6)
        tight = draw_captions(LENGTHS, 6)
        longer = torch.full((4, 60, 6), 7.0, dtype=torch.float64)
        longer[:, :7] = tight + 7.0 * ~word_mask(LENGTHS, 7)[:, :, None]
        with torch.no_grad():
            expected = fast(model, images, tight, LENGTHS)
            for score in (fast, plain):
                torch.testing.assert_close(score(model, images, longer, LENGTHS), expected, rtol=0, atol=1e-12)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_messages_that_cancel_are_scored_as_in_the_plain_form(self, name: str, dtype: torch.dtype) -> None:
        """Regions opposed but for a ten-thousandth: squares from Gram tables have lost their digits."""
        model = make_model(name, 2).requires_grad_(False)
        for part in ("key", "query", "second_key", "second_query"):
            for side in ("image", "text"):
                if f"{part}_{side}.weight" in model.state_dict():
                    model.get_parameter(f"{part}_{side}.weight").zero_()
        images = torch.tensor([[[0.6, 0.8], [-0.6 + 1e-4, -0.8]]], dtype=torch.float64)
        captions = torch.tensor([[[0.8, -0.6], [-0.8, 0.6 + 1e-4], [0.0, 0.0]]], dtype=torch.float64)
        lengths = torch.tensor([2])
        expected = plain(model, images, captions, lengths)
        found = fast(model.to(dtype), images.to(dtype), captions.to(dtype), lengths).double()
        # a float32 mixture itself keeps about 1e-3 of so small a difference
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 if dtype == torch.float64 else 1e-2)


def test_padding_to_50_words_counts_in_cross_attention_new_alone() -> None:
    images, captions = draw(3, 4, 6), draw_captions(LENGTHS, 6)
    whole = draw(4, PADDED_WORDS, 6, seed=3)
    fifty = torch.full((4,), PADDED_WORDS)
    with torch.no_grad():
        padded, masked = (
            make_model(name, 6) for name in ("camp:cross_attention_new", "camp:cross_attention_new:masked")
        )
        assert (fast(padded, images, captions, LENGTHS) - fast(masked, images, captions, LENGTHS)).abs().max() > 1e-3
        same = fast(padded, images, whole, fifty), fast(masked, images, whole, fifty)
        torch.testing.assert_close(*same, rtol=0, atol=1e-12)


def test_places_that_cancel_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images, captions = make_model("camp:gate_fusion_new", 3), draw(3, 4, 3), draw_captions(LENGTHS, 3)
    monkeypatch.setattr("camp_bench.models.camp_released.tile.CANCELLATION", math.inf)
    monkeypatch.setattr("camp_bench.models.camp_released.tile.PLACES", 5)
    found, expected = (score(model, images, captions, LENGTHS) for score in (fast, plain))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "camp:cross_attention_new" and "+" not in name])
def test_what_a_model_looks_at_gives_its_score(name: str) -> None:
    """Messages from the tables and pooling by the shares, put through what is left, are the score."""
    model, image, words = make_model(name, 6), draw(4, 6), draw(3, 6, seed=2)
    with torch.no_grad():
        seen = model.attend(image, words)
        expected = float(plain(model, image[None], words[None], torch.tensor([3]))[0, 0])
    new, gated = "_new" in name, "gate" in name
    weights = {key: value.detach() for key, value in model.named_parameters()}
    pooled = []
    for side, place, own, other in (("image", "regions", image, words), ("text", "words", words, image)):
        assert torch.allclose(seen[f"attention_{place}"].sum(1), torch.ones(len(own), dtype=torch.float64))
        vectors = seen[f"attention_{place}"] @ other
        if gated:
            message = vectors / (vectors.norm(dim=1, keepdim=True) + 1e-8) if new else vectors
            gate = 1 / (1 + torch.exp(-(own * message).sum(1)))
            torch.testing.assert_close(seen[f"gate_{place}"], gate)
            both = own + message if name.endswith("-sum") else torch.cat((own, message), 1)
            inner = gate[:, None] * both @ weights[f"fuse_{side}.weight"].T
            vectors = (inner + weights.get(f"fuse_{side}.bias", 0)).clamp(min=0) + own
        one = seen[f"pooling_{place}"] @ vectors
        pooled.append(one / (one.norm() + 1e-8) if gated and new else one)
    a, b = pooled
    if gated:
        both = a + b if name.endswith("-sum") else torch.cat((a, b))
        hidden = (weights["hidden.weight"] @ both + weights["hidden.bias"]).clamp(min=0)
        score = float((weights["out.weight"] @ hidden + weights["out.bias"])[0])
    else:
        score = float(a @ b / (a.norm() * b.norm()))
    assert score == pytest.approx(expected, abs=1e-9)
