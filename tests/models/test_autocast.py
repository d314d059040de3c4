"""Scorers in half precision, where some functions give float32 all the same, as `log` does on CUDA."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from camp_bench.data.batches import pad_tokens
from camp_bench.models.base import Shape
from camp_bench.models.losses import same_image
from camp_bench.models.registry import build_model, find_variant, variants

NAMES = sorted(variant.name for variant in variants() if variant.name not in ("scan:ensemble",))


class AsOnCuda(TorchFunctionMode):
    """Lets the functions that CUDA's autocast runs in float32 give float32, as the CPU's doesn't for all of them."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = function(*args, **(kwargs or {}))
        if function in (torch.log, Tensor.log, torch.exp, Tensor.exp, Tensor.pow, torch.pow, Tensor.sum, torch.sum):
            return found.float() if isinstance(found, Tensor) and found.dtype == torch.bfloat16 else found
        return found


@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_in_bfloat16_takes_float32_where_cuda_gives_it(name: str) -> None:
    variant = find_variant(name)
    small = msgspec.structs.replace(variant.settings["quick"], dim=16, word_dim=8, stages=())
    model = build_model(variant, small, variant.options, Shape(vocabulary_size=20, feature_size=12), seed=0)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(4, 6, 12, generator=generator)
    tokens, lengths = pad_tokens([[5, 6, 7], [8], [9, 10], [11, 12, 13, 14]])
    with AsOnCuda(), torch.autocast("cpu", torch.bfloat16):
        images = model.encode_images(features).bfloat16()  # as CUDA's encoders give them
        captions = model.encode_captions(tokens, lengths).bfloat16()
        scores = model.score_tile(model.prepare_images(images), model.prepare_captions(captions, lengths))
        loss = model.loss(scores.float(), same_image(torch.arange(4)), hardest=True)
    loss.backward()
    assert torch.isfinite(scores).all()
    assert torch.isfinite(loss)
