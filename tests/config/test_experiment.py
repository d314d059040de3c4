"""Experiments: what is accepted, what is refused and in which words; what is written reads the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.config import (
    Experiment,
    check_experiment,
    dump_experiment,
    override_experiment,
    parse_experiment,
    parse_models,
    parse_seeds,
    read_experiment,
    resolve_preset,
)
from camp_bench.errors import ConfigError


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


def test_a_byte_order_mark_is_left_out() -> None:
    assert parse_experiment(b"\xef\xbb\xbfdata = 'x'").data == "x"


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
        ('settings.epochs = "3"', "[settings]: epochs: expected `int`, got `str`"),
        ("[settings]\nepoch = 3", "[settings]: unknown key 'epoch' (did you mean 'epochs'?)"),
        ('[model.scan]\nepochs = "3"', "[model.scan]: epochs: expected `int`, got `str`"),
        ("[model.scan]\nbatch_size = 1", "[model.scan]: batch_size: got 1, expected 2 or more"),
        ('model = "scan"', "model: expected `object`, got `str`; name models with models = ['NAME']"),
        ("[models.scan]\nepochs = 3", "models: expected `array`, got `object`; write models = ['NAME']"),
        ("tokenizer = 'unicod'", "tokenizer: got 'unicod', expected treebank or unicode or characters (did you mean"),
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


def test_command_line_wins_over_the_stages_of_a_file() -> None:
    text = 'models = ["camp"]\n[[model.camp.stages]]\nname = "one"\nsettings = {epochs = 5, margin = 0.1}\n'
    changed = override_experiment(parse_experiment(text.encode()), {}, {"epochs": 2})
    assert changed.model["camp"]["stages"] == [{"name": "one", "settings": {"margin": 0.1}}]
    assert parse_experiment(dump_experiment(changed).encode()) == changed


def test_words_cannot_start_from_two_places() -> None:
    with pytest.raises(ConfigError, match="word_vectors and init_from: both say what the words start from"):
        parse_experiment(b'word_vectors = "v.txt"\ninit_from = "results/r"\n')
