"""What a run is asked to do: the experiment file, its presets and their resolution.

An `Experiment` is what people write (`camp-bench run experiment.toml`, or options of the command line). Every
`Settings` field may be set for all models (`[settings]`) or for one (`[model.scan]`, which takes the options of the
model's family as well); what is not set comes from the preset. Resolving gives one complete `RunConfig` for each model
and seed: the part of a record that says what was asked for.

A training may go through several stages (`Settings.stages`), each with some settings of its own. What a user sets for
the whole holds in every stage of a preset; a table of stages that a user writes holds as it stands.
"""

from __future__ import annotations

from camp_bench.config.checks import (
    MAX_THREADS,
    MAX_WHOLE,
    check_examples,
    check_seeds,
    format_bytes,
    parse_bytes,
    require_text,
    user_path,
)
from camp_bench.config.converting import explain_invalid
from camp_bench.config.experiment import (
    PRESETS,
    check_experiment,
    dump_experiment,
    override_experiment,
    parse_experiment,
    parse_models,
    parse_seeds,
    read_experiment,
    resolve_preset,
)
from camp_bench.config.settings import resolve_settings, stage_settings
from camp_bench.config.structs import DEFAULT_MODELS, FEWEST_SEEDS, Experiment, RunConfig, Settings, Stage, Until

__all__ = [
    "DEFAULT_MODELS",
    "FEWEST_SEEDS",
    "MAX_THREADS",
    "MAX_WHOLE",
    "PRESETS",
    "Experiment",
    "RunConfig",
    "Settings",
    "Stage",
    "Until",
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
