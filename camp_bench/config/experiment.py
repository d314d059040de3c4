"""The experiment file: read, checked, overridden, written again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from camp_bench.config.checks import MAX_THREADS, check_examples, check_seeds, require, require_text, require_unique
from camp_bench.config.converting import convert, explain_invalid
from camp_bench.config.protocols import find_protocol
from camp_bench.config.settings import leave_to_run, resolve_settings
from camp_bench.config.structs import Experiment, Settings
from camp_bench.config.text import decode_text
from camp_bench.errors import ConfigError, nearest

__all__ = [
    "PRESETS",
    "check_experiment",
    "dump_experiment",
    "override_experiment",
    "parse_experiment",
    "parse_models",
    "parse_seeds",
    "read_experiment",
    "resolve_preset",
]

PRESETS = ("quick", "paper-f30k", "paper-coco")
PAPER = "paper"
"""Stands for the published settings of the dataset that is named."""


def resolve_preset(experiment: Experiment) -> str:
    """Return the preset by its full name: `paper` is that of Flickr30K or COCO, whichever the data's name tells.

    Raises ConfigError for an unknown preset, and for `paper` on data that no paper gives settings for.
    """
    preset = experiment.preset
    if preset == PAPER:
        name = Path(experiment.data).name.lower()
        for found, words in (("paper-f30k", ("f30k", "flickr30k")), ("paper-coco", ("coco",))):
            if any(word in name for word in words):
                return found
        raise ConfigError(
            f"preset: published settings are for Flickr30K and COCO, and '{experiment.data}' is named after neither; "
            f"expected paper-f30k or paper-coco"
        )
    if preset not in PRESETS:
        known = (*PRESETS, PAPER)
        raise ConfigError(f"preset: got '{preset}', expected one of {', '.join(known)}{nearest(preset, known)}")
    return preset


def parse_models(text: str) -> tuple[str, ...]:
    """Split `camp,scan` into names; ConfigError where none is given. Whether they exist, the registry says."""
    return _check_models(tuple(part.strip() for part in text.split(",") if part.strip()))


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read `0,1,2` or `0-4` (both ends included) into seeds; ConfigError for anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*([0-9]{1,12})(?:\s*-\s*([0-9]{1,12}))?\s*", part)
        if found is None:
            raise ConfigError(f"--seeds: got '{text}', expected whole numbers such as 0,1,2 or a range such as 0-4")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first or last - first > 10_000:
            raise ConfigError(f"--seeds: range '{part.strip()}' must rise, by 10000 at most")
        seeds.extend(range(first, last + 1))
    return check_seeds(tuple(seeds))


def parse_experiment(data: bytes, source: str = "experiment") -> Experiment:
    """Read an experiment from TOML; ConfigError names `source` and what is wrong in it."""
    try:
        read = msgspec.toml.decode(decode_text(data, source, ConfigError), type=Experiment)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {explain_invalid(error, Experiment)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{source}: not an experiment: nested too deeply") from None
    try:
        _check_tables(read)
        return check_experiment(read)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None


_ANY = Settings(
    dim=1,
    word_dim=1,
    word_spread=0.1,
    epochs=1,
    warmup_epochs=0,
    batch_size=2,
    optimizer="adam",
    learning_rate=1.0,
    momentum=0.0,
    weight_decay=0.0,
    decay_epochs=(),
    clip_norm=0.0,
    margin=0.0,
    min_count=1,
    max_words=1,
    validate_every=1,
    tile_images=1,
    tile_captions=1,
)
"""Some settings that make sense, for tables to be tried on."""


def _check_tables(experiment: Experiment) -> None:
    """Raise ConfigError, naming the table, where a setting in one is unknown, of another type or makes no sense."""
    tables = {"settings": experiment.settings} | {
        f"model.{name}": {key: value for key, value in table.items() if key in Settings.__struct_fields__}
        for name, table in experiment.model.items()
    }
    for name, table in tables.items():
        try:
            resolve_settings(_ANY, table)
        except ConfigError as error:
            raise ConfigError(f"[{name}]: {error}") from None


def read_experiment(path: str | Path) -> Experiment:
    """Read an experiment file; ConfigError where it is missing or wrong."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}); expected a TOML experiment file") from None
    return parse_experiment(data, str(path))


def override_experiment(base: Experiment, whole: Mapping[str, Any], settings: Mapping[str, Any]) -> Experiment:
    """Return `base` with fields replaced (`whole`) and settings that hold for every model, whatever its table says.

    Tables of models that are no longer asked for are left out; stages in a table give way too. Raises ConfigError as
    `read_experiment` does.
    """
    values: dict[str, Any] = msgspec.to_builtins(base) | dict(whole)
    values["settings"] = base.settings | dict(settings)
    values["model"] = {
        name: {
            key: leave_to_run(value, settings) if key == "stages" else value
            for key, value in table.items()
            if key not in settings
        }
        for name, table in base.model.items()
        if "models" not in whole or name in whole["models"]
    }
    return check_experiment(convert(values, Experiment))


def dump_experiment(experiment: Experiment) -> str:
    """Return the TOML text of an experiment; reading it gives an equal experiment."""
    return msgspec.toml.encode(experiment).decode()


def check_experiment(experiment: Experiment) -> Experiment:
    """Return the experiment if it makes sense as far as that can be told without the models; else ConfigError."""
    experiment = convert(msgspec.to_builtins(experiment), Experiment)  # constructors don't check types
    for name in ("data", "results", "word_vectors", "init_from", "device"):
        require_text(name, getattr(experiment, name), empty=name in ("word_vectors", "init_from"))
    if experiment.word_vectors and experiment.init_from:
        raise ConfigError("word_vectors and init_from: both say what the words start from; expected one of them")
    _check_models(experiment.models)
    check_seeds(experiment.seeds)
    resolve_preset(experiment)
    require(
        "threads", experiment.threads, f"0 (torch chooses) to {MAX_THREADS}", 0 <= experiment.threads <= MAX_THREADS
    )
    check_examples(experiment.examples)
    find_protocol(experiment.protocol)
    for name in experiment.model:
        if name not in experiment.models:
            hint = nearest(name, experiment.models)
            raise ConfigError(f"[model.{name}]: not among the models to run, {', '.join(experiment.models)}{hint}")
    return experiment


def _check_models(models: tuple[str, ...]) -> tuple[str, ...]:
    if not models:
        raise ConfigError("models: none given; expected names such as camp,scan")
    require_unique("models", models)
    return models
