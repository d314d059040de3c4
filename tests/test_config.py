"""Experiments: what is accepted, what is refused and in which words; what is written reads the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from examples import SETTINGS
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.config import (
    Experiment,
    check_experiment,
    dump_experiment,
    format_bytes,
    override_experiment,
    parse_bytes,
    parse_experiment,
    parse_models,
    parse_seeds,
    read_experiment,
    resolve_preset,
    resolve_settings,
    stage_settings,
    user_path,
)
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


@pytest.mark.parametrize(
    ("text", "seeds"), [("0", (0,)), ("0,1,2", (0, 1, 2)), ("3-5", (3, 4, 5)), (" 7 , 1-2", (7, 1, 2))]
)
def test_seeds_are_numbers_and_ranges(text: str, seeds: tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "a", "1,,2", "-1", "1.5", "0,0", "0-2,1", "5-3", "0-99999999", "9" * 5000, "4294967296", "٣-", "1e3"]
)
def test_nonsense_seeds_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="seeds"):
        parse_seeds(text)


def test_models_are_split_at_commas() -> None:
    assert parse_models("camp, scan:t2i-lse,") == ("camp", "scan:t2i-lse")


@pytest.mark.parametrize("text", ["", " , ", "camp,camp"])
def test_no_models_or_the_same_twice_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="models"):
        parse_models(text)


@given(
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4, unique=True),
    data=st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1),
    margin=st.floats(0, 1),
    precision=st.sampled_from(["fp32", "bf16"]),
)
def test_experiment_survives_toml(seeds: list[int], data: str, margin: float, precision: Any) -> None:
    written = Experiment(
        models=("camp", "scan:i2t-avg"),
        seeds=tuple(seeds),
        data=data,
        precision=precision,
        settings={"margin": margin},
        model={"scan:i2t-avg": {"decay_epochs": [1, 2], "norm": "softmax"}},
    )
    assert parse_experiment(dump_experiment(written).encode()) == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('models = ["camp"', "not valid TOML"),
        ("models = 'camp'", "models: expected `array`, got `str`"),
        ("seeds = [-1]", "seeds: got -1, expected whole numbers from 0"),
        ("seeds = []", "seeds: none given"),
        ("model.scan.epochs = 1\nmodels = ['camp', 'scann']", "[model.scan]: not among the models to run"),
        (
            "preset = 'quik'",
            "preset: got 'quik', expected one of quick, paper-f30k, paper-coco, paper (did you mean 'quick'?)",
        ),
        ("precision = 'fp64'", "precision: got 'fp64', expected fp32 or bf16"),
        ("vocab_from = 'test'", "vocab_from: got 'test', expected train+dev or train"),
        ("threads = -2", "threads: got -2"),
        ('data = ""', "data: got ''"),
        ('data = "a\\u0000b"', "data: got 'a\\x00b', expected a name or path of printable characters"),
        ('results = "a\\nb"', "results: got 'a\\nb'"),
        ('"a\\nb" = 1', "unknown key 'a\nb'"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("modles = ['camp']", "unknown key 'modles' (did you mean 'models'?)"),
    ],
)
def test_experiment_files_with_mistakes_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_experiment(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_experiment_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "mine.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"mine\.toml"):
        read_experiment(file)


def test_command_line_wins_over_file_and_over_a_models_own_table() -> None:
    base = Experiment(
        models=("camp", "scan"), settings={"epochs": 2, "dim": 8}, model={"camp": {"epochs": 3, "margin": 0.1}}
    )
    merged = override_experiment(base, {"data": "elsewhere"}, {"epochs": 9})
    assert merged.data == "elsewhere"
    assert merged.settings == {"epochs": 9, "dim": 8}
    assert merged.model == {"camp": {"margin": 0.1}}
    assert base.model == {"camp": {"epochs": 3, "margin": 0.1}}


def test_tables_of_models_that_are_no_longer_asked_for_are_left_out() -> None:
    base = Experiment(models=("camp", "scan"), model={"camp": {"epochs": 3}, "scan": {"epochs": 4}})
    assert override_experiment(base, {"models": ("scan",)}, {}).model == {"scan": {"epochs": 4}}


def test_default_experiment_makes_sense() -> None:
    assert check_experiment(Experiment()) == Experiment()


@pytest.mark.parametrize(
    ("data", "preset"),
    [("data/f30k_precomp", "paper-f30k"), ("Flickr30K", "paper-f30k"), ("/x/coco_precomp/", "paper-coco")],
)
def test_paper_preset_is_that_of_the_data(data: str, preset: str) -> None:
    assert resolve_preset(Experiment(preset="paper", data=data)) == preset


@pytest.mark.parametrize("data", ["toy", "flickr8k", "f30k/other"])
def test_paper_preset_is_refused_for_data_that_no_paper_is_about(data: str) -> None:
    with pytest.raises(ConfigError, match="expected paper-f30k or paper-coco"):
        resolve_preset(Experiment(preset="paper", data=data))
    assert resolve_preset(Experiment(preset="paper-coco", data=data)) == "paper-coco"


@pytest.mark.parametrize(
    "wrong",
    [
        {"vocab_from": "test"},
        {"precision": "fp8"},
        {"models": "vsepp"},
        {"seeds": ("a",)},
        {"data": "\udcff"},
        {"data": 3},
    ],
)
def test_experiment_made_in_python_is_checked_as_a_file_is(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        check_experiment(Experiment(**wrong))


def test_home_is_what_a_tilde_means_unless_nobody_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert user_path("~/x") == Path("/home/me/x")
    assert user_path("~nobody-of-that-name/x") == Path("~nobody-of-that-name/x")
    assert user_path("x") == Path("x")


@pytest.mark.parametrize(
    ("text", "amount"), [("1GB", 10**9), ("1.5 mb", 1_500_000), ("2KiB", 2048), ("7B", 7), ("1TiB", 2**40)]
)
def test_amounts_of_memory(text: str, amount: int) -> None:
    assert parse_bytes(text) == amount
    assert parse_bytes(format_bytes(amount)) == amount


@pytest.mark.parametrize("text", ["", "1", "GB", "-1GB", "1PB", "1e3MB", "1GBs", "١GB"])
def test_other_texts_are_no_amount_of_memory(text: str) -> None:
    with pytest.raises(ConfigError, match=r"memory_budget: got .*512MB"):
        parse_bytes(text)


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


def test_command_line_wins_over_the_stages_of_a_file() -> None:
    text = 'models = ["camp"]\n[[model.camp.stages]]\nname = "one"\nsettings = {epochs = 5, margin = 0.1}\n'
    changed = override_experiment(parse_experiment(text.encode()), {}, {"epochs": 2})
    assert changed.model["camp"]["stages"] == [{"name": "one", "settings": {"margin": 0.1}}]
    assert parse_experiment(dump_experiment(changed).encode()) == changed


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


def test_words_cannot_start_from_two_places() -> None:
    with pytest.raises(ConfigError, match="word_vectors and init_from: both say what the words start from"):
        parse_experiment(b'word_vectors = "v.txt"\ninit_from = "results/r"\n')
