"""The losses of the three papers, against sums written out by hand and against loops over their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from camp_bench.models.losses import cross_entropy_loss, same_image, triplet_loss

SCORES = torch.tensor([[0.9, 0.8, 0.1], [0.3, 0.5, 0.6], [0.2, 0.7, 0.4]], dtype=torch.float64)
DISTINCT = same_image(torch.arange(3))
FIRST_TWO_SHARE = same_image(torch.tensor([4, 4, 9]))


def slow_triplet(scores: Tensor, images: list[int], margin: float, hardest: bool) -> float:
    """VSE++'s equations 5 and 6, one query after the other."""
    s, total = scores.tolist(), 0.0
    for i, image in enumerate(images):
        others = [j for j, other in enumerate(images) if other != image]
        for costs in (
            [max(0.0, margin + s[i][j] - s[i][i]) for j in others],
            [max(0.0, margin + s[j][i] - s[i][i]) for j in others],
        ):
            total += max(costs, default=0.0) if hardest else sum(costs)
    return total


def slow_cross_entropy(probabilities: Tensor, images: list[int], hardest: bool) -> float:
    """CAMP's loss, one query after the other; the hardest negative is the one of the highest probability."""
    m, total = probabilities.clamp(1e-6, 1 - 1e-6).tolist(), 0.0
    for i, image in enumerate(images):
        others = [j for j, other in enumerate(images) if other != image]
        total -= 2 * math.log(m[i][i])
        for negatives in ([m[i][j] for j in others], [m[j][i] for j in others]):
            if negatives:
                chosen = [max(negatives)] if hardest else negatives
                total -= sum(math.log(1 - value) for value in chosen) / len(chosen)
    return total


class TestSameImage:
    def test_pairs_of_one_image(self) -> None:
        assert same_image(torch.tensor([7, 3, 7])).tolist() == [
            [True, False, True],
            [False, True, False],
            [True, False, True],
        ]


class TestTriplet:
    def test_hardest_negative_of_each_query_by_hand(self) -> None:
        # images: 0.2+0.8-0.9, 0.2+0.6-0.5, 0.2+0.7-0.4; captions: 0 (0.2+0.3-0.9 < 0), 0.2+0.8-0.5, 0.2+0.6-0.4
        expected = (0.1 + 0.3 + 0.5) + (0.0 + 0.5 + 0.4)
        loss = triplet_loss(SCORES, DISTINCT, margin=0.2, hardest=True)
        assert float(loss) == pytest.approx(expected, abs=1e-12)

    def test_all_negatives_by_hand(self) -> None:
        # images: 0.1 | 0 0.3 | 0 0.5; captions: 0 0 | 0.5 0.4 | 0 0.4
        expected = (0.1 + 0.3 + 0.5) + (0.5 + 0.4 + 0.4)
        loss = triplet_loss(SCORES, DISTINCT, margin=0.2, hardest=False)
        assert float(loss) == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize(
        ("margin", "expected"),
        [
            (0.0, (0.0 + 0.1 + 0.3) + (0.0 + 0.3 + 0.2)),
            (1.0, (0.9 + 1.1 + 1.3) + (0.4 + 1.3 + 1.2)),
        ],
    )
    def test_margin(self, margin: float, expected: float) -> None:
        loss = triplet_loss(SCORES, DISTINCT, margin=margin, hardest=True)
        assert float(loss) == pytest.approx(expected, abs=1e-12)

    def test_captions_of_the_same_image_are_never_negatives(self) -> None:
        # 0.8 and 0.3 belong to one image; left are 0.6 for image 1, 0.7 for image 2, 0.7 for caption 1, 0.6 for 2
        hardest = triplet_loss(SCORES, FIRST_TWO_SHARE, margin=0.2, hardest=True)
        assert float(hardest) == pytest.approx((0.0 + 0.3 + 0.5) + (0.0 + 0.4 + 0.4), abs=1e-12)
        everything = triplet_loss(SCORES, FIRST_TWO_SHARE, margin=0.2, hardest=False)
        assert float(everything) == pytest.approx((0.3 + 0.5) + (0.4 + 0.4), abs=1e-12)

    def test_a_batch_of_one_image_costs_nothing(self) -> None:
        same = same_image(torch.zeros(3, dtype=torch.int64))
        assert float(triplet_loss(SCORES, same, margin=0.2, hardest=True)) == 0
        assert float(triplet_loss(SCORES, same, margin=0.2, hardest=False)) == 0

    @pytest.mark.parametrize("value", [-3.0, 0.0, 0.7])
    def test_plateau_of_a_constant_scorer(self, value: float) -> None:
        scores = torch.full((5, 5), value, dtype=torch.float64)
        same = same_image(torch.arange(5))
        assert float(triplet_loss(scores, same, margin=0.2, hardest=True)) == pytest.approx(2 * 5 * 0.2, abs=1e-12)
        assert float(triplet_loss(scores, same, margin=0.2, hardest=False)) == pytest.approx(2 * 5 * 4 * 0.2, abs=1e-12)

    def test_pairs_apart_by_more_than_the_margin_cost_nothing(self) -> None:
        scores = torch.eye(4, dtype=torch.float64)
        assert float(triplet_loss(scores, same_image(torch.arange(4)), margin=0.99, hardest=False)) == 0

    def test_only_the_hardest_negatives_get_a_gradient(self) -> None:
        scores = SCORES.clone().requires_grad_()
        triplet_loss(scores, DISTINCT, margin=0.2, hardest=True).backward()
        # a positive loses 1 for each of its two directions that costs something
        assert scores.grad is not None
        assert scores.grad.tolist() == [[-1, 2, 0], [0, -2, 2], [0, 1, -2]]

    @given(st.data())
    def test_equals_the_definition(self, data: st.DataObject) -> None:
        images = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
        scores = draw_matrix(data, len(images), -2.0, 2.0)
        margin = data.draw(st.floats(0, 1))
        same = same_image(torch.tensor(images))
        for hardest in (True, False):
            loss = triplet_loss(scores, same, margin=margin, hardest=hardest)
            assert float(loss) == pytest.approx(slow_triplet(scores, images, margin, hardest), abs=1e-9)


class TestCrossEntropy:
    def test_hardest_negative_of_each_query_by_hand(self) -> None:
        # hardest captions 0.8 0.6 0.7, hardest images 0.3 0.8 0.6
        expected = -2 * (math.log(0.9) + math.log(0.5) + math.log(0.4))
        expected -= math.log(0.2) + math.log(0.4) + math.log(0.3)
        expected -= math.log(0.7) + math.log(0.2) + math.log(0.4)
        assert float(cross_entropy_loss(SCORES, DISTINCT, hardest=True)) == pytest.approx(expected, abs=1e-12)

    def test_mean_over_all_negatives_by_hand(self) -> None:
        expected = -2 * (math.log(0.9) + math.log(0.5) + math.log(0.4))
        expected -= (math.log(0.2 * 0.9) + math.log(0.7 * 0.4) + math.log(0.8 * 0.3)) / 2  # rows
        expected -= (math.log(0.7 * 0.8) + math.log(0.2 * 0.3) + math.log(0.9 * 0.4)) / 2  # columns
        assert float(cross_entropy_loss(SCORES, DISTINCT, hardest=False)) == pytest.approx(expected, abs=1e-12)

    def test_captions_of_the_same_image_are_never_negatives(self) -> None:
        positives = -2 * (math.log(0.9) + math.log(0.5) + math.log(0.4))
        hardest = positives - (math.log(0.9 * 0.4 * 0.3) + math.log(0.8 * 0.3 * 0.4))
        assert float(cross_entropy_loss(SCORES, FIRST_TWO_SHARE, hardest=True)) == pytest.approx(hardest, abs=1e-12)
        mean = positives - (math.log(0.9 * 0.4) + math.log(0.8 * 0.3) / 2)
        mean -= math.log(0.8 * 0.3) + math.log(0.9 * 0.4) / 2
        assert float(cross_entropy_loss(SCORES, FIRST_TWO_SHARE, hardest=False)) == pytest.approx(mean, abs=1e-12)

    def test_a_batch_of_one_image_has_positives_only(self) -> None:
        same = same_image(torch.zeros(3, dtype=torch.int64))
        expected = -2 * (math.log(0.9) + math.log(0.5) + math.log(0.4))
        for hardest in (True, False):
            assert float(cross_entropy_loss(SCORES, same, hardest=hardest)) == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize("hardest", [True, False])
    def test_plateau_of_a_constant_scorer(self, hardest: bool) -> None:
        constant = torch.full((6, 6), 0.5, dtype=torch.float64)
        loss = cross_entropy_loss(constant, same_image(torch.arange(6)), hardest=hardest)
        assert float(loss) == pytest.approx(4 * 6 * math.log(2), abs=1e-12)

    @pytest.mark.parametrize("hardest", [True, False])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_certainty_is_clamped(self, dtype: torch.dtype, hardest: bool) -> None:
        """Wrong and certain costs 4 B ln 1e6 and has no gradient; right and certain costs next to nothing."""
        same = same_image(torch.arange(4))
        wrong = (1 - torch.eye(4, dtype=dtype)).requires_grad_()
        loss = cross_entropy_loss(wrong, same, hardest=hardest)
        # float32 holds 1 - 1e-6 with an error of 3 %, so its ln(1e-6) is off by 0.03 at most
        assert float(loss.detach()) == pytest.approx(
            4 * 4 * math.log(1e6), rel=1e-9 if dtype == torch.float64 else 2e-3
        )
        loss.backward()
        assert wrong.grad is not None
        assert wrong.grad.abs().max() == 0
        right = cross_entropy_loss(torch.eye(4, dtype=dtype), same, hardest=hardest)
        assert 0 < float(right) == pytest.approx(4 * 4 * 1e-6, rel=1e-5 if dtype == torch.float64 else 0.2)

    def test_probabilities_inside_the_clamp_are_left_alone(self) -> None:
        probabilities = torch.tensor([[2e-6, 0.5], [0.5, 1 - 2e-6]], dtype=torch.float64)
        expected = -2 * math.log(2e-6) - 2 * math.log(1 - 2e-6) + 4 * math.log(2)
        loss = cross_entropy_loss(probabilities, same_image(torch.arange(2)), hardest=True)
        assert float(loss) == pytest.approx(expected, abs=1e-9)

    @given(st.data())
    def test_of_logits_equals_that_of_their_probabilities_inside_the_clamp(self, data: st.DataObject) -> None:
        images = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
        logits = draw_matrix(data, len(images), -13.8, 13.8)  # the clamp is at 13.8155
        same = same_image(torch.tensor(images))
        for hardest in (True, False):
            loss = cross_entropy_loss(logits, same, hardest=hardest, logits=True)
            expected = slow_cross_entropy(logits.sigmoid(), images, hardest)
            assert float(loss) == pytest.approx(expected, rel=1e-7, abs=1e-7)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_of_logits_has_a_gradient_beyond_the_clamp(self, dtype: torch.dtype) -> None:
        """A wrong and certain pair costs its logit, and learns from it."""
        logits = (40 - 80 * torch.eye(3, dtype=dtype)).requires_grad_()
        loss = cross_entropy_loss(logits, same_image(torch.arange(3)), hardest=False, logits=True)
        assert float(loss.detach()) == pytest.approx(4 * 3 * 40)
        loss.backward()
        assert logits.grad is not None
        expected = 1 - 3 * torch.eye(3, dtype=dtype)  # a negative counts half in its row and half in its column
        torch.testing.assert_close(logits.grad, expected)

    @given(st.data())
    def test_equals_the_definition(self, data: st.DataObject) -> None:
        images = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
        probabilities = draw_matrix(data, len(images), 0.0, 1.0)
        same = same_image(torch.tensor(images))
        for hardest in (True, False):
            loss = cross_entropy_loss(probabilities, same, hardest=hardest)
            assert float(loss) == pytest.approx(slow_cross_entropy(probabilities, images, hardest), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("hardest", [True, False])
@pytest.mark.parametrize("images", [[0, 1, 2, 3, 4], [0, 1, 0, 2, 1]])
def test_gradients_are_those_of_finite_differences(images: list[int], hardest: bool) -> None:
    same = same_image(torch.tensor(images))
    generator = torch.Generator().manual_seed(5)
    # 25 values at least 0.03 apart and none in a hinge's corner: no kink within the step of 1e-6
    values = torch.linspace(0.1, 0.85, 25, dtype=torch.float64)[torch.randperm(25, generator=generator)].view(5, 5)
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: triplet_loss(s, same, margin=0.217, hardest=hardest), (values,))
    for logits in (False, True):
        assert torch.autograd.gradcheck(
            lambda p, logits=logits: cross_entropy_loss(p, same, hardest=hardest, logits=logits), (values,)
        )


def draw_matrix(data: st.DataObject, size: int, low: float, high: float) -> Tensor:
    values = data.draw(st.lists(st.floats(low, high), min_size=size * size, max_size=size * size))
    return torch.tensor(values, dtype=torch.float64).view(size, size)
