"""From an experiment to the runs that it asks for, each with complete settings; wrong names are refused here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from camp_bench.config import Experiment, RunConfig, Settings, check_experiment, resolve_preset, resolve_settings
from camp_bench.errors import ConfigError, nearest
from camp_bench.machine.devices import resolve_device
from camp_bench.models.base import Variant
from camp_bench.models.registry import find_variant, resolve_options
from camp_bench.records import RunRecord
from camp_bench.runs.start import read_initial, remaining_stages

__all__ = ["RunPlan", "plan_runs", "resolved_experiment"]


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run to do. model: as the user named it; `variant` and `config.model` give the full name.

    settings: those of the config.
    """

    model: str
    variant: Variant
    options: msgspec.Struct
    settings: Settings
    config: RunConfig


def plan_runs(experiment: Experiment) -> tuple[RunPlan, ...]:
    """Return every run of an experiment, all models under the first seed, then all under the next.

    Raises ConfigError for what makes no sense, DeviceError for a device that isn't there and RecordError for a run to
    start from that can't be read.
    """
    check_experiment(experiment)
    device = str(resolve_device(experiment.device))
    initial = read_initial(experiment.init_from) if experiment.init_from else None
    plans = [_plan(experiment, model, device, initial) for model in experiment.models]
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
    tables = {plan.model: msgspec.to_builtins(plan.settings) | plan.config.options for plan in plans}
    preset, device = plans[0].config.preset, plans[0].config.device
    return msgspec.structs.replace(experiment, preset=preset, device=device, settings={}, model=tables)


def _plan(experiment: Experiment, model: str, device: str, initial: RunRecord | None) -> RunPlan:
    variant = find_variant(model)
    own = experiment.model.get(model, {})
    preset = resolve_preset(experiment)
    for_settings = {key: value for key, value in own.items() if key in Settings.__struct_fields__}
    for_family = {key: value for key, value in own.items() if key not in for_settings}
    options = resolve_options(variant, {**variant.preset_options.get(preset, {}), **for_family})
    settings = resolve_settings(variant.settings[preset], experiment.settings, for_settings)
    _check_stages(settings, variant)
    if initial is not None:
        settings = remaining_stages(settings, variant.name, initial)
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
        settings=settings,
        options=msgspec.to_builtins(options),
        init_from=experiment.init_from,
        tokenizer=experiment.tokenizer,
    )
    return RunPlan(model, variant, options, settings, config)


def _check_stages(settings: Settings, variant: Variant) -> None:
    """Raise ConfigError for a stage whose model, options or frozen parts there are not; the last trains the model."""
    for stage in settings.stages:
        where = f"model '{variant.name}', stage '{stage.name}'"
        try:
            trained = find_variant(stage.model) if stage.model else variant
            if stage.options and not stage.model:
                raise ConfigError("options: the run's own model has those of its table; expected them with a model")
            resolve_options(trained, stage.options)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        for part in stage.freeze:
            known = trained.model.freezable
            if part not in known:
                raise ConfigError(f"{where}: can't freeze '{part}'{nearest(part, known)}; it has {', '.join(known)}")
    if settings.stages and (last := settings.stages[-1]).model:
        raise ConfigError(
            f"model '{variant.name}', stage '{last.name}': the last stage trains {last.model}; "
            "expected no model there, which stands for the run's own"
        )
