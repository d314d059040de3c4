"""A finished run taken up again: its record with its model, weights loaded, and its vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import safetensors
import safetensors.torch

from camp_bench.config import check_seeds, resolve_settings
from camp_bench.data.vocabulary import Vocabulary
from camp_bench.errors import ConfigError, DataError, RecordError
from camp_bench.machine.devices import explained_memory
from camp_bench.models.base import PairModel, Shape
from camp_bench.models.plugins import is_plugin, load_plugin
from camp_bench.models.registry import build_model, find_variant, resolve_options
from camp_bench.records import WEIGHTS_NAME, RunFolder, RunRecord

__all__ = ["FinishedRun", "open_run"]


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run's record with its model, weights loaded, and its vocabulary.

    files: weights and vocabulary by name, where they lie in no run's folder yet: an evaluation then keeps them.
    """

    record: RunRecord
    model: PairModel
    vocabulary: Vocabulary
    files: Mapping[str, bytes] = field(default_factory=dict)


def open_run(folder: Path, *, allow_plugins: bool = False) -> FinishedRun:
    """Load what a run left. Raises RecordError where a file is missing, changed, or of another model than it says.

    allow_plugins: import the plug-in that the run's model is, if it is one, which runs its code.
    """
    run = RunFolder.open(folder)
    home, record, config = run.path, run.record, run.record.config
    weights = run.weights()
    try:
        vocabulary = Vocabulary.from_json(run.vocabulary())
        if allow_plugins and is_plugin(config.model):
            load_plugin(config.model)
        variant = find_variant(config.model)
        options = resolve_options(variant, config.options)
        if config.settings is None:
            raise ConfigError("settings: are of another system and not known")
        settings = resolve_settings(config.settings)
        check_seeds((config.seed,))
        if (feature_size := record.dataset.feature_size or 0) < 1:
            raise ConfigError(f"feature_size: got {feature_size}, expected 1 or more")
    except (ConfigError, DataError) as error:
        raise RecordError(f"{home}: not a run that can be used: {error}") from None
    shape = Shape(vocabulary_size=len(vocabulary), feature_size=feature_size)
    with explained_memory("is the record the one that was written?"):
        model = build_model(variant, settings, options, shape, config.seed)
    try:
        model.load_state_dict(safetensors.torch.load(weights))
    except (RuntimeError, safetensors.SafetensorError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise RecordError(f"{home / WEIGHTS_NAME}: not weights of {variant.name} as recorded ({reason})") from None
    return FinishedRun(record, model, vocabulary)
