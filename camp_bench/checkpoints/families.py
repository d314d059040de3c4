"""Which model the weights of a checkpoint are of, told by their names, shapes and the program's own options.

The authors' programs save `{"model": [state dicts], "opt": options, "epoch", "best_rsum", "Eiters"}`. VSE++ and SCAN
have two state dicts, image encoder and text encoder; CAMP has its scorer as a third.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

import msgspec
from torch import Tensor

from camp_bench.checkpoints.camp_scorer import MEASURES, scorer_fusion, scorer_weights
from camp_bench.checkpoints.contents import Options, Plain, StateDict, plain_count, plain_number
from camp_bench.checkpoints.torch_file import load_checkpoint
from camp_bench.config import Settings, resolve_settings
from camp_bench.errors import CheckpointError, ConfigError
from camp_bench.models.base import PairModel, Shape, Variant
from camp_bench.models.camp_released.model import CampReleased
from camp_bench.models.registry import resolve_options, variants
from camp_bench.models.scan.model import Scan
from camp_bench.models.vsepp.model import Vsepp

__all__ = ["Checkpoint", "read_checkpoint"]

POOLINGS: Final = {"LogSumExp": "lse", "Mean": "avg", "Max": "max", "Sum": "sum"}
NORMS: Final = {
    "no_norm": "none",
    **{name: name for name in ("softmax", "l2norm", "clipped_l2norm", "l1norm", "clipped_l1norm", "clipped")},
}
SETTINGS: Final = {
    "num_epochs": "epochs",
    "batch_size": "batch_size",
    "learning_rate": "learning_rate",
    "grad_clip": "clip_norm",
    "margin": "margin",
}
"""The programs' names of our settings."""


class _Found(NamedTuple):
    model: type[PairModel]
    options: Mapping[str, Any]
    weights: dict[str, Tensor]
    feature_size: int


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A checkpoint as camp-bench's own model has it: `weights` are by the model's names, float32.

    told: the options that stand in the file. epoch, steps, best_rsum: as it says, or None. data: the folder that the
    program read, or "unknown".
    """

    variant: Variant
    settings: Settings
    options: msgspec.Struct
    shape: Shape
    weights: dict[str, Tensor]
    told: dict[str, Plain]
    epoch: int | None
    steps: int | None
    best_rsum: float | None
    data: str


def read_checkpoint(path: Path) -> Checkpoint:
    """Return the model that the checkpoint holds.

    Raises CheckpointError where it can't be read, is of no family that is known, lacks weights or options, or holds
    too many.
    """
    content, where = load_checkpoint(path), str(path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), list):
        raise CheckpointError(
            f"{where}: no list 'model' of state dicts; expected what the programs of VSE++, SCAN and CAMP save"
        )
    told = Options(where, content.get("opt"))
    names = ("the image encoder", "the text encoder", "the scorer")
    if len(content["model"]) not in (2, 3):
        raise CheckpointError(f"{where}: {len(content['model'])} state dicts; expected 2 (VSE++, SCAN) or 3 (CAMP)")
    image, text, *scorer = (StateDict(path, name, part) for name, part in zip(names, content["model"], strict=False))
    if any(name.startswith("cnn.") for name in image.names):
        raise CheckpointError(
            f"{where}: a VSE++ that reads pictures through a network of its own (cnn.*); expected one of precomputed "
            f"features, whose --data_name ends in _precomp"
        )
    if scorer:
        found = _camp(image, text, scorer[0], told)
    else:
        found = _scan(image, text, told) if told.get("cross_attn") is not None else _vsepp(image, text, told)
    variant = _variant(found)
    for part in (image, text, *scorer):
        part.refuse_rest(variant.name)
    feature_size = found.feature_size
    dim = len(found.weights["image_encoder.bias"])
    vocabulary_size, word_dim = found.weights["caption_encoder.words.weight"].shape
    try:
        options = resolve_options(variant, found.options)
        settings = _settings(variant, told, dim=dim, word_dim=word_dim)
    except ConfigError as error:
        raise CheckpointError(f"{where}: opt makes no sense: {error}") from None
    return Checkpoint(
        variant=variant,
        settings=settings,
        options=options,
        shape=Shape(vocabulary_size=vocabulary_size, feature_size=feature_size),
        weights=found.weights,
        told=told.plain,
        epoch=plain_count(content.get("epoch")),
        steps=plain_count(content.get("Eiters")),
        best_rsum=plain_number(content.get("best_rsum")),
        data=_data(told),
    )


def _vsepp(image: StateDict, text: StateDict, told: Options) -> _Found:
    """VSE++ on precomputed features, its order measure and its baseline (Faghri et al., BMVC 2018)."""
    if any(name.endswith("_reverse") for name in text.names):
        raise CheckpointError(
            f"{told.where}: a text encoder of two directions and no opt.cross_attn; expected VSE++ or SCAN as released"
        )
    options = {
        "measure": told.choice("measure", {"cosine": "cosine", "order": "order"}),
        "negatives": "hardest" if told.flag("max_violation") else "all",
        "normalize_images": not told.flag("no_imgnorm"),
        "use_abs": told.flag("use_abs"),
    }
    encoders = _encoders(image, text)
    return _Found(Vsepp, options | {"gru_layers": encoders.layers}, encoders.weights, encoders.feature_size)


def _scan(image: StateDict, text: StateDict, told: Options) -> _Found:
    """SCAN, any direction, pooling and normalisation (Lee et al., ECCV 2018)."""
    encoders = _encoders(image, text)
    options = {
        "direction": told.choice("cross_attn", {"t2i": "t2i", "i2t": "i2t"}),
        "pooling": told.choice("agg_func", POOLINGS),
        "norm": told.choice("raw_feature_norm", NORMS),
        "lambda_attention": told.number("lambda_softmax"),
        "lambda_pooling": told.number("lambda_lse"),
        "weight_norm": encoders.weight_norm,
    }
    return _Found(Scan, options | _word_options(encoders, told), encoders.weights, encoders.feature_size)


def _camp(image: StateDict, text: StateDict, scorer: StateDict, told: Options) -> _Found:
    """CAMP as released (Wang et al., ICCV 2019)."""
    measure = told.choice("measure", MEASURES)
    if told.flag("use_abs"):
        raise CheckpointError(
            f"{told.where}: a CAMP with opt.use_abs; expected one that keeps the signs of its vectors"
        )
    encoders = _encoders(image, text)
    dim = len(encoders.weights["image_encoder.bias"])
    options = {
        "measure": measure,
        "fusion": scorer_fusion(scorer, dim),
        "masked": measure != "cross_attention_new",
        "negatives": "all" if told.get("max_violation") is False else "hardest",
    }
    weights = encoders.weights | scorer_weights(scorer, measure, dim)
    return _Found(CampReleased, options | _word_options(encoders, told), weights, encoders.feature_size)


def _word_options(encoders: _Encoders, told: Options) -> dict[str, Any]:
    """Return the options of an encoder with one vector a word, as SCAN and CAMP have it."""
    return {
        "normalize_images": not told.flag("no_imgnorm"),
        "normalize_words": not told.flag("no_txtnorm"),
        "bidirectional": encoders.bidirectional,
        "gru_layers": encoders.layers,
    }


class _Encoders(NamedTuple):
    weights: dict[str, Tensor]
    feature_size: int
    layers: int
    bidirectional: bool
    weight_norm: bool


def _encoders(image: StateDict, text: StateDict) -> _Encoders:
    """Return the weights of the two encoders that all families share, of matching shapes."""
    weight_norm = "fc.weight_g" in image.names
    if weight_norm:  # the matrix is its direction times its length, one number
        matrix = image.take("fc.weight_v", None, None)
        parts = "image_encoder.parametrizations.weight.original"
        length = image.take("fc.weight_g", *(1 for _ in image.shape("fc.weight_g"))).reshape(())
        if not bool(matrix.any()):
            raise CheckpointError(f"{image.where}: fc.weight_v is zero; expected a direction")
        weights = {f"{parts}0": length, f"{parts}1": matrix}
    else:
        matrix = image.take("fc.weight", None, None)
        weights = {"image_encoder.weight": matrix}
    words = text.take("embed.weight", None, None)
    (dim, feature_size), word_dim = matrix.shape, words.shape[1]
    weights |= {"image_encoder.bias": image.take("fc.bias", dim), "caption_encoder.words.weight": words}
    bidirectional = any(name.endswith("_reverse") for name in text.names)
    directions = ("", "_reverse") if bidirectional else ("",)
    layers = max(1, sum(f"rnn.weight_ih_l{layer}" in text.names for layer in range(len(text.names))))
    for layer, direction in itertools.product(range(layers), directions):
        size_in = word_dim if layer == 0 else len(directions) * dim
        for name, shape in (
            ("weight_ih", (3 * dim, size_in)),
            ("weight_hh", (3 * dim, dim)),
            ("bias_ih", (3 * dim,)),
            ("bias_hh", (3 * dim,)),
        ):
            key = f"{name}_l{layer}{direction}"
            weights[f"caption_encoder.recurrent.{key}"] = text.take(f"rnn.{key}", *shape)
    return _Encoders(weights, feature_size, layers, bidirectional, weight_norm)


def _variant(found: _Found) -> Variant:
    """Return the variant whose name says these options."""
    for variant in variants():
        if variant.model is found.model and all(
            getattr(variant.options, name) == found.options[name] for name in variant.named
        ):
            return variant
    raise AssertionError(f"no variant of {found.model.__name__} has {dict(found.options)}")


def _settings(variant: Variant, told: Options, *, dim: int, word_dim: int) -> Settings:
    """Return the published settings of the dataset that is named, with what the checkpoint says over them."""
    base = variant.settings["paper-coco" if "coco" in str(told.get("data_name")) else "paper-f30k"]
    changes: dict[str, Any] = {ours: told.get(theirs) for theirs, ours in SETTINGS.items()}
    changes = {name: value for name, value in changes.items() if value is not None}
    settings = resolve_settings(base, changes, {"dim": dim, "word_dim": word_dim, "stages": ()})
    if every := plain_count(told.get("lr_update")):
        decays = range(every, min(settings.epochs, 1000 * every), every)
        settings = resolve_settings(settings, {"decay_epochs": tuple(decays)})
    return settings


def _data(told: Options) -> str:
    """Return the folder of features that the program was started with."""
    name, home = told.get("data_name"), told.get("data_path")
    if not isinstance(name, str) or not name.strip():
        return "unknown"
    path = PurePosixPath(home if isinstance(home, str) else ".") / name
    return f"./{path}" if path.parts[0].startswith("toy") else str(path)  # no order to generate toy data
