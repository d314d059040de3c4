"""From an experiment to runs: order, overrides, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from examples import example_record

from camp_bench.config import Experiment, dump_experiment, parse_experiment, stage_settings
from camp_bench.errors import ConfigError, DeviceError
from camp_bench.records import WEIGHTS_NAME, write_record
from camp_bench.runs.plan import plan_runs, resolved_experiment


def test_all_models_run_under_one_seed_before_the_next() -> None:
    plans = plan_runs(Experiment(models=("vsepp", "scan"), seeds=(3, 1), device="cpu"))
    assert [(plan.config.model, plan.config.seed) for plan in plans] == [
        ("vsepp", 3),
        ("scan:t2i-lse", 3),
        ("vsepp", 1),
        ("scan:t2i-lse", 1),
    ]


def test_a_models_own_table_wins_over_settings_for_all() -> None:
    experiment = Experiment(
        models=("vsepp", "scan"),
        settings={"epochs": 2},
        model={"scan": {"epochs": 5, "lambda_attention": 4.0, "norm": "clipped_l2norm"}},
    )
    vsepp, scan = plan_runs(experiment)
    assert (vsepp.config.settings.epochs, scan.config.settings.epochs) == (2, 5)
    assert scan.config.options["lambda_attention"] == 4.0
    assert scan.config.options["norm"] == "clipped_l2norm"
    assert scan.config.options["pooling"] == "lse"


def test_resolved_experiment_means_the_same_and_can_be_run_again() -> None:
    experiment = Experiment(models=("scan", "camp"), seeds=(0, 1), settings={"epochs": 2}, model={"camp": {"dim": 32}})
    resolved = resolved_experiment(experiment)
    assert resolved.device != "auto"
    again = parse_experiment(dump_experiment(resolved).encode())
    assert [plan.config for plan in plan_runs(again)] == [plan.config for plan in plan_runs(experiment)]
    assert dump_experiment(resolved_experiment(again)) == dump_experiment(again)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ("scn",)}, "unknown model 'scn' (did you mean 'scan'?)"),
        ({"models": ("scan", "scan:t2i-lse")}, "given twice"),
        ({"settings": {"epoch": 1}}, "unknown key 'epoch' (did you mean 'epochs'?)"),
        ({"settings": {"lambda_attention": 1}}, "unknown key 'lambda_attention'"),
        ({"models": ("vsepp",), "model": {"vsepp": {"lambda_attention": 1}}}, "model 'vsepp': unknown key"),
        ({"models": ("scan",), "model": {"scan": {"lambda_atention": 1}}}, "did you mean 'lambda_attention'?"),
        (
            {"models": ("scan",), "model": {"scan": {"norm": "softmax"}}},
            "model 'scan:t2i-lse': norm is part of that name; ask for scan:t2i-lse-softmax instead",
        ),
        ({"models": ("scan",), "model": {"scan": {"norm": "l3"}}}, "model 'scan:t2i-lse'"),
        ({"seeds": (1, 1)}, "seeds: 1 is given twice"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        plan_runs(msgspec.structs.replace(Experiment(), **changes))
    assert message in str(caught.value)


def test_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError, match="this machine has cpu"):
        plan_runs(Experiment(device="cuda:99"))


def test_published_settings_and_options_go_with_the_dataset() -> None:
    def plan(data: str) -> tuple[float, ...]:
        (found,) = plan_runs(Experiment(models=("scan:i2t-lse",), preset="paper", data=data))
        settings = found.config.settings
        assert (settings.dim, settings.batch_size) == (1024, 128)
        return settings.learning_rate, settings.epochs, found.config.options["lambda_pooling"]

    assert plan("f30k_precomp") == (2e-4, 30, 5.0)
    assert plan("coco_precomp") == (5e-4, 20, 20.0)


def test_own_options_win_over_those_of_a_preset() -> None:
    own = {"scan:i2t-lse": {"lambda_pooling": 3.0}}
    (found,) = plan_runs(Experiment(models=("scan:i2t-lse",), preset="paper-coco", model=own))
    assert found.config.options["lambda_pooling"] == 3.0


FUSION = "camp:gate_fusion_new"


def test_stages_come_from_the_preset_and_from_a_file_that_says_so() -> None:
    (found,) = plan_runs(Experiment(models=(FUSION,), preset="paper-f30k"))
    one, two, three = stage_settings(found.config.settings)
    assert [stage.model for stage in found.config.settings.stages] == ["camp:cross_attention_new", "", ""]
    assert (one.optimizer, one.learning_rate, one.batch_size) == ("adam", 1e-3, 256)
    for stage in (two, three):
        assert (stage.optimizer, stage.learning_rate, stage.momentum, stage.batch_size) == ("sgd", 0.01, 0.9, 128)
        assert stage.weight_decay == 1e-4
    assert found.config.settings.stages[1].freeze == ("encoders", "attention")
    (alone,) = plan_runs(Experiment(models=(FUSION,), model={FUSION: {"stages": [], "epochs": 9}}))
    assert (alone.config.settings.stages, alone.config.settings.epochs) == ((), 9)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"model": "camp:cross_atention"}, "stage 'x': unknown model 'camp:cross_atention' (did you mean 'camp:cross"),
        ({"model": "scan", "options": {"los": 1}}, "stage 'x': model 'scan:t2i-lse': unknown key 'los'"),
        ({"options": {"loss": "triplet"}}, "stage 'x': options: the run's own model has those of its table"),
        ({"freeze": ["encoder"]}, "stage 'x': can't freeze 'encoder' (did you mean 'encoders'?); it has encoders, att"),
        ({"model": "vsepp", "freeze": ["attention"]}, "stage 'x': can't freeze 'attention'; it has encoders"),
    ],
)
def test_stage_that_makes_no_sense_is_refused(stage: dict[str, object], message: str) -> None:
    own = {FUSION: {"stages": [{"name": "x", **stage}, {"name": "y"}]}}
    with pytest.raises(ConfigError) as caught:
        plan_runs(Experiment(models=(FUSION,), model=own))
    assert f"model '{FUSION}', {message}" in str(caught.value)


def test_last_stage_has_to_train_the_model_itself() -> None:
    own = {FUSION: {"stages": [{"name": "x"}, {"name": "y", "model": "camp"}]}}
    with pytest.raises(ConfigError, match="stage 'y': the last stage trains camp; expected no model there"):
        plan_runs(Experiment(models=(FUSION,), model=own))


def test_run_to_start_from_spares_its_stage_and_the_plan_still_resolves_to_itself(tmp_path: Path) -> None:
    record = example_record(model="camp:cross_attention_new", files={WEIGHTS_NAME: "0"})
    write_record(tmp_path, record)
    (tmp_path / WEIGHTS_NAME).touch()
    experiment = Experiment(models=(FUSION,), preset="paper-f30k", init_from=str(tmp_path))
    (plan,) = plan_runs(experiment)
    assert [stage.name for stage in plan.config.settings.stages] == ["fusion", "all"]
    assert plan.config.init_from == str(tmp_path)
    again = parse_experiment(dump_experiment(resolved_experiment(experiment)).encode())
    assert plan_runs(again)[0].config == plan.config
