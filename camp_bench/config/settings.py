"""The settings of a training: what is set over what stands, stage by stage, every value checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from camp_bench.config.checks import MAX_WHOLE, parse_bytes, require, require_text, require_unique
from camp_bench.config.converting import convert
from camp_bench.config.structs import Settings
from camp_bench.errors import ConfigError, nearest

__all__ = ["leave_to_run", "resolve_settings", "stage_settings"]

MAX_DIM, MAX_NUMBER = 2**16, 1e6
"""The largest size and number that a setting takes."""
_POSITIVE = ("dim", "word_dim", "epochs", "min_count", "max_words", "validate_every", "tile_images", "tile_captions")
_NOT_NEGATIVE = ("word_spread", "warmup_epochs", "momentum", "weight_decay", "clip_norm", "margin")
_OF_STAGES = (
    "epochs",
    "warmup_epochs",
    "batch_size",
    "optimizer",
    "learning_rate",
    "momentum",
    "weight_decay",
    "decay_epochs",
    "clip_norm",
    "margin",
    "validate_every",
)
"""What a stage may set otherwise: nothing that sizes, data or scores depend on."""


def resolve_settings(base: Settings, *overrides: dict[str, Any]) -> Settings:
    """Return `base` with the overrides applied in order, every value checked.

    What an override sets holds in the stages that stand in `base` too, but not in those that an override brings.
    Raises ConfigError for an unknown key (nearest name), a value of the wrong type or one that makes no sense.
    """
    merged: dict[str, Any] = msgspec.to_builtins(base)
    for override in overrides:
        merged["stages"] = leave_to_run(merged["stages"], override)
        merged.update(override)
    settings = convert(merged, Settings)
    for name in _POSITIVE:
        value, most = getattr(settings, name), MAX_DIM if name.endswith("dim") else MAX_WHOLE
        require(name, value, "1 or more", value >= 1)
        require(name, value, f"{most} or less", value <= most)
    for name in _NOT_NEGATIVE:
        value = getattr(settings, name)
        require(name, value, "a number of 0 or more", value >= 0)
        require(name, value, f"{MAX_NUMBER:.0f} or less", value <= MAX_NUMBER)
    rate, batch = settings.learning_rate, settings.batch_size
    require("learning_rate", rate, f"a number above 0, {MAX_NUMBER:.0f} or less", 0 < rate <= MAX_NUMBER)
    require("batch_size", batch, "2 or more (a batch needs negatives)", batch >= 2)
    require("batch_size", batch, f"{MAX_WHOLE} or less", batch <= MAX_WHOLE)
    parse_bytes(settings.memory_budget)
    require("decay_epochs", settings.decay_epochs, "rising epochs of 1 or more", _rising(settings.decay_epochs))
    stage_settings(settings)  # refuses what makes no sense in them
    return settings


def _rising(epochs: tuple[int, ...]) -> bool:
    return all(a < b for a, b in zip((0, *epochs), epochs, strict=False))


def stage_settings(settings: Settings) -> tuple[Settings, ...]:
    """Return the settings of each stage, or these alone where there are none; raises as `resolve_settings` does."""
    if not settings.stages:
        return (settings,)
    whole = msgspec.structs.replace(settings, stages=())
    found = []
    for number, stage in enumerate(settings.stages, start=1):
        where = f"stages, number {number}"
        try:
            require_text("name", stage.name)
            for key in stage.settings:
                if key not in _OF_STAGES:
                    hint = nearest(key, _OF_STAGES)
                    raise ConfigError(f"a stage can't set '{key}'{hint}; it can set {', '.join(_OF_STAGES)}")
            found.append(resolve_settings(whole, stage.settings))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
    require_unique("stages", tuple(stage.name for stage in settings.stages))
    return tuple(found)


def leave_to_run(stages: Any, keys: Mapping[str, Any]) -> Any:
    """Return stages, as builtins, that leave these settings to the run; what isn't stages stays to be refused."""
    if not isinstance(stages, list | tuple):
        return stages
    return [
        stage | {"settings": {key: value for key, value in stage["settings"].items() if key not in keys}}
        if isinstance(stage, dict) and isinstance(stage.get("settings"), dict)
        else stage
        for stage in stages
    ]
