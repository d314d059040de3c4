"""What every model is: two encoders, preparation once an item, a score for each pair of a tile, and a loss.

A model of your own derives from `PairModel` and gives at least `encode_images`, `encode_captions` and `score_tile`.

Scoring N images with M captions is N x M pairs, so whatever depends on one side alone belongs into `prepare_images` or
`prepare_captions`, and `score_tile` does only what needs both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
import torch
from torch import Tensor, nn

from camp_bench.config import Settings
from camp_bench.models.losses import triplet_loss
from camp_bench.shapes import Bool, Float, Int

__all__ = ["CORES", "NoOptions", "PairModel", "Prepared", "Shape", "Variant"]

CORES = 16
"""Cores that memory is reckoned for, whatever the machine has: tiles must not depend on it."""

Prepared = dict[str, Tensor]
"""What scoring needs of a group of images or captions; the first dimension of every tensor counts the items."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a model's size depends on beside its settings."""

    vocabulary_size: int
    feature_size: int


@dataclass(frozen=True, slots=True)
class Variant:
    """One table entry of a family: a name that users give, and what it means.

    options: of the family, complete. settings: by preset. source: paper and equation or table. named: the options that
    the name says, which therefore can't be overridden. preset_options: those that a preset sets otherwise.
    """

    name: str
    model: type[PairModel]
    options: msgspec.Struct
    settings: Mapping[str, Settings]
    source: str
    summary: str
    named: frozenset[str] = frozenset()
    preset_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of a family that has none."""


class PairModel(nn.Module, ABC):
    """Base of all models. F: feature size, D: `settings.dim`, R: regions, L: words with <start> and <end>.

    A score may depend on its image and its caption alone, in `eval` mode to the last digits that a sum has.
    """

    options_type: type[msgspec.Struct] = NoOptions
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Of a plug-in: settings by preset (`quick`, `paper-f30k`, `paper-coco`) that differ from the shared ones."""
    transductive: bool = False
    """Whether scores are meant to depend on what else is in the gallery, which other test queries then help."""
    hardest_negatives: bool = True
    """Whether training goes on to the hardest negatives once its warm-up is over."""
    freezable: ClassVar[Mapping[str, tuple[str, ...]]] = {"encoders": ("image_encoder", "caption_encoder")}
    """What a stage of a training can freeze: a name, and the modules that it means."""
    neutral_score: float = 0.0
    """The score that costs the least among those that are the same for every pair, where the loss has one."""
    clamped: tuple[float, float] | None = None
    """Beyond which scores the loss as published gives no gradient any more, where it has such bounds."""
    timed_items: ClassVar[tuple[int, int]] = (100, 500)
    """The images and captions whose scoring keeps a core busy for a moment: what throughput is measured on."""
    program_words: ClassVar[int | None] = None
    """To how many words the authors' program pads every caption, where it computes them all."""

    def __init__(self, settings: Settings, options: Any, shape: Shape) -> None:
        super().__init__()
        self.settings, self.options, self.shape = settings, options, shape

    @property
    def members(self) -> tuple[PairModel, ...]:
        """The models of an ensemble, each of which is trained by itself; empty for a single model."""
        return ()

    @abstractmethod
    def encode_images(self, features: Float[Tensor, "I R F"]) -> Float[Tensor, "I ..."]:
        """Map features into the joint space: (I, R, D), or (I, D) for a model with one vector an image."""

    @abstractmethod
    def encode_captions(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C ..."]:
        """Map token ids into the joint space: (C, L, D), zero beyond the true length, or (C, D).

        lengths: true number of tokens, on the CPU.
        """

    def prepare_images(self, encoded: Float[Tensor, "I ..."]) -> Prepared:
        """Compute once an image all that pairs share; here nothing, and what is encoded is called `vectors`."""
        return {"vectors": encoded}

    def prepare_captions(self, encoded: Float[Tensor, "C ..."], lengths: Int[Tensor, " C"]) -> Prepared:
        """Compute once a caption all that pairs share; here nothing: `vectors`, and the `lengths`."""
        return {"vectors": encoded, "lengths": lengths}

    @abstractmethod
    def score_tile(self, images: Prepared, captions: Prepared) -> Float[Tensor, "I C"]:
        """Return the score of every pair; only its order counts for retrieval."""

    def tile_bytes(self, images: int, captions: int, regions: int, words: int) -> int:
        """Return about how much memory scoring a tile takes at most beside what was prepared.

        words: of a caption, on average. Here: the scores and what ranking makes of them, and for one caption a core
        four times what all images and the caption themselves take.
        """
        at_work = min(captions, CORES) * 4 * (regions + words) * self.settings.dim
        return images * (8 * captions + 4 * at_work)

    def score_plain(
        self, images: Float[Tensor, "I ..."], captions: Float[Tensor, "C ..."], lengths: Int[Tensor, " C"]
    ) -> Float[Tensor, "I C"]:
        """Return the same scores from encoded items as the paper writes them: the reference for `score_tile`.

        Here that itself, one caption at a time, without padding.
        """
        prepared = self.prepare_images(images)
        columns = []
        for c, length in enumerate(lengths.tolist()):
            one = captions[c : c + 1] if captions.dim() == 2 else captions[c : c + 1, :length]
            columns.append(self.score_tile(prepared, self.prepare_captions(one, lengths[c : c + 1])))
        return torch.cat(columns, 1)

    def loss(self, scores: Float[Tensor, "B B"], same: Bool[Tensor, "B B"], *, hardest: bool) -> Float[Tensor, ""]:
        """Return the training loss of a batch of B positive pairs, which lie on the diagonal; here the triplet loss."""
        return triplet_loss(scores, same, margin=self.settings.margin, hardest=hardest)

    def attend(self, image: Float[Tensor, "..."], words: Float[Tensor, "..."]) -> dict[str, Tensor]:  # noqa: ARG002 (for those that override it)
        """Return what the model looks at in one encoded image with one encoded caption cut to its true length.

        By name: `attention_words` (L, R), how each word weighs the regions, `attention_regions` (R, L) the reverse;
        what else a model has, with a first dimension of words or regions as its name says: `gate_words` (L,), how far
        each word's gate is open, with `gate_spread_words` (L,) over dimensions where it has some; `gate_regions` the
        same. Empty where it has none.
        """
        return {}

    @torch.no_grad()
    def take_weights(self, weights: Mapping[str, Tensor]) -> int:
        """Copy every tensor that has the name and shape of one of this model's; return how many there were."""
        own = self.state_dict()
        shared = [name for name, value in weights.items() if name in own and own[name].shape == value.shape]
        for name in shared:
            own[name].copy_(weights[name])
        return len(shared)

    @torch.no_grad()
    def start_words_from(self, rows: Int[Tensor, " N"], vectors: Float[Tensor, "N W"]) -> None:
        """Give the words numbered `rows` these vectors, W = `settings.word_dim`, in place of random ones."""
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                module.weight[rows] = vectors

    def forward(
        self, features: Float[Tensor, "I R F"], tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]
    ) -> Float[Tensor, "I C"]:
        """Score every image of a batch with every caption of it, from the raw inputs."""
        images = self.prepare_images(self.encode_images(features))
        captions = self.prepare_captions(self.encode_captions(tokens, lengths), lengths)
        return self.score_tile(images, captions)
