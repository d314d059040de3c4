"""What a run is asked to do: the experiment file, its presets and their resolution.

An `Experiment` is what people write (`camp-bench run experiment.toml`, or options of the command line). Every
`Settings` field may be set for all models (`[settings]`) or for one (`[model.scan]`, which takes the options of the
model's family as well); what is not set comes from the preset. Resolving gives one complete `RunConfig` for each model
and seed: the part of a record that says what was asked for.

A training may go through several stages (`Settings.stages`), each with some settings of its own. What a user sets for
the whole holds in every stage of a preset; a table of stages that a user writes holds as it stands.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from camp_bench.errors import ConfigError, nearest
from camp_bench.protocols import find_protocol

__all__ = [
    "DEFAULT_MODELS",
    "MAX_WHOLE",
    "PRESETS",
    "Experiment",
    "RunConfig",
    "Settings",
    "Stage",
    "check_examples",
    "check_experiment",
    "check_seeds",
    "dump_experiment",
    "explain_invalid",
    "format_bytes",
    "override_experiment",
    "parse_bytes",
    "parse_experiment",
    "parse_models",
    "parse_seeds",
    "read_experiment",
    "require_text",
    "resolve_preset",
    "resolve_settings",
    "stage_settings",
    "user_path",
]

_Kind = TypeVar("_Kind", bound=msgspec.Struct)

DEFAULT_MODELS = ("vsepp", "scan", "camp")
PRESETS = ("quick", "paper-f30k", "paper-coco")
PAPER = "paper"
"""Stands for the published settings of the dataset that is named."""
MAX_SEED = 2**32 - 1
"""Seeds are 32-bit, so that every generator in use takes them as they are."""
MAX_THREADS = 1024
MAX_EXAMPLES = 1000
MAX_DIM, MAX_WHOLE, MAX_NUMBER = 2**16, 2**31 - 1, 1e6
"""The largest sizes, other whole numbers and numbers that a setting takes: what is beyond them is a slip."""


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One of the parts that a training goes through in order.

    model: the variant that it trains, "" for the run's own; each stage starts from what the one before has learnt, as
    far as both models have a tensor of that name and shape. options: of that model, where they differ from the name's.
    freeze: parts of the model whose weights stay as they are. settings: what differs from the run's while it lasts.
    """

    name: str
    model: str = ""
    options: dict[str, Any] = {}
    freeze: tuple[str, ...] = ()
    settings: dict[str, Any] = {}


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The complete hyper-parameters of one training run.

    dim: size D of the joint space. word_dim: size of a word vector. word_spread: fresh ones are uniform between minus
    and plus this. epochs: passes over all training captions.
    warmup_epochs: how many of them use all negatives before the hardest only. decay_epochs: after how many epochs the
    learning rate is divided by 10. clip_norm: largest gradient norm (0: no clipping). margin: of the triplet losses.
    min_count: how often a word must occur to be in the vocabulary. max_words: captions are cut to this many tokens.
    validate_every: epochs between two validations on dev (the last epoch is always validated).
    tile_images, tile_captions: the largest tile in which scores are computed; float scores depend on it in their last
    bits. memory_budget: of scoring, such as 1GB, beside features and weights; where a tile takes too much of it, it is
    made smaller. It is a setting and no measurement, so tiles never depend on what happens to be free. adapt: where
    memory runs out nevertheless, score again with half the budget instead of giving up.
    stages: what the training goes through in order; none for one training of the model itself.
    """

    dim: int
    word_dim: int
    word_spread: float
    epochs: int
    warmup_epochs: int
    batch_size: int
    optimizer: Literal["adam", "sgd"]
    learning_rate: float
    momentum: float
    weight_decay: float
    decay_epochs: tuple[int, ...]
    clip_norm: float
    margin: float
    min_count: int
    max_words: int
    validate_every: int
    tile_images: int
    tile_captions: int
    memory_budget: str = "1GB"
    adapt: bool = False
    stages: tuple[Stage, ...] = ()

    @property
    def memory_budget_bytes(self) -> int:
        return parse_bytes(self.memory_budget)


class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run, completely: this model, this seed, these settings on this data.

    protocol: of the evaluation on test; dev is always ranked in full. model: the variant's full name. device: as
    resolved, never "auto". options: all of the model's family. word_vectors: a file that the words start from, or "".
    init_from: a run whose weights the model starts from, or "".
    """

    model: str
    seed: int
    data: str
    protocol: str
    vocab_from: Literal["train+dev", "train"]
    word_vectors: str
    preset: str
    device: str
    precision: Literal["fp32", "bf16"]
    settings: Settings
    options: dict[str, Any]
    init_from: str = ""


class Experiment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Models x seeds under one set of splits, as people write it (TOML keys are the field names).

    word_vectors: a file that the words start from, or "" for none. init_from: a run whose weights every model starts
    from, or "" for none. threads: of the CPU, 0 for as many as torch chooses. examples: how many test captions to keep
    with what the model looks at. save_scores: whether the score matrix of test is kept beside each record.
    settings: overrides for every model. model: overrides for one, by the name given in `models`.
    """

    models: tuple[str, ...] = DEFAULT_MODELS
    seeds: tuple[int, ...] = (0,)
    data: str = "toy"
    protocol: str = "full"
    vocab_from: Literal["train+dev", "train"] = "train+dev"
    word_vectors: str = ""
    init_from: str = ""
    preset: str = "quick"
    device: str = "auto"
    precision: Literal["fp32", "bf16"] = "fp32"
    threads: int = 0
    results: str = "results"
    examples: int = 0
    save_scores: bool = False
    settings: dict[str, Any] = {}
    model: dict[str, dict[str, Any]] = {}


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
        merged["stages"] = _without(merged["stages"], override)
        merged.update(override)
    settings = _convert(merged, Settings)
    for name in _POSITIVE:
        value, most = getattr(settings, name), MAX_DIM if name.endswith("dim") else MAX_WHOLE
        _require(name, value, "1 or more", value >= 1)
        _require(name, value, f"{most} or less", value <= most)
    for name in _NOT_NEGATIVE:
        value = getattr(settings, name)
        _require(name, value, "a number of 0 or more", value >= 0)
        _require(name, value, f"{MAX_NUMBER:.0f} or less", value <= MAX_NUMBER)
    rate, batch = settings.learning_rate, settings.batch_size
    _require("learning_rate", rate, f"a number above 0, {MAX_NUMBER:.0f} or less", 0 < rate <= MAX_NUMBER)
    _require("batch_size", batch, "2 or more (a batch needs negatives)", batch >= 2)
    _require("batch_size", batch, f"{MAX_WHOLE} or less", batch <= MAX_WHOLE)
    parse_bytes(settings.memory_budget)
    _require("decay_epochs", settings.decay_epochs, "rising epochs of 1 or more", _rising(settings.decay_epochs))
    stage_settings(settings)  # refuses what makes no sense in them
    return settings


def parse_bytes(text: str) -> int:
    """Read an amount of memory such as 512MB, 1.5GB or 1GiB into bytes; ConfigError for anything else."""
    found = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,9})?)\s*([KMGT]?)(i?)B\s*", text, re.IGNORECASE | re.ASCII)
    if found is None:
        raise ConfigError(f"memory_budget: got '{text}', expected an amount of memory such as 512MB, 1.5GB or 1GiB")
    unit = 1024 if found[3] else 1000
    return int(float(found[1]) * unit ** " KMGT".index(found[2].upper() or " "))


def format_bytes(amount: int) -> str:
    """Return an amount of memory as `parse_bytes` reads it, exactly: 250MB, or 999B."""
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if amount >= size and amount % size == 0:
            return f"{amount // size}{unit}"
    return f"{amount}B"


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
    _require_unique("stages", tuple(stage.name for stage in settings.stages))
    return tuple(found)


def _without(stages: Any, keys: Mapping[str, Any]) -> Any:
    """Return stages, as builtins, that leave these settings to the run; what isn't stages stays to be refused."""
    if not isinstance(stages, list | tuple):
        return stages
    return [
        stage | {"settings": {key: value for key, value in stage["settings"].items() if key not in keys}}
        if isinstance(stage, dict) and isinstance(stage.get("settings"), dict)
        else stage
        for stage in stages
    ]


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
        found = re.fullmatch(r"\s*(\d{1,12})(?:\s*-\s*(\d{1,12}))?\s*", part)
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
        return check_experiment(msgspec.toml.decode(data, type=Experiment))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {explain_invalid(error, Experiment)}") from None
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{source}: not an experiment: nested too deeply") from None


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
    values = {name: getattr(base, name) for name in Experiment.__struct_fields__} | dict(whole)
    values["settings"] = base.settings | dict(settings)
    values["model"] = {
        name: {
            key: _without(value, settings) if key == "stages" else value
            for key, value in table.items()
            if key not in settings
        }
        for name, table in base.model.items()
        if "models" not in whole or name in whole["models"]
    }
    return check_experiment(_convert(values, Experiment))


def dump_experiment(experiment: Experiment) -> str:
    """Return the TOML text of an experiment; reading it gives an equal experiment."""
    return msgspec.toml.encode(experiment).decode()


def check_experiment(experiment: Experiment) -> Experiment:
    """Return the experiment if it makes sense as far as that can be told without the models; else ConfigError."""
    experiment = _convert(msgspec.to_builtins(experiment), Experiment)  # constructors don't check types
    for name in ("data", "results", "word_vectors", "init_from", "device"):
        require_text(name, getattr(experiment, name), empty=name in ("word_vectors", "init_from"))
    if experiment.word_vectors and experiment.init_from:
        raise ConfigError("word_vectors and init_from: both say what the words start from; expected one of them")
    _check_models(experiment.models)
    check_seeds(experiment.seeds)
    resolve_preset(experiment)
    _require(
        "threads", experiment.threads, f"0 (torch chooses) to {MAX_THREADS}", 0 <= experiment.threads <= MAX_THREADS
    )
    check_examples(experiment.examples)
    find_protocol(experiment.protocol)
    for name in experiment.model:
        if name not in experiment.models:
            hint = nearest(name, experiment.models)
            raise ConfigError(f"[model.{name}]: not among the models to run, {', '.join(experiment.models)}{hint}")
    return experiment


def check_examples(examples: int) -> int:
    """Return how many examples to keep if that is a sensible number; else ConfigError."""
    _require("examples", examples, f"0 to {MAX_EXAMPLES}", 0 <= examples <= MAX_EXAMPLES)
    return examples


def user_path(text: str) -> Path:
    """Return the path that a user means, `~` being home."""
    path = Path(text)
    with suppress(RuntimeError):  # nobody has that name: then the folder is called so
        path = path.expanduser()
    return path


def require_text(name: str, value: str, *, empty: bool = False) -> None:
    """Raise ConfigError unless a name or path is text that a record can hold."""
    if not (value.strip() or empty) or "\0" in value or not value.isprintable() or not _is_unicode(value):
        raise ConfigError(f"{name}: got {value!r}, expected a name or path of printable characters in UTF-8")


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of another encoding, smuggled through by the system
        return False
    return True


def _check_models(models: tuple[str, ...]) -> tuple[str, ...]:
    if not models:
        raise ConfigError("models: none given; expected names such as camp,scan")
    _require_unique("models", models)
    return models


def check_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Return the seeds if there are some, each once and of 32 bits; else ConfigError."""
    if not seeds:
        raise ConfigError("seeds: none given; expected whole numbers such as 0,1,2")
    for seed in seeds:
        _require("seeds", seed, f"whole numbers from 0 to {MAX_SEED}", 0 <= seed <= MAX_SEED)
    _require_unique("seeds", seeds)
    return seeds


def _require_unique(name: str, values: tuple[Any, ...]) -> None:
    seen = set()
    for value in values:
        if value in seen:
            raise ConfigError(f"{name}: {value} is given twice; expected each once")
        seen.add(value)


def _require(name: str, got: Any, expected: str, holds: bool) -> None:
    if not holds:
        raise ConfigError(f"{name}: got {got}, expected {expected}")


def _rising(epochs: tuple[int, ...]) -> bool:
    return all(a < b for a, b in zip((0, *epochs), epochs, strict=False))


def _convert(values: dict[str, Any], kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(explain_invalid(error, kind)) from None


def explain_invalid(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """Say what msgspec found wrong with a struct of that kind, in the words of an experiment file."""
    found = re.fullmatch(r"(.*?)(?: - at `\$\.?(.*)`)?", str(error), re.DOTALL)
    assert found is not None  # both groups may be empty, so every text matches
    text, field = found[1], found[2] or ""
    unknown = re.search(r"unknown field `(.+?)`", text, re.DOTALL)
    if unknown:
        stage = re.match(r"stages\[", field)
        known = (Stage if stage else kind).__struct_fields__
        where = f"{field}: " if stage else ""
        return f"{where}unknown key '{unknown[1]}'{nearest(unknown[1], known)}; known: {', '.join(known)}"
    value = re.fullmatch(r"Invalid enum value (.+)", text, re.DOTALL)
    if value and field in kind.__struct_fields__:
        choices = [str(choice) for choice in typing.get_args(typing.get_type_hints(kind)[field])]
        got = value[1].strip("'")
        return f"{field}: got '{got}', expected {' or '.join(choices)}{nearest(got, choices)}"
    return f"{field}: {text[:1].lower()}{text[1:]}" if field else text
