"""VSE++: one vector an image, one a caption, their cosine (Faghri et al., BMVC 2018), with its companions.

On region features the regions are averaged first, so that the model sees one vector an image as in the paper, from
the same file as the others. `vsepp:vse0` is the paper's baseline with all negatives, whose released program leaves the
image unnormalised; `vsepp:order` measures by the order of the cone, on absolute values of normalised vectors, and
`vsepp:order0` is that with all negatives.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import torch
from torch import Tensor

from camp_bench.config import Settings
from camp_bench.machine.product import product
from camp_bench.models import presets
from camp_bench.models.base import PairModel, Prepared, Shape, Variant
from camp_bench.models.encoders import SentenceEncoder, region_encoder
from camp_bench.models.norms import unit
from camp_bench.models.vsepp.order import order_plain, order_tile
from camp_bench.shapes import Float, Int

__all__ = ["VARIANTS", "Vsepp", "VseppOptions"]


class VseppOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """negatives: all of the batch, or the hardest once the warm-up is over. normalize_images: to unit length.

    use_abs: take absolute values of both sides, after normalising. gru_layers: of the text encoder.
    """

    measure: Literal["cosine", "order"] = "cosine"
    negatives: Literal["hardest", "all"] = "hardest"
    normalize_images: bool = True
    use_abs: bool = False
    gru_layers: Annotated[int, msgspec.Meta(ge=1)] = 1


class Vsepp(PairModel):
    """score = image . caption, or -|max(0, caption - image)| for order; captions are of unit length."""

    timed_items = (1000, 5000)
    options_type = VseppOptions
    options: VseppOptions

    def __init__(self, settings: Settings, options: VseppOptions, shape: Shape) -> None:
        super().__init__(settings, options, shape)
        self.hardest_negatives = options.negatives == "hardest"
        self.image_encoder = region_encoder(shape.feature_size, settings.dim)
        self.caption_encoder = SentenceEncoder(
            shape.vocabulary_size, settings.word_dim, settings.dim, settings.word_spread, layers=options.gru_layers
        )

    def encode_images(self, features: Float[Tensor, "I R F"]) -> Float[Tensor, "I D"]:
        encoded: Tensor = self.image_encoder(features.mean(1))
        return self._finish(unit(encoded) if self.options.normalize_images else encoded)

    def encode_captions(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C D"]:
        return self._finish(unit(self.caption_encoder(tokens, lengths)))

    def score_tile(self, images: Prepared, captions: Prepared) -> Float[Tensor, "I C"]:
        if self.options.measure == "order":
            return order_tile(images["vectors"], captions["vectors"])
        return product(images["vectors"], captions["vectors"])

    def tile_bytes(self, images: int, captions: int, regions: int, words: int) -> int:  # noqa: ARG002 (of the protocol)
        return 8 * images * captions  # the scores, and what ranking makes of them

    def score_plain(
        self,
        images: Float[Tensor, "I D"],
        captions: Float[Tensor, "C D"],
        lengths: Int[Tensor, " C"],  # noqa: ARG002 (of the protocol)
    ) -> Float[Tensor, "I C"]:
        if self.options.measure == "order":
            return order_plain(images, captions)
        return torch.stack([images @ caption for caption in captions], 1)

    def _finish(self, encoded: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        return encoded.abs() if self.options.use_abs else encoded


QUICK = msgspec.structs.replace(
    presets.QUICK,
    epochs=10,
    warmup_epochs=5,
    batch_size=128,
    learning_rate=2e-3,
    decay_epochs=(8,),
    validate_every=1,
    tile_images=500,
    tile_captions=2500,
)
PAPER = msgspec.structs.replace(presets.PAPER, tile_images=500, tile_captions=2500)
"""The same on Flickr30K and COCO."""

ORDER = {"margin": 0.05, "learning_rate": 1e-3}
NAMED = frozenset({"measure", "negatives"})


def _presets(changes: dict[str, Any]) -> dict[str, Settings]:
    presets = {"quick": QUICK, "paper-f30k": PAPER, "paper-coco": PAPER}
    return {name: msgspec.structs.replace(settings, **changes) for name, settings in presets.items()}


VARIANTS = (
    Variant(
        name="vsepp",
        model=Vsepp,
        options=VseppOptions(),
        settings=_presets({}),
        source="VSE++, BMVC 2018, eq. 6",
        summary="cosine of one vector a side, hardest negatives; regions averaged first",
        named=NAMED,
    ),
    Variant(
        name="vsepp:vse0",
        model=Vsepp,
        options=VseppOptions(negatives="all", normalize_images=False),
        settings=_presets({}),
        source="VSE++, BMVC 2018, eq. 5",
        summary="as vsepp with all negatives, the image not normalised",
        named=NAMED,
    ),
    Variant(
        name="vsepp:order",
        model=Vsepp,
        options=VseppOptions(measure="order", use_abs=True),
        settings=_presets(ORDER),
        source="order embeddings, ICLR 2016, eq. 2, as in VSE++'s program",
        summary="as vsepp by the order of absolute vectors: how far the caption lies above the image",
        named=NAMED,
    ),
    Variant(
        name="vsepp:order0",
        model=Vsepp,
        options=VseppOptions(measure="order", negatives="all", use_abs=True),
        settings=_presets(ORDER),
        source="order embeddings, ICLR 2016, eq. 2 and 3, as in VSE++'s program",
        summary="as vsepp:order with all negatives",
        named=NAMED,
    ),
)
