"""From an experiment to runs: order, overrides, and what is refused."""

from __future__ import annotations

import msgspec
import pytest

from camp_bench.config import Experiment, dump_experiment, parse_experiment
from camp_bench.errors import ConfigError, DeviceError
from camp_bench.planning import plan_runs, resolved_experiment


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
