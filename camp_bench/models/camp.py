"""CAMP: regions and words send each other messages, gates say how much of them is used (Wang et al., ICCV 2019)."""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor, nn

from camp_bench.config import Settings
from camp_bench.losses import cross_entropy_loss
from camp_bench.models.base import PairModel, Prepared, Shape, Variant
from camp_bench.models.encoders import WordEncoder, region_encoder
from camp_bench.scoring.camp import camp_tile
from camp_bench.scoring.plain import camp_plain
from camp_bench.shapes import Bool, Float, Int

__all__ = ["VARIANTS", "Camp", "CampOptions"]


class CampOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The paper's form has none beyond its settings."""


class Camp(PairModel):
    """The paper's CAMP: element-wise gates, fusion by sum, attention pooling, a two-layer scorer.

    The score is the logit of the paper's m = sigmoid(MLP(v* + t*)): same order, without the ties that m's
    rounding to 1 would make. The loss uses m itself.
    """

    options_type = CampOptions

    def __init__(self, settings: Settings, options: CampOptions, shape: Shape) -> None:
        super().__init__(settings, options, shape)
        dim = settings.dim
        self.image_encoder = region_encoder(shape.feature_size, dim)
        self.caption_encoder = WordEncoder(shape.vocabulary_size, settings.word_dim, dim)
        self.key_image, self.key_text = _linear(dim, dim, bias=False), _linear(dim, dim, bias=False)
        self.fuse_image, self.fuse_text = _linear(dim, dim), _linear(dim, dim)
        self.attend_image, self.attend_text = _linear(dim, 1, bias=False), _linear(dim, 1, bias=False)
        self.hidden, self.out = _linear(dim, dim), _linear(dim, 1)

    def encode_images(self, features: Float[Tensor, "I R F"]) -> Float[Tensor, "I R D"]:
        encoded: Tensor = self.image_encoder(features)
        return encoded

    def encode_captions(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C L D"]:
        encoded: Tensor = self.caption_encoder(tokens, lengths)
        return encoded

    def prepare_images(self, encoded: Float[Tensor, "I R D"]) -> Prepared:
        return {"regions": encoded, "keys": self.key_image(encoded)}

    def prepare_captions(self, encoded: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"]) -> Prepared:
        return {"words": encoded, "keys": self.key_text(encoded), "lengths": lengths}

    def score_tile(self, images: Prepared, captions: Prepared) -> Float[Tensor, "I C"]:
        return camp_tile(
            images["regions"], images["keys"], captions["words"], captions["keys"], captions["lengths"], self._weights()
        )

    def score_plain(
        self, images: Float[Tensor, "I R D"], captions: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"]
    ) -> Float[Tensor, "I C"]:
        return camp_plain(images, captions, lengths, self._weights())

    def loss(self, scores: Float[Tensor, "B B"], same: Bool[Tensor, "B B"], *, hardest: bool) -> Float[Tensor, ""]:
        return cross_entropy_loss(torch.sigmoid(scores), same, hardest=hardest)

    def _weights(self) -> dict[str, Tensor]:
        return {
            "key_image": self.key_image.weight.T,
            "key_text": self.key_text.weight.T,
            "fuse_image": self.fuse_image.weight.T,
            "fuse_image_bias": self.fuse_image.bias,
            "fuse_text": self.fuse_text.weight.T,
            "fuse_text_bias": self.fuse_text.bias,
            "attend_image": self.attend_image.weight[0],
            "attend_text": self.attend_text.weight[0],
            "hidden": self.hidden.weight.T,
            "hidden_bias": self.hidden.bias,
            "out": self.out.weight[0],
            "out_bias": self.out.bias[0],
        }


def _linear(size_in: int, size_out: int, *, bias: bool = True) -> nn.Linear:
    layer = nn.Linear(size_in, size_out, bias=bias)
    nn.init.xavier_uniform_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


QUICK = Settings(
    dim=128,
    word_dim=300,
    epochs=8,
    warmup_epochs=2,
    batch_size=32,
    optimizer="adam",
    learning_rate=1e-3,
    momentum=0.0,
    weight_decay=0.0,
    decay_epochs=(6,),
    clip_norm=2.0,
    margin=0.2,
    min_count=4,
    max_words=47,
    validate_every=2,
    tile_images=8,
    tile_captions=40,
)

PAPER = msgspec.structs.replace(
    QUICK,
    dim=1024,
    epochs=20,
    warmup_epochs=0,
    batch_size=256,
    learning_rate=1e-3,
    decay_epochs=(10,),  # every 50 epochs of one caption an image
    validate_every=1,
)
"""The released program's first stage; how long to train is told nowhere, so the epochs are ours."""

VARIANTS = (
    Variant(
        name="camp",
        model=Camp,
        options=CampOptions(),
        settings={"quick": QUICK, "paper-f30k": PAPER, "paper-coco": PAPER},
        source="CAMP, ICCV 2019, eq. 1-11",
        summary="the paper's form: element-wise gates, fusion by sum, attention pooling, two-layer scorer",
    ),
)
