"""The encoders that all three papers share: a linear map of region features, a GRU over word vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from camp_bench.machine.product import product
from camp_bench.shapes import Float, Int

__all__ = ["SHARPNESS", "SIMILARITY", "SentenceEncoder", "WordEncoder", "linear", "region_encoder", "start_similar"]

SHARPNESS = 10.0
"""What cosines are multiplied with in the logits of attention that starts as similarity; SCAN's is 4 to 9."""
SIMILARITY = (10.0, 5.0, 5.0)
"""What CAMP's cosine of the pooled vectors and agreement of regions and words are multiplied with at the start."""


def linear(size_in: int, size_out: int, *, bias: bool = True, xavier: bool = True) -> nn.Linear:
    """Return a linear layer with Xavier-uniform weight and zero bias, or as torch starts one."""
    layer = _Linear(size_in, size_out, bias=bias)
    if xavier:
        nn.init.xavier_uniform_(layer.weight)
        if bias:
            nn.init.zeros_(layer.bias)
    return layer


@torch.no_grad()
def start_similar(keys: Float[Tensor, "D E"], rms: float, sharpness: float) -> None:
    """Make `keys` a rotation at such a scale that (keys v) . (keys t) / sqrt(D) is `sharpness` times the cosine of v
    and t, if the numbers of both have the root mean square `rms` (taken for 1 where it is 0).
    """
    nn.init.orthogonal_(keys, gain=sharpness**0.5 / (rms or 1.0) / keys.shape[0] ** 0.25)


class _Linear(nn.Linear):
    """torch's layer, by the faster kernel."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name for it)
        return product(input.flatten(0, -2), self.weight, self.bias).view(*input.shape[:-1], -1)


def region_encoder(feature_size: int, dim: int, *, weight_norm: bool = False) -> nn.Module:
    """Return Linear(F, D) with Xavier-uniform weight and zero bias (SCAN section 3.2, VSE++ section 3).

    weight_norm: the matrix is learnt as its direction and its length, one number, as SCAN's program can.
    """
    layer = linear(feature_size, dim)
    return parametrizations.weight_norm(layer, dim=None) if weight_norm else layer  # type: ignore[arg-type]


class _Recurrent(nn.Module):
    def __init__(
        self, vocabulary_size: int, word_dim: int, dim: int, spread: float, *, layers: int, bidirectional: bool
    ) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary_size, word_dim)
        nn.init.uniform_(self.words.weight, -spread, spread)
        self.recurrent = nn.GRU(word_dim, dim, layers, batch_first=True, bidirectional=bidirectional)

    def _run(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the states at every word, zero beyond a caption's end, and the last ones of layers and directions."""
        packed = pack_padded_sequence(self.words(tokens), lengths, batch_first=True, enforce_sorted=False)
        states, last = self.recurrent(packed)
        padded, _ = pad_packed_sequence(states, batch_first=True, total_length=tokens.shape[1])
        return padded, last


class WordEncoder(_Recurrent):
    """One vector a word: both directions of a GRU, averaged (SCAN eq. 9-10; CAMP section 3.1), or the only one."""

    def __init__(
        self,
        vocabulary_size: int,
        word_dim: int,
        dim: int,
        spread: float,
        *,
        layers: int = 1,
        bidirectional: bool = True,
    ) -> None:
        super().__init__(vocabulary_size, word_dim, dim, spread, layers=layers, bidirectional=bidirectional)

    def forward(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C L D"]:
        states = self._run(tokens, lengths)[0]
        if not self.recurrent.bidirectional:
            return states
        forwards, backwards = states.chunk(2, dim=2)
        return (forwards + backwards) / 2


class SentenceEncoder(_Recurrent):
    """One vector a caption: the last state of a one-way GRU (VSE++ section 3), of its last layer."""

    def __init__(self, vocabulary_size: int, word_dim: int, dim: int, spread: float, *, layers: int = 1) -> None:
        super().__init__(vocabulary_size, word_dim, dim, spread, layers=layers, bidirectional=False)

    def forward(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C D"]:
        last: Tensor = self._run(tokens, lengths)[1][-1]
        return last
