"""The encoders that all three papers share: a linear map of region features, a GRU over word vectors."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils import parametrizations
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from camp_bench.machine.product import product
from camp_bench.shapes import Float, Int

__all__ = ["SentenceEncoder", "WordEncoder", "linear", "region_encoder"]


def linear(size_in: int, size_out: int, *, bias: bool = True, xavier: bool = True) -> nn.Linear:
    """Return a linear layer with Xavier-uniform weight and zero bias, or as torch starts one."""
    layer = _Linear(size_in, size_out, bias=bias)
    if xavier:
        nn.init.xavier_uniform_(layer.weight)
        if bias:
            nn.init.zeros_(layer.bias)
    return layer


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
