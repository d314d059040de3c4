"""CAMP: regions and words send each other messages, gates say how much of them is used (Wang et al., ICCV 2019)."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from torch import Tensor, nn

from camp_bench.config import Settings
from camp_bench.models.base import PairModel, Prepared, Shape, Variant
from camp_bench.models.camp.plain import CampForm, camp_attention, camp_plain
from camp_bench.models.camp.tile import camp_tile
from camp_bench.models.encoders import WordEncoder, linear, region_encoder
from camp_bench.models.losses import CLAMP, matching_loss
from camp_bench.models.norms import even_lengths
from camp_bench.models.presets import CAMP_PAPER, CAMP_QUICK
from camp_bench.models.similarity import START, make_scales, start_similar
from camp_bench.shapes import Bool, Float, Int

__all__ = ["VARIANTS", "Camp", "CampOptions", "combined_variants"]


class CampOptions(CampForm, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the paper's ablations (table 4) change, each by itself; the defaults are the whole model.

    Beside the form of the scorer: loss, the cross-entropy of the matching score, or the triplet loss on it; negatives:
    the hardest of a batch once the warm-up is over, or always all.

    Three are ours, off where nothing says otherwise, and no part of any name; the presets set them.
    even_rms: encoded regions and words are brought to one length, of numbers with this root mean square; 0 leaves them
    as they come. Then words can be many times shorter than regions, a message adds nothing, gates stand half open and
    attention is flat.
    similar_start: keys and fusing layers start as `start_similar` says, so that attention is similarity.
    similarity, of the form: what is added to the logit is all of it at the start.
    """

    loss: Literal["cross_entropy", "triplet"] = "cross_entropy"
    negatives: Literal["hardest", "all"] = "hardest"
    even_rms: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0
    similar_start: bool = False

    def __post_init__(self) -> None:
        if self.similarity != "none" and self.score == "cosine":
            raise ValueError(
                f"similarity = '{self.similarity}' is added to the logit of the scorer, and the cosine has none"
            )


NAMED = frozenset(CampOptions.__struct_fields__).difference(START)
ELEMENT_RMS = 0.6
"""Where a gate is made of the product of two numbers, which at 0.3 would leave all of them half open."""


class Camp(PairModel):
    """The paper's CAMP: element-wise gates, fusion by sum, attention pooling, a two-layer scorer; and its ablations.

    The score is the logit of the paper's m = sigmoid(MLP(v* + t*)): same order, without the ties that m's
    rounding to 1 would make. The loss uses m itself, or the cosine where that is the score.
    """

    timed_items = (16, 80)
    program_words = 50
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
            if options.similarity != "none":
                self.similarity = make_scales(options.similarity)
                nn.init.zeros_(self.out.weight)
        if options.similar_start:
            start_similar(dict(self.named_children()), options.even_rms)
        self.hardest_negatives = options.negatives == "hardest"
        if (options.score, options.loss) == ("cosine", "cross_entropy"):
            self.neutral_score, self.clamped = 0.5, (CLAMP, 1 - CLAMP)

    def encode_images(self, features: Float[Tensor, "I R F"]) -> Float[Tensor, "I R D"]:
        return self._even(self.image_encoder(features))

    def encode_captions(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C L D"]:
        return self._even(self.caption_encoder(tokens, lengths))

    def prepare_images(self, encoded: Float[Tensor, "I R D"]) -> Prepared:
        return {"regions": encoded, "keys": self.key_image(encoded) if self.options.attention else encoded}

    def prepare_captions(self, encoded: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"]) -> Prepared:
        keys = self.key_text(encoded) if self.options.attention else encoded
        return {"words": encoded, "keys": keys, "lengths": lengths}

    def score_tile(self, images: Prepared, captions: Prepared) -> Float[Tensor, "I C"]:
        return camp_tile(
            images["regions"],
            images["keys"],
            captions["words"],
            captions["keys"],
            captions["lengths"],
            self._weights(),
            self.options,
        )

    def score_plain(
        self, images: Float[Tensor, "I R D"], captions: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"]
    ) -> Float[Tensor, "I C"]:
        return camp_plain(images, captions, lengths, self._weights(), self.options)

    def attend(self, image: Float[Tensor, "R D"], words: Float[Tensor, "L D"]) -> dict[str, Tensor]:
        found = camp_attention(image[None], words[None], self._weights(), self.options)
        return {name: value[0] for name, value in found.items()}

    def loss(self, scores: Float[Tensor, "B B"], same: Bool[Tensor, "B B"], *, hardest: bool) -> Float[Tensor, ""]:
        kind, margin, logits = self.options.loss, self.settings.margin, self.options.score == "mlp"
        return matching_loss(scores, same, logits=logits, kind=kind, margin=margin, hardest=hardest)

    def _even(self, encoded: Float[Tensor, "N K D"]) -> Float[Tensor, "N K D"]:
        return even_lengths(encoded, self.options.even_rms) if self.options.even_rms else encoded

    def _weights(self) -> dict[str, Tensor]:
        weights = {
            "fuse_image": self.fuse_image.weight.T,
            "fuse_image_bias": self.fuse_image.bias,
            "fuse_text": self.fuse_text.weight.T,
            "fuse_text_bias": self.fuse_text.bias,
        }
        if self.options.attention:
            weights |= {"key_image": self.key_image.weight.T, "key_text": self.key_text.weight.T}
        if self.options.pooling == "attention":
            weights |= {"attend_image": self.attend_image.weight[0], "attend_text": self.attend_text.weight[0]}
        if self.options.score == "mlp":
            weights |= {
                "hidden": self.hidden.weight.T,
                "hidden_bias": self.hidden.bias,
                "out": self.out.weight[0],
                "out_bias": self.out.bias[0],
            }
        if self.options.similarity != "none":
            weights["similarity"] = self.similarity
        return weights


QUICK = CAMP_QUICK

ABLATIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("no-attention", "a message is the mean of the other side", {"attention": False}),
    ("scalar-gates", "one gate a region or word, as in the released program", {"gates": "scalar"}),
    ("no-gates", "without gates", {"gates": "none"}),
    ("concat", "own vector and message are concatenated", {"fusion": "concat"}),
    ("product", "own vector and message are multiplied", {"fusion": "product"}),
    ("no-residual", "without the residual after fusion", {"residual": False}),
    ("mean-pooling", "pooled by the mean", {"pooling": "mean"}),
    ("cosine", "scored by the cosine of the pooled vectors", {"score": "cosine"}),
    ("triplet", "trained with the triplet loss on the matching score", {"loss": "triplet"}),
    ("all-negatives", "trained on all negatives to the end", {"negatives": "all"}),
)
"""Of the paper's table 4 and ours: what the name says, a summary, and what differs from the whole model."""


def _start(changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the presets set of an ablation: a cosine has no logit that a similarity could be added to."""
    element = {} if "gates" in changes else {"even_rms": ELEMENT_RMS}
    return START | element | ({"similarity": "none"} if changes.get("score") == "cosine" else {})


def _variant(ablations: Sequence[tuple[str, str, dict[str, Any]]]) -> Variant:
    names, summaries, changes = zip(*ablations, strict=True) if ablations else ((), (), ())
    merged = {key: value for change in changes for key, value in change.items()}
    whole = "the paper's form: element-wise gates, fusion by sum, attention pooling, two-layer scorer"
    return Variant(
        name=f"camp:{'-'.join(names)}" if ablations else "camp",
        model=Camp,
        options=CampOptions(**merged),
        settings={"quick": QUICK, "paper-f30k": CAMP_PAPER, "paper-coco": CAMP_PAPER},
        source="CAMP, ICCV 2019, " + ("table 4" if ablations else "eq. 1-11"),
        summary=f"as camp; {'; '.join(summaries)}" if ablations else whole,
        named=NAMED,
        preset_options=dict.fromkeys(("quick", "paper-f30k", "paper-coco"), _start(merged)),
    )


VARIANTS = tuple(_variant(ablations) for ablations in [(), *((one,) for one in ABLATIONS)])


@functools.cache
def combined_variants() -> Mapping[str, Variant]:
    """Return, by name, what several ablations make together: `camp:cosine-triplet`. A name keeps their order."""
    by_option: dict[str, list[tuple[tuple[str, str, dict[str, Any]], ...]]] = {}
    for ablation in ABLATIONS:
        by_option.setdefault(next(iter(ablation[2])), [()]).append((ablation,))
    chosen = (tuple(itertools.chain(*parts)) for parts in itertools.product(*by_option.values()))
    return {variant.name: variant for some in chosen if len(some) > 1 for variant in [_variant(some)]}
