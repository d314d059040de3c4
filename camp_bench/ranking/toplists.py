"""The best candidates of many queries, whatever the order in which they come.

On a CPU, `TopLists`
are filled by `passes`, with what reaches their thresholds, which after few tiles is little; on a GPU, `DeviceTopLists`
takes whole tiles, because looking at how many there are would make the device wait.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from camp_bench.ranking.loops import Keys, Lists, scores_of
from camp_bench.shapes import Float, Int

__all__ = ["DeviceTopLists", "TopLists", "unpack"]

NONE = np.iinfo(np.int64).min
"""The key of no candidate, below all others."""


def unpack(keys: Keys) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Return ids and scores of keys; those of no candidate have the score NaN."""
    return (0xFFFFFFFF - (keys & 0xFFFFFFFF)).astype(np.int32), scores_of(keys)


class TopLists:
    """Lists of `size` for some queries. arrays: what the passes fill."""

    def __init__(self, queries: int, size: int) -> None:
        self.arrays: Lists = (
            np.empty((queries, max(1, 2 * size)), dtype=np.int64),
            np.zeros(queries, dtype=np.int32),
            np.full(queries, -np.inf if size else np.inf, dtype=np.float32),
            size,
        )

    def result(self) -> Keys:
        """Return (queries, size) keys, best first."""
        keys, filled, _, size = self.arrays
        keys[np.arange(keys.shape[1]) >= filled[:, None]] = NONE
        keys.sort(axis=1)
        return keys[:, ::-1][:, :size]


class DeviceTopLists:
    """The same for all queries at once, on any device, without a word from the device to the host."""

    def __init__(self, queries: int, size: int, device: torch.device) -> None:
        self._size = size
        self._keys = torch.full((queries, size), NONE, dtype=torch.int64, device=device)

    def update(self, queries: slice | Tensor, scores: Float[Tensor, "q c"], candidates: Int[Tensor, " c"]) -> None:
        """Take the scores of all these queries with all these candidates."""
        bits = (scores.float() + 0.0).contiguous().view(torch.int32)
        ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
        keys = (ordered << 32) + (0xFFFFFFFF - candidates)
        self._keys[queries] = torch.cat((self._keys[queries], keys), 1).topk(self._size, dim=1).values

    def result(self) -> Keys:
        """Return (queries, size) keys, best first."""
        return self._keys.cpu().numpy()
