"""VSE++: one vector an image, one a caption, their cosine (Faghri et al., BMVC 2018).

On region features the regions are averaged first, so that the model sees one vector an image as in the paper, from the same file as the others.
"""

from __future__ import annotations

import msgspec
from torch import Tensor

from camp_bench.config import Settings
from camp_bench.losses import triplet_loss
from camp_bench.models.base import PairModel, Prepared, Shape, Variant
from camp_bench.models.encoders import SentenceEncoder, region_encoder
from camp_bench.scoring.common import unit
from camp_bench.shapes import Bool, Float, Int

__all__ = ["VARIANTS", "Vsepp", "VseppOptions"]


class VseppOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """VSE++ has none beyond its settings."""


class Vsepp(PairModel):
    """score = image . caption, both of unit length."""

    options_type = VseppOptions

    def __init__(self, settings: Settings, options: VseppOptions, shape: Shape) -> None:
        super().__init__(settings, options, shape)
        self.image_encoder = region_encoder(shape.feature_size, settings.dim)
        self.caption_encoder = SentenceEncoder(shape.vocabulary_size, settings.word_dim, settings.dim)

    def encode_images(self, features: Float[Tensor, "I R F"]) -> Float[Tensor, "I D"]:
        return unit(self.image_encoder(features.mean(1)))

    def encode_captions(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C D"]:
        return unit(self.caption_encoder(tokens, lengths))

    def prepare_images(self, encoded: Float[Tensor, "I D"]) -> Prepared:
        return {"vectors": encoded}

    def prepare_captions(self, encoded: Float[Tensor, "C D"], lengths: Int[Tensor, " C"]) -> Prepared:  # noqa: ARG002 (of the protocol)
        return {"vectors": encoded}

    def score_tile(self, images: Prepared, captions: Prepared) -> Float[Tensor, "I C"]:
        return images["vectors"] @ captions["vectors"].T

    def score_plain(
        self, images: Float[Tensor, "I D"], captions: Float[Tensor, "C D"], lengths: Int[Tensor, " C"]  # noqa: ARG002 (of the protocol)
    ) -> Float[Tensor, "I C"]:
        return (images[:, None] * captions[None]).sum(2)

    def loss(self, scores: Float[Tensor, "B B"], same: Bool[Tensor, "B B"], *, hardest: bool) -> Float[Tensor, ""]:
        return triplet_loss(scores, same, margin=self.settings.margin, hardest=hardest)


QUICK = Settings(
    dim=256,
    word_dim=300,
    epochs=10,
    warmup_epochs=1,
    batch_size=128,
    optimizer="adam",
    learning_rate=1e-3,
    momentum=0.0,
    weight_decay=0.0,
    decay_epochs=(7,),
    clip_norm=2.0,
    margin=0.2,
    min_count=4,
    max_words=47,
    validate_every=1,
    tile_images=500,
    tile_captions=2500,
)

VARIANTS = (
    Variant(
        name="vsepp",
        model=Vsepp,
        options=VseppOptions(),
        settings={"quick": QUICK},
        source="VSE++, BMVC 2018, eq. 6",
        summary="cosine of one vector a side, hardest negatives; regions averaged first",
    ),
)
