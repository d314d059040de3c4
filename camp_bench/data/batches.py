"""From splits and token lists to tensors: shuffled batches for training, padded groups for scoring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.data.dataset import Split

__all__ = ["Batch", "pad_tokens", "steps_per_epoch", "training_batches"]

SMALLEST_BATCH = 2
"""A batch of one pair has no negatives, so the remainder of an epoch is dropped where it is that small."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B (image, caption) pairs.

    features: (B, R, F) float32. tokens: (B, L) int64, 0 beyond a caption's end. lengths: (B,) int64, on the CPU.
    images: (B,) int64, the image number of each pair.
    """

    features: Tensor
    tokens: Tensor
    lengths: Tensor
    images: Tensor

    def __len__(self) -> int:
        return len(self.lengths)


def pad_tokens(token_ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Return captions as (C, longest) int64, padded with 0, and their (C,) lengths."""
    lengths = torch.tensor([len(ids) for ids in token_ids])
    tokens = torch.zeros(len(token_ids), int(lengths.max()), dtype=torch.int64)
    for row, ids in enumerate(token_ids):
        tokens[row, : len(ids)] = torch.as_tensor(ids)
    return tokens, lengths


def steps_per_epoch(n_captions: int, batch_size: int) -> int:
    """Return how many batches `training_batches` gives."""
    full, rest = divmod(n_captions, batch_size)
    return full + (rest >= SMALLEST_BATCH)


def training_batches(
    split: Split,
    token_ids: Sequence[Sequence[int]],
    batch_size: int,
    rng: np.random.Generator,
    device: torch.device,
    *,
    skip: int = 0,
) -> Iterator[Batch]:
    """Yield every caption once, in random order, with its image. skip: leave out so many batches at the start."""
    order: npt.NDArray[np.int64] = rng.permutation(split.n_captions)
    for start in range(skip * batch_size, split.n_captions, batch_size):
        chosen = order[start : start + batch_size]
        if len(chosen) < SMALLEST_BATCH:
            return
        images = split.image_of[chosen]
        tokens, lengths = pad_tokens([token_ids[i] for i in chosen])
        yield Batch(
            features=torch.from_numpy(split.gather(images)).to(device),
            tokens=tokens.to(device),
            lengths=lengths,
            images=torch.from_numpy(images).to(device),
        )
