"""From an experiment to the runs that it asks for, each with complete settings; wrong names are refused here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from camp_bench.config import Experiment, RunConfig, Settings, check_experiment, resolve_preset, resolve_settings
from camp_bench.devices import resolve_device
from camp_bench.errors import ConfigError
from camp_bench.models.base import Variant
from camp_bench.models.registry import find_variant, resolve_options

__all__ = ["RunPlan", "plan_runs", "resolved_experiment"]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run to do. model: as the user named it; `variant` and `config.model` give the full name."""

    model: str
    variant: Variant
    options: msgspec.Struct
    config: RunConfig


def plan_runs(experiment: Experiment) -> tuple[RunPlan, ...]:
    """Return every run of an experiment, all models under the first seed, then all under the next.

    Raises ConfigError for what makes no sense and DeviceError for a device that isn't there.
    """
    check_experiment(experiment)
    device = str(resolve_device(experiment.device))
    plans = [_plan(experiment, model, device) for model in experiment.models]
    names = [plan.variant.name for plan in plans]
    for plan in plans:
        if names.count(plan.variant.name) > 1:
            raise ConfigError(
                f"models: '{plan.model}' is {plan.variant.name}, which is given twice; expected each once"
            )
    return tuple(
        replace(plan, config=msgspec.structs.replace(plan.config, seed=seed))
        for seed in experiment.seeds
        for plan in plans
    )


def resolved_experiment(experiment: Experiment) -> Experiment:
    """Return an experiment that means the same and leaves nothing to a preset or to the choice of a device."""
    plans = plan_runs(experiment)
    tables = {plan.model: msgspec.to_builtins(plan.config.settings) | plan.config.options for plan in plans}
    preset, device = plans[0].config.preset, plans[0].config.device
    return msgspec.structs.replace(experiment, preset=preset, device=device, settings={}, model=tables)


def _plan(experiment: Experiment, model: str, device: str) -> RunPlan:
    variant = find_variant(model)
    own = experiment.model.get(model, {})
    preset = resolve_preset(experiment)
    for_settings = {key: value for key, value in own.items() if key in Settings.__struct_fields__}
    for_family = {key: value for key, value in own.items() if key not in for_settings}
    options = resolve_options(variant, {**variant.preset_options.get(preset, {}), **for_family})
    config = RunConfig(
        model=variant.name,
        seed=experiment.seeds[0],
        data=experiment.data,
        protocol=experiment.protocol,
        vocab_from=experiment.vocab_from,
        word_vectors=experiment.word_vectors,
        preset=preset,
        device=device,
        precision=experiment.precision,
        settings=resolve_settings(variant.settings[preset], experiment.settings, for_settings),
        options=msgspec.to_builtins(options),
    )
    return RunPlan(model, variant, options, config)
