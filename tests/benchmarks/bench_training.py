"""Seconds of a training step, from features and tokens to gradients, at D = 256; and of the same with the plain form.

Measured are encoders, scores of all pairs of the batch, loss with hardest negatives (or all, as while warming up) and
backward pass; the optimiser is left out. The ceiling is the matrix-product rate; the plain form is bounded by the
memory that it writes and reads.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from camp_bench.data.batches import pad_tokens
from camp_bench.models.base import PairModel
from camp_bench.models.losses import same_image
from camp_bench.throughput.workload import VOCABULARY_SIZE, random_lengths

REGIONS, WORDS, DIM = 36, 12.0, 256


def step(model: PairModel, batch: int, *, plain: bool, hardest: bool) -> Callable[[], None]:
    """Return a function that takes one step on a random batch."""
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(batch, REGIONS, model.shape.feature_size, generator=generator)
    sentences = [torch.randint(VOCABULARY_SIZE, (n,), generator=generator) for n in random_lengths(batch, WORDS)]
    tokens, lengths = pad_tokens([words.tolist() for words in sentences])
    same = same_image(torch.arange(batch))

    def take() -> None:
        if plain:
            scores = model.score_plain(model.encode_images(features), model.encode_captions(tokens, lengths), lengths)
        else:
            scores = model(features, tokens, lengths)
        model.zero_grad(set_to_none=True)
        model.loss(scores, same, hardest=hardest).backward()

    return take


@pytest.mark.parametrize("plain", [False, True], ids=["fast", "plain"])
@pytest.mark.parametrize(
    ("name", "batch", "hardest"),
    [("vsepp", 128, True), ("scan:t2i-lse", 128, True), ("scan:t2i-lse", 128, False), ("camp", 32, True)],
)
def test_training_step(
    benchmark: BenchmarkFixture,
    model: Callable[[str, int], PairModel],
    name: str,
    batch: int,
    hardest: bool,
    plain: bool,
) -> None:
    benchmark.group = f"training step of {name}, batch {batch}, {'hardest' if hardest else 'all'} negatives"
    take = step(model(name, DIM), batch, plain=plain, hardest=hardest)
    benchmark.pedantic(take, rounds=3 if plain else 7, warmup_rounds=1)
