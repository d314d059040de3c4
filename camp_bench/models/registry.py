"""From a name such as `scan:t2i-avg` to a model. A new family is one file and one line in `FAMILIES`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec
import torch

from camp_bench.config import Settings, explain_invalid
from camp_bench.errors import ConfigError, nearest
from camp_bench.models import plugins
from camp_bench.models.base import PairModel, Shape, Variant
from camp_bench.models.camp import model as camp
from camp_bench.models.camp_released import model as camp_released
from camp_bench.models.scan import model as scan
from camp_bench.models.vsepp import model as vsepp

__all__ = ["ALIASES", "build_model", "find_variant", "resolve_options", "variants"]

FAMILIES = (vsepp.VARIANTS, scan.VARIANTS, camp.VARIANTS, camp_released.VARIANTS)
ALIASES = {"scan": "scan:t2i-lse"}
"""A family's bare name stands for the variant that its paper leads with."""


def variants() -> tuple[Variant, ...]:
    """Return every variant there is, family by family."""
    return tuple(variant for family in FAMILIES for variant in family)


def find_variant(name: str) -> Variant:
    """Return the variant called `name`; ConfigError names the nearest one."""
    known = {variant.name: variant for variant in variants()}
    found = known.get(ALIASES.get(name, name)) or camp.combined_variants().get(name) or plugins.find_plugin(name)
    if found is None:
        families = ", ".join(dict.fromkeys(key.split(":")[0] for key in known))
        hint = nearest(name, [*known, *ALIASES, *camp.combined_variants()]) or f"; families: {families}"
        raise ConfigError(f"unknown model '{name}'{hint}")
    return found


def resolve_options(variant: Variant, overrides: Mapping[str, Any]) -> msgspec.Struct:
    """Return the variant's options with overrides applied; ConfigError for unknown keys, wrong types, NaN, infinity."""
    known = variant.options.__struct_fields__
    for key in overrides:
        if key not in known:
            both = [*known, *Settings.__struct_fields__]
            raise ConfigError(
                f"model '{variant.name}': unknown key '{key}'{nearest(key, both)}; known: {', '.join(both)}"
            )
    for key, value in overrides.items():
        _require_finite(f"model '{variant.name}': {key}", value)
    try:
        values = msgspec.structs.asdict(variant.options) | dict(overrides)
        options = msgspec.convert(values, variant.model.options_type)
    except msgspec.ValidationError as error:
        explained = explain_invalid(error, variant.model.options_type)
        raise ConfigError(f"model '{variant.name}': {explained}") from None
    for key in sorted(variant.named & overrides.keys()):
        if getattr(options, key) != getattr(variant.options, key):
            raise ConfigError(f"model '{variant.name}': {key} is part of that name; {_who_has(variant, key, options)}")
    return options


def _require_finite(where: str, value: object) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} is {value}; expected a finite number")
    if isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            _require_finite(where, item)


def _who_has(variant: Variant, key: str, options: msgspec.Struct) -> str:
    """Name the variant of the family that has this option, the others that names say being as they were."""
    for twin in (*variants(), *camp.combined_variants().values()):
        if twin.model is variant.model and getattr(twin.options, key) == getattr(options, key):
            others = (variant.named & twin.named) - {key}
            if all(getattr(twin.options, name) == getattr(variant.options, name) for name in others):
                return f"ask for {twin.name} instead"
    return "no variant has that value beside the rest of it"


def build_model(variant: Variant, settings: Settings, options: msgspec.Struct, shape: Shape, seed: int) -> PairModel:
    """Return a model with fresh weights that depend on the seed alone (torch's CPU generator is left as it was)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return variant.model(settings, options, shape)
