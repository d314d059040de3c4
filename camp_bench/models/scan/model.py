"""SCAN: words attend to regions or regions to words, and their cosines are pooled (Lee et al., ECCV 2018)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import product
from typing import Annotated, Literal

import msgspec
import torch
from torch import Tensor, nn

from camp_bench.config import Settings
from camp_bench.models import presets
from camp_bench.models.base import CORES, PairModel, Prepared, Shape, Variant
from camp_bench.models.encoders import WordEncoder, region_encoder
from camp_bench.models.norms import l2norm
from camp_bench.models.recompute import score_tile
from camp_bench.models.scan.plain import scan_attention, scan_plain
from camp_bench.models.scan.tile import ENTRIES, ScanForm, gram, scan_pairs, scan_tile
from camp_bench.shapes import Float, Int

__all__ = ["NORMS", "VARIANTS", "Scan", "ScanEnsemble", "ScanEnsembleOptions", "ScanOptions"]

NORMS = ("softmax", "l2norm", "clipped_l2norm", "l1norm", "clipped_l1norm", "clipped", "none")
DEFAULT_NORM = "clipped_l2norm"
LEARNT_IMAGES = 32
"""Images whose scores with all captions the backward pass computes again at a time."""


class ScanOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """direction: who attends. pooling: over the attending side. norm: of the affinities, before the softmax.

    lambda_attention: the softmax's inverse temperature (the paper's lambda 1). lambda_pooling: LogSumExp's (lambda 2).

    The others are options of the released program, and part of no name. normalize_images, normalize_words: encoded
    vectors to unit length. bidirectional: the GRU reads captions both ways. gru_layers: how many it has. weight_norm:
    the image encoder's matrix is learnt as direction and length.
    """

    direction: Literal["t2i", "i2t"]
    pooling: Literal["lse", "avg", "max", "sum"]
    norm: Literal["softmax", "l2norm", "clipped_l2norm", "l1norm", "clipped_l1norm", "clipped", "none"] = (
        "clipped_l2norm"
    )
    lambda_attention: Annotated[float, msgspec.Meta(gt=0)]
    lambda_pooling: Annotated[float, msgspec.Meta(gt=0)]
    normalize_images: bool = True
    normalize_words: bool = True
    bidirectional: bool = True
    gru_layers: Annotated[int, msgspec.Meta(ge=1)] = 1
    weight_norm: bool = False

    @property
    def form(self) -> ScanForm:
        """What says how pairs are scored."""
        return ScanForm(self.direction, self.pooling, self.norm, self.lambda_attention, self.lambda_pooling)


class Scan(PairModel):
    """Stacked cross attention, either direction, any pooling and normalisation of the paper and its program."""

    options_type = ScanOptions
    options: ScanOptions

    def __init__(self, settings: Settings, options: ScanOptions, shape: Shape) -> None:
        super().__init__(settings, options, shape)
        self.image_encoder = region_encoder(shape.feature_size, settings.dim, weight_norm=options.weight_norm)
        self.caption_encoder = WordEncoder(
            shape.vocabulary_size,
            settings.word_dim,
            settings.dim,
            settings.word_spread,
            layers=options.gru_layers,
            bidirectional=options.bidirectional,
        )
        self.form = options.form

    def encode_images(self, features: Float[Tensor, "I R F"]) -> Float[Tensor, "I R D"]:
        encoded: Tensor = self.image_encoder(features)
        return l2norm(encoded) if self.options.normalize_images else encoded

    def encode_captions(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C L D"]:
        encoded: Tensor = self.caption_encoder(tokens, lengths)
        return l2norm(encoded) if self.options.normalize_words else encoded

    def prepare_images(self, encoded: Float[Tensor, "I R D"]) -> Prepared:
        return {"regions": encoded, "gram": gram(encoded)} if self.options.direction == "t2i" else {"regions": encoded}

    def prepare_captions(self, encoded: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"]) -> Prepared:
        prepared = {"words": encoded, "lengths": lengths}
        return prepared if self.options.direction == "t2i" else prepared | {"gram": gram(encoded)}

    def score_tile(self, images: Prepared, captions: Prepared) -> Float[Tensor, "I C"]:
        part = (LEARNT_IMAGES, None)
        return score_tile(self._tile, self._pairs, tuple(images.values()), tuple(captions.values()), part=part)

    def _tile(self, images: Sequence[Tensor], captions: Sequence[Tensor], _: Sequence[Tensor]) -> Float[Tensor, "I C"]:
        return scan_tile(*self._given(images, captions), self.form)

    def _pairs(self, images: Sequence[Tensor], captions: Sequence[Tensor], _: Sequence[Tensor]) -> Float[Tensor, " P"]:
        return scan_pairs(*self._given(images, captions), self.form)

    def _given(self, images: Sequence[Tensor], captions: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return regions, words, lengths and the Gram tables of whichever side is the context."""
        return images[0], captions[0], captions[1], (images if self.options.direction == "t2i" else captions)[-1]

    def tile_bytes(self, images: int, captions: int, regions: int, words: int) -> int:
        at_work = min(images * captions * regions * words, ENTRIES * CORES)
        return 8 * images * captions + 4 * captions * words * self.settings.dim + 4 * 6 * at_work

    def score_plain(
        self, images: Float[Tensor, "I R D"], captions: Float[Tensor, "C L D"], lengths: Int[Tensor, " C"]
    ) -> Float[Tensor, "I C"]:
        return scan_plain(images, captions, lengths, **dataclasses.asdict(self.form))

    def attend(self, image: Float[Tensor, "R D"], words: Float[Tensor, "L D"]) -> dict[str, Tensor]:
        options = self.options
        weights, relevance = scan_attention(
            image[None],
            words[None],
            direction=options.direction,
            norm=options.norm,
            lambda_attention=options.lambda_attention,
        )
        who = "words" if options.direction == "t2i" else "regions"
        return {f"attention_{who}": weights[0].T, f"relevance_{who}": relevance[0]}


class ScanEnsembleOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """members: the options of each model."""

    members: Annotated[tuple[ScanOptions, ...], msgspec.Meta(min_length=1)]


class ScanEnsemble(PairModel):
    """The mean of its members' scores. They share settings, not weights, and each is trained by itself."""

    options_type = ScanEnsembleOptions
    options: ScanEnsembleOptions

    def __init__(self, settings: Settings, options: ScanEnsembleOptions, shape: Shape) -> None:
        super().__init__(settings, options, shape)
        self.parts = nn.ModuleList(Scan(settings, member, shape) for member in options.members)

    @property
    def members(self) -> tuple[Scan, ...]:
        return tuple(part for part in self.parts if isinstance(part, Scan))

    def encode_images(self, features: Float[Tensor, "I R F"]) -> Float[Tensor, "I M R D"]:
        return torch.stack([member.encode_images(features) for member in self.members], 1)

    def encode_captions(self, tokens: Int[Tensor, "C L"], lengths: Int[Tensor, " C"]) -> Float[Tensor, "C M L D"]:
        return torch.stack([member.encode_captions(tokens, lengths) for member in self.members], 1)

    def prepare_images(self, encoded: Float[Tensor, "I M R D"]) -> Prepared:
        parts = [member.prepare_images(own) for member, own in zip(self.members, encoded.unbind(1), strict=True)]
        return {f"{place} {name}": value for place, part in enumerate(parts) for name, value in part.items()}

    def prepare_captions(self, encoded: Float[Tensor, "C M L D"], lengths: Int[Tensor, " C"]) -> Prepared:
        own = zip(self.members, encoded.unbind(1), strict=True)
        parts = [member.prepare_captions(words, lengths) for member, words in own]
        return {f"{place} {name}": value for place, part in enumerate(parts) for name, value in part.items()}

    def tile_bytes(self, images: int, captions: int, regions: int, words: int) -> int:
        of_members = [member.tile_bytes(images, captions, regions, words) for member in self.members]
        return max(of_members) + 4 * len(of_members) * images * captions

    def score_tile(self, images: Prepared, captions: Prepared) -> Float[Tensor, "I C"]:
        scores = [
            member.score_tile(_part(images, place), _part(captions, place)) for place, member in enumerate(self.members)
        ]
        return torch.stack(scores).mean(0)

    def score_plain(
        self, images: Float[Tensor, "I M R D"], captions: Float[Tensor, "C M L D"], lengths: Int[Tensor, " C"]
    ) -> Float[Tensor, "I C"]:
        pairs = zip(self.members, images.unbind(1), captions.unbind(1), strict=True)
        return torch.stack([member.score_plain(own, words, lengths) for member, own, words in pairs]).mean(0)

    def attend(self, image: Float[Tensor, "M R D"], words: Float[Tensor, "M L D"]) -> dict[str, Tensor]:
        return {
            f"member{place}.{name}": value
            for place, member in enumerate(self.members)
            for name, value in member.attend(image[place], words[place]).items()
        }


def _part(prepared: Prepared, place: int) -> Prepared:
    start = f"{place} "
    return {name.removeprefix(start): value for name, value in prepared.items() if name.startswith(start)}


TILE = {"tile_images": 100, "tile_captions": 500}
"""Enough captions that little room is lost between them, and enough images to share what is done once a caption."""
QUICK = msgspec.structs.replace(presets.QUICK, **TILE)
PAPER = msgspec.structs.replace(presets.PAPER, **TILE)
PAPER_COCO = msgspec.structs.replace(PAPER, epochs=20, learning_rate=5e-4, decay_epochs=(10,))

LAMBDAS = {
    ("t2i", "lse"): (9.0, 6.0),
    ("i2t", "lse"): (4.0, 5.0),
    ("t2i", "avg"): (9.0, 6.0),
    ("i2t", "avg"): (4.0, 5.0),
}
"""The published (lambda 1, lambda 2) on Flickr30K, and on COCO but for i2t LSE; `max` and `sum` as their direction."""


def _variant(direction: str, pooling: str, norm: str) -> Variant:
    attention, sharpness = LAMBDAS.get((direction, pooling), LAMBDAS[direction, "avg"])
    values = {"direction": direction, "pooling": pooling, "norm": norm}
    options = msgspec.convert(values | {"lambda_attention": attention, "lambda_pooling": sharpness}, ScanOptions)
    published = pooling in ("lse", "avg") and norm == DEFAULT_NORM
    who = "words attend to regions" if direction == "t2i" else "regions attend to words"
    return Variant(
        name=f"scan:{direction}-{pooling}" + ("" if norm == DEFAULT_NORM else f"-{norm}"),
        model=Scan,
        options=options,
        settings={"quick": QUICK, "paper-f30k": PAPER, "paper-coco": PAPER_COCO},
        preset_options={"paper-coco": {"lambda_pooling": 20.0}} if (direction, pooling) == ("i2t", "lse") else {},
        source="SCAN, ECCV 2018, tables 1-2" if published else "SCAN's released program",
        summary=f"{who}, {pooling} pooling" + ("" if norm == DEFAULT_NORM else f", {norm}"),
        named=frozenset(values),
    )


def _ensemble() -> Variant:
    """Return the average of a t2i and an i2t model, the paper's best row on Flickr30K and COCO."""
    first, second = _variant("t2i", "avg", DEFAULT_NORM), _variant("i2t", "lse", DEFAULT_NORM)
    on_coco = msgspec.to_builtins(second.options) | second.preset_options["paper-coco"]
    return Variant(
        name="scan:ensemble",
        model=ScanEnsemble,
        options=msgspec.convert({"members": [first.options, second.options]}, ScanEnsembleOptions),
        settings=first.settings,
        source="SCAN, ECCV 2018, tables 1-2",
        summary=f"mean score of two models, {first.name} and {second.name}",
        preset_options={"paper-coco": {"members": [msgspec.to_builtins(first.options), on_coco]}},
    )


VARIANTS = (
    *(
        _variant(direction, pooling, norm)
        for norm, direction, pooling in product(
            sorted(NORMS, key=lambda norm: norm != DEFAULT_NORM), ("t2i", "i2t"), ("lse", "avg", "max", "sum")
        )
    ),
    _ensemble(),
)
