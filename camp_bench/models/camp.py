"""CAMP: regions and words send each other messages, gates say how much of them is used (Wang et al., ICCV 2019)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import torch
from torch import Tensor

from camp_bench.config import Settings
from camp_bench.losses import matching_loss
from camp_bench.models.base import PairModel, Prepared, Shape, Variant
from camp_bench.models.encoders import WordEncoder, linear, region_encoder
from camp_bench.models.presets import CAMP_PAPER, CAMP_QUICK
from camp_bench.scoring.camp import camp_tile
from camp_bench.scoring.plain import CampForm, camp_attention, camp_plain
from camp_bench.shapes import Bool, Float, Int

__all__ = ["VARIANTS", "Camp", "CampOptions"]


class CampOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the paper's ablations (table 4) change, each by itself; the defaults are the whole model.

    attention ... score: see `CampForm`. loss: the cross-entropy of the matching score, or the triplet loss on it.
    negatives: the hardest of a batch once the warm-up is over, or always all.
    """

    attention: bool = True
    gates: Literal["element", "scalar", "none"] = "element"
    fusion: Literal["sum", "concat", "product"] = "sum"
    residual: bool = True
    pooling: Literal["attention", "mean"] = "attention"
    score: Literal["mlp", "cosine"] = "mlp"
    loss: Literal["cross_entropy", "triplet"] = "cross_entropy"
    negatives: Literal["hardest", "all"] = "hardest"


class Camp(PairModel):
    """The paper's CAMP: element-wise gates, fusion by sum, attention pooling, a two-layer scorer; and its ablations.

    The score is the logit of the paper's m = sigmoid(MLP(v* + t*)): same order, without the ties that m's
    rounding to 1 would make. The loss uses m itself, or the cosine where that is the score.
    """

    options_type = CampOptions
    options: CampOptions

    def __init__(self, settings: Settings, options: CampOptions, shape: Shape) -> None:
        super().__init__(settings, options, shape)
        dim = settings.dim
        self.image_encoder = region_encoder(shape.feature_size, dim)
        self.caption_encoder = WordEncoder(shape.vocabulary_size, settings.word_dim, dim, settings.word_spread)
        if options.attention:
            self.key_image, self.key_text = linear(dim, dim, bias=False), linear(dim, dim, bias=False)
        fused = 2 * dim if options.fusion == "concat" else dim
        self.fuse_image, self.fuse_text = linear(fused, dim), linear(fused, dim)
        if options.pooling == "attention":
            self.attend_image, self.attend_text = linear(dim, 1, bias=False), linear(dim, 1, bias=False)
        if options.score == "mlp":
            self.hidden, self.out = linear(dim, dim), linear(dim, 1)
        self.form = CampForm(**{name: getattr(options, name) for name in CampForm.__slots__})
        self.hardest_negatives = options.negatives == "hardest"
        self.neutral_score = 0.5 if (options.score, options.loss) == ("cosine", "cross_entropy") else 0.0

    def encode_images(self, features: Float[Tensor, "I R F"]) -> Float[Tensor, "I R D"]:
        encoded: Tensor = self.image_encoder(features)
        return encoded

    def encode_captions(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C L D"]:
        encoded: Tensor = self.caption_encoder(tokens, lengths)
        return encoded

    def prepare_images(self, encoded: Float[Tensor, "I R D"]) -> Prepared:
        return {"regions": encoded, "keys": self.key_image(encoded) if self.form.attention else encoded}

    def prepare_captions(self, encoded: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"]) -> Prepared:
        keys = self.key_text(encoded) if self.form.attention else encoded
        return {"words": encoded, "keys": keys, "lengths": lengths}

    def score_tile(self, images: Prepared, captions: Prepared) -> Float[Tensor, "I C"]:
        return camp_tile(
            images["regions"],
            images["keys"],
            captions["words"],
            captions["keys"],
            captions["lengths"],
            self._weights(),
            self.form,
        )

    def score_plain(
        self, images: Float[Tensor, "I R D"], captions: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"]
    ) -> Float[Tensor, "I C"]:
        return camp_plain(images, captions, lengths, self._weights(), self.form)

    def attend(self, image: Float[Tensor, "R D"], words: Float[Tensor, "L D"]) -> dict[str, Tensor]:
        found = camp_attention(image[None], words[None], self._weights(), self.form)
        return {name: value[0] for name, value in found.items()}

    def loss(self, scores: Float[Tensor, "B B"], same: Bool[Tensor, "B B"], *, hardest: bool) -> Float[Tensor, ""]:
        matching = torch.sigmoid(scores) if self.form.score == "mlp" else scores
        kind, margin = self.options.loss, self.settings.margin
        return matching_loss(matching, same, kind=kind, margin=margin, hardest=hardest)

    def _weights(self) -> dict[str, Tensor]:
        weights = {
            "fuse_image": self.fuse_image.weight.T,
            "fuse_image_bias": self.fuse_image.bias,
            "fuse_text": self.fuse_text.weight.T,
            "fuse_text_bias": self.fuse_text.bias,
        }
        if self.form.attention:
            weights |= {"key_image": self.key_image.weight.T, "key_text": self.key_text.weight.T}
        if self.form.pooling == "attention":
            weights |= {"attend_image": self.attend_image.weight[0], "attend_text": self.attend_text.weight[0]}
        if self.form.score == "mlp":
            weights |= {
                "hidden": self.hidden.weight.T,
                "hidden_bias": self.hidden.bias,
                "out": self.out.weight[0],
                "out_bias": self.out.bias[0],
            }
        return weights


QUICK = msgspec.structs.replace(
    CAMP_QUICK,
    word_spread=1.0,
    epochs=7,
    warmup_epochs=3,
    batch_size=16,
    decay_epochs=(5,),
    validate_every=4,
)
"""On Flickr8k fresh words of the usual spread, 0.1, come out forty times shorter than regions (root mean square 0.045
to 1.8). Element by element a gate then says nothing, and training is slow to begin; a scalar gate doesn't mind.
"""

ABLATIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("camp", "the paper's form: element-wise gates, fusion by sum, attention pooling, two-layer scorer", {}),
    ("camp:no-attention", "as camp; a message is the mean of the other side", {"attention": False}),
    ("camp:scalar-gates", "as camp; one gate a region or word, as in the released program", {"gates": "scalar"}),
    ("camp:no-gates", "as camp without gates", {"gates": "none"}),
    ("camp:no-residual", "as camp without the residual after fusion", {"residual": False}),
    ("camp:mean-pooling", "as camp; pooled by the mean", {"pooling": "mean"}),
    ("camp:concat", "as camp; own vector and message are concatenated", {"fusion": "concat"}),
    ("camp:product", "as camp; own vector and message are multiplied", {"fusion": "product"}),
    ("camp:cosine", "as camp; scored by the cosine of the pooled vectors", {"score": "cosine"}),
    ("camp:triplet", "as camp; trained with the triplet loss on the matching score", {"loss": "triplet"}),
    ("camp:all-negatives", "as camp; trained on all negatives to the end", {"negatives": "all"}),
)
"""Name, summary, and what differs from the whole model."""

VARIANTS = tuple(
    Variant(
        name=name,
        model=Camp,
        options=CampOptions(**changes),
        settings={
            "quick": CAMP_QUICK if changes.get("gates") == "scalar" else QUICK,
            "paper-f30k": CAMP_PAPER,
            "paper-coco": CAMP_PAPER,
        },
        source="CAMP, ICCV 2019, " + ("table 4" if changes else "eq. 1-11"),
        summary=summary,
        named=frozenset(CampOptions.__struct_fields__),
    )
    for name, summary, changes in ABLATIONS
)
