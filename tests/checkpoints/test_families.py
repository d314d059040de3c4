"""Which model a checkpoint is of, and every reason why it can be of none."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import SCAN, VSEPP, VseModel, save2

from camp_bench.checkpoints.families import Checkpoint, read_checkpoint
from camp_bench.errors import CheckpointError
from camp_bench.models.registry import build_model


def model(**opt: Any) -> VseModel:
    return VseModel(words=11, features=7, **opt)


def read(content: Any, folder: Path) -> Checkpoint:
    torch.save(content, folder / "c.pth.tar")
    return read_checkpoint(folder / "c.pth.tar")


def refused(content: Any, folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(content, folder)
    line = str(caught.value)
    assert line.startswith(f"{folder / 'c.pth.tar'}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("opt", "name", "options"),
    [
        (VSEPP, "vsepp", {"normalize_images": True, "use_abs": False, "negatives": "hardest"}),
        (VSEPP | {"max_violation": False, "no_imgnorm": True}, "vsepp:vse0", {"normalize_images": False}),
        (VSEPP | {"use_abs": True}, "vsepp", {"use_abs": True}),
        (VSEPP | {"measure": "order", "use_abs": True}, "vsepp:order", {"measure": "order", "use_abs": True}),
        (VSEPP | {"measure": "order", "max_violation": False}, "vsepp:order0", {"use_abs": False}),
        (SCAN, "scan:t2i-lse", {"lambda_attention": 9.0, "lambda_pooling": 6.0}),
        (
            SCAN | {"cross_attn": "i2t", "agg_func": "Mean", "lambda_softmax": 4},
            "scan:i2t-avg",
            {"lambda_attention": 4.0},
        ),
        (
            SCAN | {"bi_gru": False, "no_imgnorm": True},
            "scan:t2i-lse",
            {"bidirectional": False, "normalize_images": False, "normalize_words": True, "gru_layers": 1},
        ),
        (SCAN | {"no_txtnorm": True}, "scan:t2i-lse", {"normalize_words": False, "bidirectional": True}),
        ({"measure": "gate_fusion"}, "camp:gate_fusion", {"normalize_images": False, "even_rms": 0.0}),
        ({"measure": "gate_fusion", "no_imgnorm": False}, "camp:gate_fusion", {"normalize_images": True}),
        (SCAN | {"raw_feature_norm": "no_norm", "agg_func": "Max"}, "scan:t2i-max-none", {"norm": "none"}),
        (SCAN | {"raw_feature_norm": "softmax", "agg_func": "Sum"}, "scan:t2i-sum-softmax", {"norm": "softmax"}),
    ],
)
def test_options_tell_the_variant(opt: dict[str, Any], name: str, options: dict[str, Any], tmp_path: Path) -> None:
    found = read(model(**opt).content(), tmp_path)
    assert found.variant.name == name
    assert {key: getattr(found.options, key) for key in options} == options
    assert (found.shape.vocabulary_size, found.shape.feature_size) == (11, 7)


def test_facts_and_settings_come_from_the_file(tmp_path: Path) -> None:
    found = read(model(**SCAN).content(), tmp_path)
    settings = found.settings
    assert (settings.dim, settings.word_dim, settings.epochs, settings.decay_epochs) == (6, 5, 30, (15,))
    assert (settings.learning_rate, settings.batch_size, settings.margin, settings.clip_norm) == (0.0002, 128, 0.2, 2.0)
    assert settings.max_words == 1000
    assert (found.epoch, found.steps, found.best_rsum) == (12, 27000, 433.25)
    assert found.data == "/data3/precomp/f30k_precomp"
    assert found.told["cross_attn"] == "t2i"
    assert read(model(**SCAN, data_name="toy", data_path="").content(), tmp_path).data == "./toy"
    bare = model(**VSEPP).content() | {"epoch": "x", "best_rsum": float("nan"), "Eiters": -1}
    bare["opt"] = argparse.Namespace(**VSEPP, max_violation=True)
    found = read(bare, tmp_path)
    assert (found.epoch, found.steps, found.best_rsum, found.data) == (None, None, None, "unknown")


def test_prefixes_of_data_parallel_are_dropped(tmp_path: Path) -> None:
    made = model(**SCAN)
    plain = read(made.content(), tmp_path).weights
    made.image, made.text = ({f"module.{n}": w for n, w in part.items()} for part in (made.image, made.text))
    found = read(made.content(), tmp_path).weights
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_weight_norm_stays_direction_and_length(shape: tuple[int, ...], tmp_path: Path) -> None:
    made = model(**SCAN, precomp_enc_type="weight_norm")
    matrix = made.image.pop("fc.weight")
    made.image |= {"fc.weight_g": (3 * matrix.norm()).reshape(shape), "fc.weight_v": matrix}
    found = read(made.content(), tmp_path)
    assert getattr(found.options, "weight_norm") is True  # noqa: B009 (mypy doesn't know which options)
    built = build_model(found.variant, found.settings, found.options, found.shape, 0)
    built.load_state_dict(found.weights)
    torch.testing.assert_close(built.get_submodule("image_encoder").weight, 3 * matrix)


def test_nested_options_are_flattened_and_bounded(tmp_path: Path) -> None:
    content = model(**VSEPP).content()
    content["opt"] = vars(content["opt"]) | {"a": {"b": {"c": 1}}, "bad\n": 1, "nan": float("nan"), "list": [1]}
    content["opt"] |= {f"many{n}": n for n in range(1000)}
    told = read(content, tmp_path).told
    assert told["a.b.c"] == 1
    assert not {"bad\n", "nan", "list"} & told.keys()
    assert len(told) < 320


def broken(change: str) -> Any:
    """Return what torch.save is given for a checkpoint with one thing wrong."""
    made = model(**SCAN)
    content = made.content()
    if change == "no dict":
        return [1]
    if change in ("model", "opt"):
        del content[change]
    elif change == "one part":
        content["model"].pop()
    elif change == "opt a text":
        content["opt"] = "x"
    elif change == "part a list":
        content["model"][0] = [1]
    elif change == "nan":
        made.text["embed.weight"][3, 2] = float("nan")
    elif change == "counts":
        made.image["fc.bias"] = torch.arange(6)
    elif change == "two layers":
        made.text["rnn.weight_ih_l1"] = torch.ones(18, 6)
    elif change == "both names":
        made.image["module.fc.bias"] = torch.ones(6)
    elif change == "no tensor":
        made.image["fc.bias"] = 5
    elif change == "narrow":
        made.text["rnn.weight_hh_l0"] = torch.ones(18, 5)
    elif change == "zero weight_v":
        del made.image["fc.weight"]
        made.image |= {"fc.weight_v": torch.zeros(6, 7), "fc.weight_g": torch.ones(())}
    elif change == "weight_g":
        del made.image["fc.weight"]
        made.image |= {"fc.weight_v": torch.ones(6, 7), "fc.weight_g": torch.ones(5)}
    elif change == "misspelt":
        made.image["fc.weights"] = made.image.pop("fc.weight")
    elif change == "pictures":
        made.image["cnn.features.0.weight"] = torch.ones(2)
    else:
        made.opt |= OPTIONS[change]
        if change == "no cross_attn":
            made.opt.pop("cross_attn")
        content = made.content()
    return content


OPTIONS: dict[str, dict[str, Any]] = {
    "no cross_attn": {},
    "direction": {"cross_attn": "both"},
    "pooling": {"agg_func": None},
    "norm": {"raw_feature_norm": ["x"]},
    "lambda": {"lambda_softmax": "9"},
    "negative lambda": {"lambda_lse": -1.0},
    "margin": {"margin": "wide"},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("no dict", "no list 'model' of state dicts"),
        ("model", "no list 'model' of state dicts"),
        ("opt", "no options 'opt'"),
        ("opt a text", "no options 'opt'"),
        ("one part", "1 state dicts; expected 2 (VSE++, SCAN) or 3 (CAMP)"),
        ("part a list", "the image encoder is no state dict"),
        ("nan", "the text encoder: embed.weight holds NaN or infinity"),
        ("zero weight_v", "the image encoder: fc.weight_v is zero"),
        ("counts", "fc.bias is 6 of torch.int64; expected 6 floats"),
        ("two layers", "the text encoder: rnn.weight_ih_l1 is 18 x 6 of torch.float32; expected 18 x 12 floats"),
        ("both names", "with and without 'module.'"),
        ("no tensor", "fc.bias is a int; expected a tensor"),
        ("narrow", "rnn.weight_hh_l0 is 18 x 5 of torch.float32; expected 18 x 6 floats"),
        ("weight_g", "fc.weight_g is 5 of torch.float32; expected 1 floats"),
        ("misspelt", "the image encoder lacks fc.weight (did you mean 'fc.weights'?)"),
        ("pictures", "reads pictures through a network of its own"),
        ("no cross_attn", "two directions and no opt.cross_attn"),
        ("direction", "opt.cross_attn is 'both'; expected one of t2i, i2t"),
        ("pooling", "opt.agg_func is None; expected one of LogSumExp, Mean, Max, Sum"),
        ("norm", "opt.raw_feature_norm is None"),
        ("lambda", "opt.lambda_softmax is '9'; expected a number"),
        ("negative lambda", "opt makes no sense: model 'scan:t2i-lse': lambda_pooling"),
        ("margin", "opt makes no sense: margin"),
    ],
)
def test_what_is_no_checkpoint_of_a_family_is_one_line(change: str, message: str, tmp_path: Path) -> None:
    assert message in refused(broken(change), tmp_path)


@pytest.mark.parametrize(
    ("drop", "add", "opt", "message"),
    [
        ("img_key_fc.weight", {}, {}, "the scorer lacks img_key_fc.weight (did you mean"),
        ("fc_2.0.weight", {}, {}, "the scorer has 0 layers fc_2; expected 1"),
        ("fc_out.3.weight", {}, {}, "the scorer has 1 layers fc_out; expected 2"),
        ("reduce_2.linear.2.weight", {}, {}, "2 layers of 6 x 6 and 1 of 4 x 6 to pool with; expected two of each"),
        ("", {"reduce_2.linear.2.weight": torch.ones(3, 6)}, {}, "2 layers of 6 x 6 and 1 of 4 x 6"),
        (
            "",
            {"fc_2.0.weight": torch.ones(6, 6)},
            {},
            "the scorer: fc_2.0.weight is 6 x 6 of torch.float32; expected 6 x 12",
        ),
        (
            "",
            {"gate.weight": torch.ones(1, 6)},
            {},
            "the scorer has 1 weights that camp:gate_fusion_new has no place for",
        ),
        ("", {}, {"use_abs": True}, "a CAMP with opt.use_abs"),
        ("", {}, {"measure": "gate"}, "opt.measure is 'gate'; expected one of gate_fusion_new, gate_fusion"),
        ("", {}, {"measure": "cross_attention_new"}, "weights that camp:cross_attention_new has no place for"),
        ("", {}, {"measure": "cross_attention"}, "8 layers of 6 x 6 and 2 of 4 x 6 to pool with; expected two of each"),
    ],
)
def test_scorers_that_are_not_as_released_are_one_line(
    drop: str, add: dict[str, Any], opt: dict[str, Any], message: str, tmp_path: Path
) -> None:
    made = model(measure="gate_fusion_new")
    made.scorer.pop(drop, None)
    made.scorer |= add
    made.opt |= opt
    assert message in refused(made.content(), tmp_path)


def test_scorer_of_camp_is_not_told_by_prefixes(tmp_path: Path) -> None:
    made = model(measure="gate_fusion")
    plain = read(made.content(), tmp_path)
    assert plain.variant.name == "camp:gate_fusion"
    assert (plain.settings.stages, plain.settings.max_words) == ((), 47)
    made.scorer = {f"module.{name}": weight for name, weight in made.scorer.items()}
    found = read(made.content(), tmp_path).weights
    assert all(torch.equal(found[name], plain.weights[name]) for name in plain.weights)
    assert not any(name.startswith("heads") and name.endswith("bias") for name in found)


def test_torch_0_3_file_gives_the_same_model(tmp_path: Path) -> None:
    made = model(**SCAN)
    new = read(made.content(), tmp_path)
    save2(made.content(made.opt), tmp_path / "old.pth.tar")
    old = read_checkpoint(tmp_path / "old.pth.tar")
    assert (old.variant, old.settings, old.options, old.told) == (new.variant, new.settings, new.options, new.told)
    assert all(torch.equal(old.weights[name], new.weights[name]) for name in new.weights)
