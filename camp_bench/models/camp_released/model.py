"""CAMP as its authors released it: four measures, and a training in three stages (Wang et al., ICCV 2019).

Where the released program differs from the paper, whose form is `camp`:
- a gate is one number a region or word, sigmoid(own . message), not one a dimension;
- fusion concatenates own vector and message; its layer has a bias in `gate_fusion` only; with the sum, a variant, the
  two pooled vectors are summed before the scorer too;
- the `_new` measures have projections of their own for queries, and let the messages of a side attend to each other;
- `gate_fusion_new` gives messages and pooled vectors unit length;
- pooling is by four heads of attention over a hidden layer, their weights averaged, their logits not divided by
  sqrt(D), and the scorer takes both pooled vectors side by side;
- `cross_attention*` have no gates: the cosine of the pooled messages is the score. In `cross_attention_new` captions
  are filled up to 50 with zero words: nothing attends to them, but the messages that they get count in the mean, which
  `cross_attention_new:masked` mends;
- the cross-entropy is always the loss, of cosines too: clamped, a negative one gets no gradient. Those train better
  with the triplet loss (`loss = "triplet"`);
- at the start, weights of keys, fusing layers and the scorer are Xavier's, those of all other layers torch's own.
Stage 1 trains `cross_attention_new`; stage 2 starts the gated model from its weights, encoders and attention frozen;
stage 3 trains all of it. The best epoch is the last stage's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from torch import Tensor, nn

from camp_bench.config import Settings, Stage
from camp_bench.models.base import CORES, PairModel, Prepared, Shape, Variant
from camp_bench.models.camp_released.plain import (
    PADDED_WORDS,
    ReleasedForm,
    camp_released_attention,
    camp_released_plain,
)
from camp_bench.models.camp_released.tile import GROUP, camp_released_tile, prepare_captions, prepare_images
from camp_bench.models.encoders import WordEncoder, linear, region_encoder
from camp_bench.models.losses import CLAMP, matching_loss
from camp_bench.models.norms import even_lengths, l2norm
from camp_bench.models.presets import CAMP_PAPER, CAMP_QUICK
from camp_bench.models.similarity import START, Similarity, make_scales, start_similar
from camp_bench.shapes import Bool, Float, Int

__all__ = ["VARIANTS", "CampReleased", "CampReleasedOptions"]

HEADS = 4
"""Of the attention that pools."""

SIDES = ("image", "text")
ATTENTION = tuple(f"{kind}_{side}" for kind in ("key", "query", "second_key", "second_query") for side in SIDES)


class CampReleasedOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """measure: which of the released ones. fusion: of gated vectors and messages, where there are gates.

    masked: padding never counts; else captions of `cross_attention_new` are filled up to 50 words. loss: of the match
    probability, or of the cosine. negatives: the hardest of a batch once the warm-up is over, or always all.

    The others are part of no name. normalize_images, normalize_words, bidirectional, gru_layers: options of the
    released program, as SCAN's. even_rms, similar_start, similarity: ours, as in `CampOptions`, the last one of gated
    measures alone; the presets set them.
    """

    measure: Literal["gate_fusion_new", "gate_fusion", "cross_attention_new", "cross_attention"]
    fusion: Literal["concat", "sum"] = "concat"
    masked: bool = True
    loss: Literal["cross_entropy", "triplet"] = "cross_entropy"
    negatives: Literal["hardest", "all"] = "hardest"
    normalize_images: bool = False
    normalize_words: bool = False
    bidirectional: bool = True
    gru_layers: Annotated[int, msgspec.Meta(ge=1)] = 1
    even_rms: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    similar_start: bool = False
    similarity: Similarity = "none"

    def __post_init__(self) -> None:
        if self.even_rms and (self.normalize_images or self.normalize_words):
            raise ValueError("even_rms goes with no normalize_images or normalize_words; expected one of them")


class CampReleased(PairModel):
    """The released measures. The score of the gated ones is the logit of the match probability: same order, no ties."""

    timed_items = (16, 80)
    program_words = PADDED_WORDS
    options_type = CampReleasedOptions
    options: CampReleasedOptions
    freezable: ClassVar[Mapping[str, tuple[str, ...]]] = {**PairModel.freezable, "attention": ATTENTION}

    def __init__(self, settings: Settings, options: CampReleasedOptions, shape: Shape) -> None:
        super().__init__(settings, options, shape)
        self.form = form = _form(options)
        dim = settings.dim
        self.image_encoder = region_encoder(shape.feature_size, dim)
        self.caption_encoder = WordEncoder(
            shape.vocabulary_size,
            settings.word_dim,
            dim,
            settings.word_spread,
            layers=options.gru_layers,
            bidirectional=options.bidirectional,
        )
        kinds = ["key"] + ["query"] * form.own_queries + ["second_key", "second_query"] * form.second
        layers = {
            f"{kind}_{side}": linear(dim, dim, bias=False, xavier=kind == "key") for kind in kinds for side in SIDES
        }
        fused = 2 * dim if form.fusion == "concat" else dim
        for side in SIDES:
            if form.gated:
                layers[f"fuse_{side}"] = linear(fused, dim, bias=form.fusion_bias)
            if form.pooling == "attention":
                layers[f"pool_{side}"] = linear(dim, dim, xavier=False)
                layers[f"heads_{side}"] = linear(dim, HEADS, bias=False, xavier=False)  # a softmax sees no bias
        if form.gated:
            layers |= {"hidden": linear(fused, dim), "out": linear(dim, 1)}
        if form.similarity != "none":
            self.similarity = make_scales(form.similarity)
            nn.init.zeros_(layers["out"].weight)
        if options.similar_start:
            start_similar(layers, options.even_rms)
        self._layers = tuple(layers)
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.hardest_negatives = options.negatives == "hardest"
        if options.loss == "cross_entropy" and not form.gated:
            self.neutral_score, self.clamped = 0.5, (CLAMP, 1 - CLAMP)

    def encode_images(self, features: Float[Tensor, "I R F"]) -> Float[Tensor, "I R D"]:
        return self._even(self.image_encoder(features), normalize=self.options.normalize_images)

    def encode_captions(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C L D"]:
        return self._even(self.caption_encoder(tokens, lengths), normalize=self.options.normalize_words)

    def prepare_images(self, encoded: Float[Tensor, "I R D"]) -> Prepared:
        return prepare_images(encoded, self._weights(), self.form)

    def prepare_captions(self, encoded: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"]) -> Prepared:
        return prepare_captions(encoded, lengths, self._weights(), self.form)

    def score_tile(self, images: Prepared, captions: Prepared) -> Float[Tensor, "I C"]:
        return camp_released_tile(images, captions, self._weights(), self.form)

    def tile_bytes(self, images: int, captions: int, regions: int, words: int) -> int:
        """Add what a core's small tables take: four times a number for two regions, or three words and a region."""
        tables = min(captions, CORES * GROUP) * 4 * regions * (regions + 3 * words)
        return super().tile_bytes(images, captions, regions, words) + 4 * images * tables

    def score_plain(
        self, images: Float[Tensor, "I R D"], captions: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"]
    ) -> Float[Tensor, "I C"]:
        return camp_released_plain(images, captions, lengths, self._weights(), self.form)

    def loss(self, scores: Float[Tensor, "B B"], same: Bool[Tensor, "B B"], *, hardest: bool) -> Float[Tensor, ""]:
        kind, margin = self.options.loss, self.settings.margin
        return matching_loss(scores, same, logits=self.form.gated, kind=kind, margin=margin, hardest=hardest)

    def attend(self, image: Float[Tensor, "R D"], words: Float[Tensor, "L D"]) -> dict[str, Tensor]:
        seen = camp_released_attention(image[None], words[None], self._weights(), self.form)
        return {name: value[0] for name, value in seen.items()}

    def _even(self, encoded: Float[Tensor, "N K D"], *, normalize: bool) -> Float[Tensor, "N K D"]:
        if self.options.even_rms:
            return even_lengths(encoded, self.options.even_rms)
        return l2norm(encoded) if normalize else encoded

    def _weights(self) -> dict[str, Tensor]:
        weights = {}
        for name in self._layers:
            layer = self.get_submodule(name)
            assert isinstance(layer, nn.Linear)
            weights[name] = layer.weight[0] if name == "out" else layer.weight.T
            if isinstance(layer.bias, Tensor):
                weights[f"{name}_bias"] = layer.bias[0] if name == "out" else layer.bias
        if self.form.similarity != "none":
            weights["similarity"] = self.similarity
        return weights


def _form(options: CampReleasedOptions) -> ReleasedForm:
    """Return what a measure is made of."""
    new, gated = options.measure.endswith("_new"), options.measure.startswith("gate")
    return ReleasedForm(
        own_queries=new,
        second=new,
        gated=gated,
        normalized=new and gated,
        pooling="mean" if new and not gated else "attention",
        fusion=options.fusion,
        fusion_bias=gated and not new,
        padded=not options.masked,
        similarity=options.similarity if gated else "none",
    )


STAGE_1 = "camp:cross_attention_new"
FROZEN = ("encoders", "attention")

_FIRST = {
    "optimizer": "adam",
    "learning_rate": CAMP_PAPER.learning_rate,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "batch_size": CAMP_PAPER.batch_size,
    "epochs": CAMP_PAPER.epochs,
    "decay_epochs": list(CAMP_PAPER.decay_epochs),
}
PAPER_STAGED = msgspec.structs.replace(
    CAMP_PAPER,
    optimizer="sgd",
    learning_rate=0.01,
    momentum=0.9,
    weight_decay=1e-4,
    batch_size=128,
    epochs=30,
    decay_epochs=(10, 20),
    stages=(
        Stage(name="attention", model=STAGE_1, options=START, settings=_FIRST),
        Stage(name="fusion", freeze=FROZEN, settings={"epochs": 13, "decay_epochs": [9]}),
        Stage(name="all"),
    ),
)
"""Of one caption an image, the released program's stages have 110, 65 and 150 epochs, and the learning rate falls every
50, 45 and 50: with five captions an image 22, 13 and 30, every 10, 9 and 10.
"""


def _variant(name: str, summary: str, **options: Any) -> Variant:
    measure = options["measure"]
    gated = measure.startswith("gate")
    paper = PAPER_STAGED if gated else CAMP_PAPER
    return Variant(
        name=f"camp:{name}",
        model=CampReleased,
        options=CampReleasedOptions(**options),
        settings={"quick": CAMP_QUICK, "paper-f30k": paper, "paper-coco": paper},
        source="CAMP's released program",
        summary=summary,
        named=frozenset({"measure", "fusion", "masked"}),
        preset_options=dict.fromkeys(("quick", "paper-f30k", "paper-coco"), START),
    )


VARIANTS = (
    _variant(
        "gate_fusion_new",
        "the published checkpoint's: scalar gates, own queries, messages attend to each other",
        measure="gate_fusion_new",
    ),
    _variant(
        "gate_fusion_new-sum",
        "as camp:gate_fusion_new; gated vectors and messages are added, pooled vectors too",
        measure="gate_fusion_new",
        fusion="sum",
    ),
    _variant(
        "gate_fusion",
        "scalar gates, keys as queries, nothing normalised",
        measure="gate_fusion",
    ),
    _variant(
        "gate_fusion-sum",
        "as camp:gate_fusion; gated vectors and messages are added, pooled vectors too",
        measure="gate_fusion",
        fusion="sum",
    ),
    _variant(
        "cross_attention_new",
        "cosine of mean messages, those to captions padded to 50 words; the first stage",
        measure="cross_attention_new",
        masked=False,
    ),
    _variant(
        "cross_attention_new:masked",
        "as camp:cross_attention_new; padding doesn't count",
        measure="cross_attention_new",
    ),
    _variant(
        "cross_attention",
        "cosine of messages pooled by attention, keys as queries",
        measure="cross_attention",
    ),
)
