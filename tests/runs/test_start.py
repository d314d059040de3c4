"""Another run's weights as a start: what they spare, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from examples import SETTINGS, example_record

from camp_bench.config import Settings, Stage
from camp_bench.errors import ConfigError, RecordError
from camp_bench.models.base import PairModel, Shape
from camp_bench.models.registry import build_model, find_variant
from camp_bench.records import write_record
from camp_bench.runs.start import InitialWeights, read_initial, remaining_stages, require_fit

WORDS = ("a", "dog", "runs")
STAGED = msgspec.structs.replace(
    SETTINGS,
    stages=(
        Stage(name="one", model="camp:cross_attention"),
        Stage(name="two", model="camp:cross_attention_new:masked"),
        Stage(name="three"),
        Stage(name="four"),
    ),
)


def make_model(name: str, settings: Settings = SETTINGS, feature_size: int = 5) -> PairModel:
    variant = find_variant(name)
    return build_model(variant, settings, variant.options, Shape(len(WORDS), feature_size), 0)


def left_by(name: str, **changes: Any) -> InitialWeights:
    model = make_model(name, msgspec.structs.replace(SETTINGS, **changes))
    return InitialWeights(example_record(model=name), model.state_dict(), WORDS)


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ("camp:cross_attention", ["two", "three", "four"]),
        ("camp:cross_attention_new", ["three", "four"]),  # masked or not, it is what that stage trains
        ("camp:gate_fusion_new", ["three", "four"]),
        ("camp:gate_fusion", ["one", "two", "three", "four"]),
    ],
)
def test_stages_that_a_run_stands_for_are_left_out(found: str, names: list[str]) -> None:
    settings = remaining_stages(STAGED, "camp:gate_fusion_new", example_record(model=found))
    assert [stage.name for stage in settings.stages] == names
    assert remaining_stages(settings, "camp:gate_fusion_new", example_record(model=found)) == settings


def test_a_stage_may_name_its_model_by_the_family_alone() -> None:
    settings = msgspec.structs.replace(SETTINGS, stages=(Stage(name="one", model="scan"), Stage(name="two")))
    left = remaining_stages(settings, "scan:i2t-avg", example_record(model="scan:t2i-lse"))
    assert [stage.name for stage in left.stages] == ["two"]


def test_another_family_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"init_from: scan:t2i-lse-s0 is a run of scan:t2i-lse; expected one of camp"):
        remaining_stages(SETTINGS, "camp", example_record(model="scan:t2i-lse"))


def test_what_fits_is_taken_by_name_and_shape() -> None:
    initial = left_by("camp:cross_attention_new")
    model = make_model("camp:gate_fusion_new", STAGED)
    require_fit(model, "camp:gate_fusion_new", WORDS, initial)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    marked = {name: torch.full_like(value, 0.5) for name, value in initial.weights.items()}
    assert model.take_weights(marked) == len(marked)
    for name, value in model.state_dict().items():
        assert torch.equal(value, marked.get(name, fresh[name]))


@pytest.mark.parametrize(
    ("name", "settings", "initial", "words", "message"),
    [
        (
            "camp",
            SETTINGS,
            left_by("camp"),
            ("a", "cat", "runs"),
            "its vocabulary of 3 words is not that of this run, 3",
        ),
        (
            "camp",
            SETTINGS,
            left_by("camp", dim=4),
            WORDS,
            r"has the shape \(1, 4\), camp needs \(1, 8\); expected .* the same dim",
        ),
        (
            "camp",
            SETTINGS,
            left_by("camp:cosine"),
            WORDS,
            "it has no hidden.bias, which camp needs; expected a run of camp",
        ),
        ("camp:cosine", SETTINGS, left_by("camp"), WORDS, "it has hidden.bias, which camp:cosine has no place for"),
        ("camp:gate_fusion_new", SETTINGS, left_by("camp:cross_attention_new"), WORDS, "it has no fuse_image.weight"),
        ("camp:gate_fusion_new", STAGED, left_by("camp:gate_fusion_new-sum"), WORDS, r"fuse_\w+.weight has the shape"),
    ],
)
def test_what_does_not_fit_is_refused(
    name: str, settings: Settings, initial: InitialWeights, words: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        require_fit(make_model(name, settings), name, words, initial)


def test_run_that_is_not_there_or_has_no_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"nowhere: can't be read"):
        read_initial(str(tmp_path / "nowhere"))
    write_record(tmp_path, example_record(parent="the-first"))
    with pytest.raises(RecordError, match="holds no weights; give the run that was trained, the-first"):
        read_initial(str(tmp_path))
