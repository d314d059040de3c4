"""Whether the parts of a model do anything: lengths, gates and attention on a few training pairs, after each epoch.

A model whose messages are far shorter than what they are added to, whose gates all stand half open or whose attention
is even trains all the same, and badly. Its loss doesn't tell; these figures do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from camp_bench.data.batches import pad_tokens
from camp_bench.data.corpus import TokenizedSplit
from camp_bench.models.base import PairModel

__all__ = ["flat_parts", "vital_signs"]

PAIRS = 16
"""Captions that are looked at, each with its own image and with another."""
FLAT = 0.02
"""Gates that spread by less than this, or attention whose entropy lacks less of the largest, tell nothing apart."""


@torch.no_grad()
def vital_signs(model: PairModel, whole: TokenizedSplit, device: torch.device) -> dict[str, float]:
    """Return figures of a model on the first pairs of a split, in `eval` mode; empty where `attend` tells nothing.

    regions_rms, words_rms: root mean square of the encoded vectors' numbers; region_messages_rms, word_messages_rms: of
    what attention sends to regions and words. attention_entropy: the mean over what attends, in parts of the largest
    (1 is even). gates_mean, gates_sd: over all gates, where there are some.
    """
    split = whole.split
    # captions of different images, so that the image of the next one is another
    captions = np.unique(split.image_of, return_index=True)[1][:PAIRS]
    images = split.image_of[captions]
    tokens, lengths = pad_tokens([whole.token_ids[caption] for caption in captions])
    was_training = model.training
    model.eval()
    encoded = model.encode_images(torch.from_numpy(split.gather(images)).to(device)).float()
    words = model.encode_captions(tokens.to(device), lengths).float()
    seen: dict[str, list[Tensor]] = {}
    if encoded.dim() == 3 and words.dim() == 3:
        for number, length in enumerate(lengths.tolist()):
            for image in (encoded[number], encoded[(number + 1) % len(encoded)]):
                for name, value in _of_pair(model, image, words[number, :length]):
                    seen.setdefault(name, []).append(value.float().flatten())
    model.train(was_training)
    figures = {name: torch.cat(values) for name, values in seen.items()}
    signs = {name: _rms(value) for name, value in figures.items() if name.endswith("_rms")}
    if "attention_entropy" in figures:
        signs["attention_entropy"] = float(figures["attention_entropy"].mean())
    if "gates" in figures:
        within = float(figures["gate_spreads"].square().mean()) if "gate_spreads" in figures else 0.0
        signs["gates_mean"] = float(figures["gates"].mean())
        signs["gates_sd"] = math.sqrt(float(figures["gates"].var(correction=0)) + within)
    return signs


def flat_parts(signs: Mapping[str, float]) -> tuple[str, ...]:
    """Return which parts of a model tell nothing apart, by what `vital_signs` found."""
    parts = []
    if signs.get("gates_sd", 1.0) < FLAT:
        parts.append(f"gates ({signs['gates_mean']:.3f} ± {signs['gates_sd']:.3f})")
    if 1 - signs.get("attention_entropy", 0.0) < FLAT:
        parts.append(f"attention ({signs['attention_entropy']:.1%} of the entropy of an even one)")
    return tuple(parts)


def _of_pair(model: PairModel, image: Tensor, words: Tensor) -> Iterator[tuple[str, Tensor]]:
    seen = model.attend(image, words)
    if not seen:
        return
    yield "regions_rms", image
    yield "words_rms", words
    for side, other in (("region", words), ("word", image)):
        weights = seen.get(f"attention_{side}s")
        if weights is not None:
            yield f"{side}_messages_rms", weights @ other
            if len(other) > 1:
                yield "attention_entropy", torch.special.entr(weights).sum(1) / math.log(len(other))
        if (gates := seen.get(f"gate_{side}s")) is not None:
            yield "gates", gates
        if (spreads := seen.get(f"gate_spread_{side}s")) is not None:
            yield "gate_spreads", spreads


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
