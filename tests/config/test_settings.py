"""Settings and stages: later ones win, what makes no sense is refused."""

from __future__ import annotations

from typing import Any

import pytest
from examples import SETTINGS

from camp_bench.config import resolve_settings, stage_settings
from camp_bench.errors import ConfigError


def test_later_overrides_win() -> None:
    settings = resolve_settings(SETTINGS, {"epochs": 5, "dim": 16}, {"epochs": 7})
    assert (settings.epochs, settings.dim, settings.batch_size) == (7, 16, SETTINGS.batch_size)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"epochs": 0}, "epochs: got 0, expected 1 or more"),
        ({"dim": -1}, "dim: got -1, expected 1 or more"),
        ({"batch_size": 1}, "batch_size: got 1, expected 2 or more"),
        ({"warmup_epochs": -1}, "warmup_epochs: got -1, expected a number of 0 or more"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0, expected a number above 0"),
        ({"learning_rate": float("nan")}, "learning_rate: got nan"),
        ({"margin": float("inf")}, "margin: got inf"),
        ({"decay_epochs": [3, 2]}, "decay_epochs: got (3, 2), expected rising epochs"),
        ({"decay_epochs": [0]}, "decay_epochs: got (0,), expected rising epochs"),
        ({"epochs": "3"}, "epochs: expected `int`, got `str`"),
        ({"dim": 2**70}, "dim: "),
        ({"dim": 2**40}, "dim: got 1099511627776, expected 65536 or less"),
        ({"tile_images": 2**40}, "tile_images: got 1099511627776, expected 2147483647 or less"),
        ({"learning_rate": 1e308}, "learning_rate: got 1e+308, expected a number above 0, 1000000 or less"),
        ({"momentum": 1e300}, "momentum: got 1e+300"),
        ({"epochs": 3.5}, "epochs: expected `int`, got `float`"),
        ({"optimizer": "adamw"}, "optimizer: got 'adamw', expected adam or sgd (did you mean 'adam'?)"),
        ({"learning_rat": 1}, "unknown key 'learning_rat' (did you mean 'learning_rate'?)"),
    ],
)
def test_settings_that_make_no_sense_are_refused(override: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_settings(SETTINGS, override)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


STAGED = resolve_settings(
    SETTINGS, {"stages": [{"name": "one", "settings": {"epochs": 7, "margin": 0.1}}, {"name": "two"}]}
)


def test_a_stage_sets_some_and_leaves_the_rest_to_the_run() -> None:
    one, two = stage_settings(STAGED)
    assert (one.epochs, one.margin, one.batch_size) == (7, 0.1, SETTINGS.batch_size)
    assert two == SETTINGS
    assert stage_settings(SETTINGS) == (SETTINGS,)


def test_what_a_user_sets_holds_in_the_stages_of_a_preset_but_not_in_those_of_the_user() -> None:
    one, two = stage_settings(resolve_settings(STAGED, {"epochs": 3}))
    assert (one.epochs, one.margin, two.epochs) == (3, 0.1, 3)
    own = {"epochs": 3, "stages": [{"name": "one", "settings": {"epochs": 5}}]}
    assert [settings.epochs for settings in stage_settings(resolve_settings(STAGED, own))] == [5]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (
            [{"name": "one", "settings": {"epoch": 1}}],
            "stages, number 1: a stage can't set 'epoch' (did you mean 'epochs'?)",
        ),
        ([{"name": "one"}, {"name": "two", "settings": {"dim": 4}}], "stages, number 2: a stage can't set 'dim'"),
        ([{"name": "one", "settings": {"epochs": 0}}], "stages, number 1: epochs: got 0, expected 1 or more"),
        ([{"name": "one"}, {"name": "one"}], "stages: one is given twice"),
        ([{"name": " "}], "stages, number 1: name: got ' '"),
        ([{"name": "one", "frozen": ["encoders"]}], "stages[0]: unknown key 'frozen' (did you mean 'freeze'?)"),
        ([{"settings": {}}], "stages[0]: object missing required field `name`"),
        ([3], "stages[0]"),
        ("one", "stages"),
        ([{"name": "one", "settings": 3}], "stages[0].settings"),
    ],
)
def test_stages_that_make_no_sense_are_refused(stages: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_settings(STAGED, {"stages": stages})
    assert message in str(caught.value)
