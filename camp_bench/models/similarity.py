"""What CAMP's forms may start from, ours and none of the papers': attention as similarity, a logit that is one.

A scorer that has to learn from a sum of vectors how well regions and words agree needs far more data than one that is
told. How well each agrees with the message it gets is what the gates are made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from camp_bench.models.norms import row_cosine
from camp_bench.shapes import Float

__all__ = ["SHARPNESS", "START", "Similarity", "added_similarity", "make_scales", "start_similar"]

Similarity: TypeAlias = Literal["none", "cosine", "agreement"]
"""What is added to the logit: nothing, a multiple of the cosine of the pooled vectors, or beside that one of how well
each side's vectors agree with the messages to them: their cosines, weighted as in pooling."""
START = {"even_rms": 0.3, "similar_start": True, "similarity": "agreement"}
"""What the presets set: so short that gates of one number a place, 0.09 D x cosine, aren't saturated."""
SHARPNESS = 10.0
"""What cosines are multiplied with in the logits of attention that starts as similarity; SCAN's is 4 to 9."""
SECOND_SHARPNESS = 16.0
"""How much sharper attention of messages to each other starts: those of a side are so alike that each would become
their mean, and then no region or word has a message of its own to agree with."""
SCALES = (10.0, 5.0, 5.0)
"""What the cosine and the agreement of regions and of words are multiplied with at the start."""


def make_scales(kind: Similarity) -> nn.Parameter:
    """Return what is learnt of a similarity: its one scale, or its three."""
    return nn.Parameter(torch.tensor(SCALES[: 1 if kind == "cosine" else 3]))


def added_similarity(
    scales: Float[Tensor, " S"],
    image: Float[Tensor, "P D"],
    text: Float[Tensor, "P D"],
    agreement: tuple[Float[Tensor, " P"], Float[Tensor, " P"]] | None,
) -> Float[Tensor, " P"]:
    """Return what is added to the logit of each pair. agreement: of its regions and of its words, where it counts."""
    similarity = scales[0] * row_cosine(image, text)
    return similarity if agreement is None else similarity + scales[1] * agreement[0] + scales[2] * agreement[1]


@torch.no_grad()
def start_similar(layers: Mapping[str, nn.Module], rms: float) -> None:
    """Make all keys and queries one rotation, at such a scale that the logits of attention are SHARPNESS times a cosine
    if the numbers of both sides have the root mean square `rms` (taken for 1 where it is 0), those of attention among
    messages SECOND_SHARPNESS times as large; fuse both sides alike.

    layers: by name, `key_image`, `query_text` and the like; others stay.
    """
    keys = layers.get("key_image")
    if keys is not None:
        weight = keys.get_parameter("weight")
        nn.init.orthogonal_(weight, gain=SHARPNESS**0.5 / (rms or 1.0) / weight.shape[0] ** 0.25)
    for name, layer in layers.items():
        kind, _, _ = name.rpartition("_")
        if keys is not None and kind in ("key", "query"):
            _copy(keys, layer)
        elif keys is not None and kind in ("second_key", "second_query"):
            _copy(keys, layer, SECOND_SHARPNESS**0.5)
        elif name == "fuse_text":
            _copy(layers["fuse_image"], layer)


def _copy(source: nn.Module, target: nn.Module, gain: float = 1.0) -> None:
    target.get_parameter("weight").copy_(gain * source.get_parameter("weight"))
