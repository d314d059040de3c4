"""Models of other people: loaded only where a user names them, refused in one line where they can't be used."""

from __future__ import annotations

import itertools
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from examples import TINY

from camp_bench.cli import main
from camp_bench.errors import ConfigError
from camp_bench.models import plugins
from camp_bench.models.registry import find_variant
from camp_bench.records import list_records, read_record

MODEL = """
import pathlib
import torch
import camp_bench
from camp_bench.models.encoders import SentenceEncoder, region_encoder

pathlib.Path("imported").touch()

class Dot(camp_bench.PairModel):
    '''Inner product of two vectors.'''

    presets = {"quick": {"epochs": 1, "dim": 4, "min_count": 1}}

    def __init__(self, settings, options, shape):
        super().__init__(settings, options, shape)
        self.image = region_encoder(shape.feature_size, settings.dim)
        self.text = SentenceEncoder(shape.vocabulary_size, settings.word_dim, settings.dim, settings.word_spread)

    def encode_images(self, features):
        return self.image(features.mean(1))

    def encode_captions(self, tokens, lengths):
        return self.text(tokens, lengths)

    def score_tile(self, images, captions):
        return images["vectors"] @ captions["vectors"].T

class Peeking(Dot):
    def score_tile(self, images, captions):
        return super().score_tile(images, captions).softmax(0)

class Honest(Peeking):
    transductive = True

class Unfinished(camp_bench.PairModel):
    def encode_images(self, features):
        return features

class Wrong(Dot):
    presets = {"quick": {"epoch": 1}}

class NoPreset(Dot):
    presets = {"fast": {}}

number = 3
"""

NUMBERS = itertools.count()
"""So that no test finds the module that another has imported."""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a module of models that lies in the current folder."""
    name = f"m{next(NUMBERS)}"
    (tmp_path / f"{name}.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(plugins, "_loaded", {})
    return name


def imported() -> bool:
    return Path("imported").exists()


def test_a_model_named_on_the_command_line_runs_like_any_other(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--models", f"{module}:Dot,vsepp", "--data", TINY, "--epochs", "1"]) == 0
    assert f"{module}:Dot" in capsys.readouterr().out
    records = [read_record(folder) for folder in list_records("results")]
    assert {record.config.model for record in records} == {f"{module}:Dot", "vsepp"}
    assert not any(record.evaluation("test").transductive for record in records)


def test_its_presets_and_summary_are_its_own(module: str) -> None:
    variant = plugins.load_plugin(f"{module}:Dot")
    assert (variant.summary, variant.source) == ("Inner product of two vectors", "plug-in")
    assert (variant.settings["quick"].dim, variant.settings["paper-f30k"].dim) == (4, 1024)
    assert find_variant(f"{module}:Dot") is variant


@pytest.mark.parametrize("name", ["Peeking", "Honest"])
def test_scores_that_depend_on_the_gallery_are_recorded_as_such(module: str, name: str) -> None:
    assert main(["run", "--models", f"{module}:{name}", "--data", TINY]) == 0
    (folder,) = list_records("results")
    assert read_record(folder).evaluation("test").transductive


def test_an_experiment_file_alone_imports_nothing(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("e.toml").write_text(f'models = ["{module}:Dot"]\ndata = "{TINY}"\n')
    assert main(["run", "e.toml"]) == 2
    assert "is a plug-in, which would run its code" in capsys.readouterr().err
    assert not imported()
    assert main(["run", "e.toml", "--allow-plugins"]) == 0
    assert imported()


def test_a_record_alone_imports_nothing(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--models", f"{module}:Dot", "--data", TINY]) == 0
    monkeypatch.setattr(plugins, "_loaded", {})
    del sys.modules[module]
    Path("imported").unlink()
    (folder,) = list_records("results")
    assert main(["evaluate", str(folder)]) == 2
    assert "is a plug-in" in capsys.readouterr().err
    assert not imported()
    assert main(["evaluate", str(folder), "--allow-plugins"]) == 0
    assert imported()


@pytest.mark.parametrize(
    ("attribute", "said"),
    [
        ("Dott", r"has no Dott \(did you mean 'Dot'\?\)"),
        ("number", "number of .* is not a class derived from camp_bench.PairModel"),
        ("Unfinished", "lacks the methods encode_captions, score_tile"),
        ("Wrong", "presets or options_type can't be used"),
        ("NoPreset", "presets has 'fast'; expected quick, paper-f30k, paper-coco"),
    ],
)
def test_what_is_no_model_is_refused(module: str, attribute: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        plugins.load_plugin(f"{module}:{attribute}")


def test_a_module_that_can_t_be_imported_is_named_with_its_own_error(module: str) -> None:
    Path("broken_module.py").write_text("1 / 0")
    with pytest.raises(ConfigError, match="importing broken_module failed with ZeroDivisionError: division by zero"):
        plugins.load_plugin("broken_module:Model")
    with pytest.raises(ConfigError, match=r"importing no\.such failed with ModuleNotFoundError"):
        plugins.load_plugin("no.such:Model")


@pytest.mark.parametrize("name", ["scan:Foo", "camp", "Model", ":Model", "a-b:C", "../x:Y", "os.path:", "a:b:c"])
def test_other_names_are_no_plugins(name: str) -> None:
    assert not plugins.is_plugin(name)
    with pytest.raises(ConfigError, match=r"is no plug-in; expected package\.module:Class"):
        plugins.load_plugin(name)


def test_a_package_can_register_a_short_name(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint(name="dot", value=f"{module}:Dot", group=plugins.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] if group == plugins.GROUP else [])
    with pytest.raises(ConfigError, match="'dot' is a plug-in"):
        find_variant("dot")
    assert not imported()
    assert plugins.load_plugin("dot").name == "dot"
    assert find_variant("dot").model.__name__ == "Dot"


def test_the_example_of_the_documentation_keeps_to_the_protocol(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = checkout / "docs" / "own_model.py"
    assert len(example.read_text().splitlines()) < 60
    monkeypatch.chdir(example.parent)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert main(["models", "test", "own_model:MaxSim"]) == 0
    assert capsys.readouterr().out.endswith("own_model:MaxSim keeps to the protocol\n")
