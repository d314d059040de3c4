"""Which model the weights of a checkpoint are of, told by their names, shapes and the program's own options.

The authors' programs save `{"model": [state dicts], "opt": options, "epoch", "best_rsum", "Eiters"}`. VSE++ and SCAN
have two state dicts, image encoder and text encoder; CAMP has its scorer as a third.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple

import msgspec
from torch import Tensor

from camp_bench.checkpoints.camp_scorer import MEASURES, scorer_fusion, scorer_weights
from camp_bench.checkpoints.containers import TorchFile
from camp_bench.checkpoints.contents import Options, Plain, StateDict, plain_count, plain_number
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


def read_checkpoint(file: TorchFile) -> Checkpoint:
    """Return the model that the checkpoint holds.

    Raises CheckpointError where it is of no family that is known, lacks weights or options, or holds too many.
    """
    content, where = file.content, str(file.path)
    if not isinstance(content, dict) or not isinstance(content.get("model"), list):
        raise CheckpointError(
            f"{where}: no list 'model' of state dicts; expected what the programs of VSE++, SCAN and CAMP save"
        )
    told = Options(where, content.get("opt"))
    names = ("the image encoder", "the text encoder", "the scorer")
    if len(content["model"]) not in (2, 3):
        raise CheckpointError(f"{where}: {len(content['model'])} state dicts; expected 2 (VSE++, SCAN) or 3 (CAMP)")
    image, text, *scorer = (StateDict(file, name, part) for name, part in zip(names, content["model"], strict=False))
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
    dim, feature_size = found.weights["image_encoder.weight"].shape
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
    return _Found(Vsepp, options, _encoders(image, text, ("",)))


def _scan(image: StateDict, text: StateDict, told: Options) -> _Found:
    """SCAN, any direction, pooling and normalisation (Lee et al., ECCV 2018)."""
    for name, what in (("no_imgnorm", "images"), ("no_txtnorm", "words")):
        if told.flag(name):
            raise CheckpointError(f"{told.where}: a SCAN with opt.{name}; expected one that normalises its {what}")
    if not any(name.endswith("_reverse") for name in text.names):
        raise CheckpointError(f"{told.where}: a SCAN of one direction; expected one with --bi_gru, as published")
    options = {
        "direction": told.choice("cross_attn", {"t2i": "t2i", "i2t": "i2t"}),
        "pooling": told.choice("agg_func", POOLINGS),
        "norm": told.choice("raw_feature_norm", NORMS),
        "lambda_attention": told.number("lambda_softmax"),
        "lambda_pooling": told.number("lambda_lse"),
    }
    return _Found(Scan, options, _encoders(image, text, ("", "_reverse")))


def _camp(image: StateDict, text: StateDict, scorer: StateDict, told: Options) -> _Found:
    """CAMP as released (Wang et al., ICCV 2019)."""
    measure = told.choice("measure", MEASURES)
    weights = _encoders(image, text, ("", "_reverse"))
    dim = len(weights["image_encoder.bias"])
    options = {
        "measure": measure,
        "fusion": scorer_fusion(scorer, dim),
        "masked": measure != "cross_attention_new",
        "negatives": "all" if told.get("max_violation") is False else "hardest",
    }
    return _Found(CampReleased, options, weights | scorer_weights(scorer, measure, dim))


def _encoders(image: StateDict, text: StateDict, directions: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the weights of the two encoders that all families share, of matching shapes."""
    matrix = image.take_linear("fc", None, None)
    words = text.take("embed.weight", None, None)
    dim, word_dim = len(matrix), words.shape[1]
    weights = {
        "image_encoder.weight": matrix,
        "image_encoder.bias": image.take("fc.bias", dim),
        "caption_encoder.words.weight": words,
    }
    for direction in directions:
        for name, shape in (
            ("weight_ih_l0", (3 * dim, word_dim)),
            ("weight_hh_l0", (3 * dim, dim)),
            ("bias_ih_l0", (3 * dim,)),
            ("bias_hh_l0", (3 * dim,)),
        ):
            weights[f"caption_encoder.recurrent.{name}{direction}"] = text.take(f"rnn.{name}{direction}", *shape)
    return weights


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
