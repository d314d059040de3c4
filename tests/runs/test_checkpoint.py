"""The authors' checkpoints as runs: the scores of their formulas, the recalls that their programs print, clear ends."""

from __future__ import annotations

import argparse
import os
import pickle
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from foreign import SCAN, VSEPP, Instance, VseModel, save2, write_folder, write_vocabulary
from torch import Tensor

from camp_bench.checkpoints.vocabularies import read_vocabulary
from camp_bench.cli import main
from camp_bench.data import open_folder
from camp_bench.data.tokenizers import tokenize
from camp_bench.records import list_records, read_arrays, read_record

REGIONS, FEATURES = 3, 7


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the command sets for its own process out of the other tests."""
    for name in ("OMP_WAIT_POLICY", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data") / "f30k_precomp"


@pytest.fixture(scope="module")
def words(data: Path) -> list[str]:
    return write_folder(data, regions=REGIONS, features=FEATURES)


def scan_scores(images: Tensor, captions: list[Tensor], opt: dict[str, Any]) -> Tensor:
    """Return SCAN's similarity pair by pair, as the paper's equations 1 to 10 and the released program have it."""

    def l2norm(x: Tensor, dim: int) -> Tensor:
        return x / (x.pow(2).sum(dim, keepdim=True).sqrt() + 1e-8)

    rows = []
    for image in images:
        row = []
        for states in captions:
            half = states.shape[1] // 2
            regions, words = image, (states[:, :half] + states[:, half:]) / 2 if opt["bi_gru"] else states
            regions, words = (
                x if opt[name] else l2norm(x, 1) for x, name in ((regions, "no_imgnorm"), (words, "no_txtnorm"))
            )
            query, context = (words, regions) if opt["cross_attn"] == "t2i" else (regions, words)
            table = context @ query.T
            if opt["raw_feature_norm"] == "clipped_l2norm":
                table = l2norm(torch.where(table > 0, table, 0.1 * table), 1)
            elif opt["raw_feature_norm"] == "softmax":
                table = torch.exp(table) / torch.exp(table).sum(1, keepdim=True)
            weights = torch.exp(table.T * opt["lambda_softmax"])
            attended = weights / weights.sum(1, keepdim=True) @ context
            cosine = (query * attended).sum(1) / (query.norm(dim=1) * attended.norm(dim=1)).clamp(min=1e-8)
            if opt["agg_func"] == "LogSumExp":
                row.append(torch.log(torch.exp(cosine * opt["lambda_lse"]).sum()) / opt["lambda_lse"])
            else:
                row.append({"Mean": cosine.mean(), "Max": cosine.max(), "Sum": cosine.sum()}[opt["agg_func"]])
        rows.append(torch.stack(row))
    return torch.stack(rows)


def vse_scores(images: Tensor, captions: list[Tensor], opt: dict[str, Any]) -> Tensor:
    """Return VSE++'s or the order measure's similarity."""
    image = images.mean(1)
    image = image if opt["no_imgnorm"] else image / image.norm(dim=1, keepdim=True)
    text = torch.stack([states[-1] for states in captions])
    text = text / text.norm(dim=1, keepdim=True)
    if opt["use_abs"]:
        image, text = image.abs(), text.abs()
    if opt["measure"] == "order":
        return -(text[None] - image[:, None]).clamp(min=0).pow(2).sum(2).sqrt()
    return image @ text.T


def camp_scores(images: Tensor, captions: list[Tensor], made: VseModel) -> Tensor:
    """Return CAMP's match score, as its released program computes each measure, before the last sigmoid."""
    weights = {name: weight.double() for name, weight in made.scorer.items()}
    measure, dim = made.opt["measure"], images.shape[2]
    new, gated = measure.endswith("_new"), measure.startswith("gate")

    def layer(name: str, x: Tensor) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0)

    def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        return (queries @ keys.T / dim**0.5).softmax(1) @ values

    def unit(x: Tensor) -> Tensor:
        return x / (x.norm(dim=-1, keepdim=True) + 1e-8)

    def pool(x: Tensor, number: int) -> Tensor:
        if measure == "cross_attention_new":
            return x.mean(0)
        name = f"reduce_{number}.linear"
        heads = layer(f"{name}.2", layer(f"{name}.0", x).relu()).softmax(0)
        return (heads.T @ x).mean(0)

    def score(image: Tensor, states: Tensor) -> Tensor:
        words = (states[:, :dim] + states[:, dim:]) / 2
        length = len(words)  # of what is given; padded words take, too
        if measure == "cross_attention_new":
            words = torch.cat((words, words.new_zeros(50 - len(words), dim)))
        query = "query" if new else "key"
        image_keys, text_keys = layer("img_key_fc", image), layer("txt_key_fc", words)
        to_image = attend(layer(f"img_{query}_fc", image), text_keys[:length], words[:length])
        to_text = attend(layer(f"txt_{query}_fc", words), image_keys, image)
        if new:
            to_image, to_text = (
                attend(layer(f"weighted_{s}_query_fc", x), layer(f"weighted_{s}_key_fc", x[:given]), x[:given])
                for s, x, given in (("txt", to_image, len(to_image)), ("img", to_text, length))
            )
        if new and gated:
            to_image, to_text = unit(to_image), unit(to_text)
        if gated:
            fused = []
            for own, message, name in ((image, to_image, "fc_1.0"), (words, to_text, "fc_2.0")):
                gate = (own * message).sum(1, keepdim=True).sigmoid()
                both = own + message if made.opt.get("fusion_func") == "sum" else torch.cat((own, message), 1)
                fused.append(layer(name, gate * both).relu() + own)
            to_image, to_text = fused
        pooled, text = pool(to_image, 1), pool(to_text, 2)
        if not gated:
            return torch.cosine_similarity(pooled, text, dim=0)
        if new:
            pooled, text = unit(pooled), unit(text)
        both = pooled + text if made.opt.get("fusion_func") == "sum" else torch.cat((pooled, text))
        return layer("fc_out.3", layer("fc_out.0", both).relu())[0]

    return torch.stack([torch.stack([score(image, caption) for caption in captions]) for image in images])


def printed_recalls(scores: np.ndarray) -> dict[str, float]:
    """Return R@1, 5, 10 both ways as the programs count them: sort, find the best of the five, count."""
    found = {}
    images, captions = scores.shape
    i2t = [min(np.argsort(-scores[i]).tolist().index(5 * i + k) for k in range(5)) for i in range(images)]
    t2i = [np.argsort(-scores[:, c]).tolist().index(c // 5) for c in range(captions)]
    for way, ranks in (("i2t", i2t), ("t2i", t2i)):
        for k in (1, 5, 10):
            found[f"{way}.R@{k}"] = 100.0 * len(np.where(np.array(ranks) < k)[0]) / len(ranks)
    return found


@pytest.mark.parametrize(
    ("opt", "name"),
    [
        (VSEPP, "vsepp"),
        (VSEPP | {"max_violation": False, "no_imgnorm": True}, "vsepp:vse0"),
        (VSEPP | {"measure": "order", "use_abs": True}, "vsepp:order"),
        (SCAN, "scan:t2i-lse"),
        (SCAN | {"cross_attn": "i2t", "agg_func": "Mean", "lambda_softmax": 4.0}, "scan:i2t-avg"),
        (SCAN | {"raw_feature_norm": "softmax", "agg_func": "Max", "lambda_softmax": 20.0}, "scan:t2i-max-softmax"),
        (SCAN | {"bi_gru": False, "no_imgnorm": True}, "scan:t2i-lse"),
        (SCAN | {"cross_attn": "i2t", "no_txtnorm": True}, "scan:i2t-lse"),
        ({"measure": "cross_attention"}, "camp:cross_attention"),
        ({"measure": "cross_attention_new"}, "camp:cross_attention_new"),
        ({"measure": "gate_fusion"}, "camp:gate_fusion"),
        ({"measure": "gate_fusion_new"}, "camp:gate_fusion_new"),
        ({"measure": "gate_fusion_new", "fusion_func": "sum"}, "camp:gate_fusion_new-sum"),
    ],
)
def test_scores_and_recalls_are_those_of_the_authors(
    opt: dict[str, Any], name: str, data: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = VseModel(words=len(words), features=FEATURES, **opt)
    file, vocab = tmp_path / "model_best.pth.tar", tmp_path / "vocab.pkl"
    opt = Instance("argparse", "Namespace", made.opt)
    if made.scorer:  # which reads its options from a file of several tables
        opt = Instance("easydict", "EasyDict", {}, {"model": Instance("easydict", "EasyDict", made.opt, made.opt)})
    save2(made.content(opt), file)
    write_vocabulary(vocab, words, "__main__")
    family = name.partition(":")[0]
    arguments = ["run", "--checkpoint", f"{family}={file}", "--vocab", str(vocab), "--data", str(data)]
    assert main([*arguments, "--device", "cpu", "--results", str(tmp_path / "r")]) == 0
    out = capsys.readouterr().out
    (folder,) = list_records(tmp_path / "r")
    record = read_record(folder)
    assert record.config.model == name
    assert f"{record.evaluation('test').metrics['rsum']:.1f}" in out

    test = open_folder(data).split("test")
    numbers = {word: number for number, word in enumerate(words)}
    ids = [[1, *(numbers.get(token, 3) for token in tokenize(text)), 2] for text in test.captions]
    images, captions = made.encode(np.array(test.features), ids)
    if family == "camp":
        expected = camp_scores(images, captions, made).numpy()
    else:
        expected = (scan_scores if family == "scan" else vse_scores)(images, captions, made.opt).numpy()
    metrics = record.evaluation("test").metrics
    recalls = printed_recalls(expected)
    assert {key: metrics[key] for key in recalls} == pytest.approx(recalls, abs=1e-9)
    assert 0 < recalls["i2t.R@10"] < 100  # else the comparison says little
    kept = read_arrays(folder, record, "queries_test.npz")
    for caption, (tops, scores) in enumerate(zip(kept["t2i_top_ids"], kept["t2i_top_scores"], strict=True)):
        np.testing.assert_allclose(scores, expected[tops, caption], rtol=2e-5, atol=2e-6)


def convertible(folder: Path, words: list[str], **opt: Any) -> tuple[Path, Path]:
    """Write a checkpoint and its vocabulary."""
    folder.mkdir(exist_ok=True)
    made = VseModel(words=len(words), features=FEATURES, **(SCAN | opt))
    torch.save(made.content(), folder / "scan.pth.tar")
    write_vocabulary(folder / "vocab.json", words, "json")
    return folder / "scan.pth.tar", folder / "vocab.json"


def test_converted_folder_is_a_run_for_evaluate(
    data: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, vocab = convertible(tmp_path / "in", words)
    out = tmp_path / "new" / "scan"
    assert main(["convert", str(file), "--vocab", str(vocab), "-o", str(out)]) == 0
    line = capsys.readouterr().out.strip()
    assert line.startswith(f"{out}: scan:t2i-lse, ")
    assert line.endswith(f" weights, {len(words)} words, saved at epoch 12")
    assert {path.name for path in out.iterdir()} == {"record.json", "weights.safetensors", "vocabulary.json"}
    parent = read_record(out)
    facts = parent.training.checkpoint
    assert facts is not None
    assert (facts.epoch, facts.steps, facts.best_rsum, facts.file) == (12, 27000, 433.25, "scan.pth.tar")
    assert facts.vocabulary_sha256 == read_vocabulary(vocab)[1]
    assert (parent.training.steps, parent.training.pairs_seen, parent.training.epochs) == (27000, None, ())
    assert parent.dataset.train_fingerprint is None

    common = ["--data", str(data), "--device", "cpu", "--results", str(tmp_path / "r")]
    assert main(["evaluate", str(out), *common]) == 0
    assert main(["run", "--checkpoint", f"scan:t2i-lse={file}", "--vocab", str(vocab), *common]) == 0
    evaluated, straight = (read_record(folder) for folder in list_records(tmp_path / "r"))
    if straight.parent is not None:
        evaluated, straight = straight, evaluated
    assert (evaluated.parent, straight.parent) == ("scan", None)
    assert evaluated.evaluations == straight.evaluations
    assert straight.weights_sha256 == straight.files["weights.safetensors"] == parent.weights_sha256
    home = tmp_path / "r" / straight.run_id
    assert main(["evaluate", str(home), "--split", "dev", *common]) == 0  # it holds weights and words itself
    assert straight.vocabulary.unknown_share["test"] > 0


def test_several_checkpoints_and_a_model_stand_in_one_table(
    data: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan, vocab = convertible(tmp_path / "a", words)
    other, _ = convertible(tmp_path / "b", words, cross_attn="i2t")
    arguments = ["run", "--models", "vsepp", "--checkpoint", f"scan={scan}", "--checkpoint", f"scan={other}"]
    arguments += ["--vocab", str(vocab), "--data", str(data), "--epochs", "1", "--device", "cpu"]
    assert main([*arguments, "--results", str(tmp_path / "r")]) == 0
    out = capsys.readouterr().out
    assert len(list_records(tmp_path / "r")) == 3
    assert out.count("protocol full: 12 images") == 1
    table = [line for line in out.splitlines() if line.startswith(("scan", "vsepp", "  "))]
    # the commands below it are one line each, to be copied, however long a path is
    assert max(len(line) for line in table if not line.startswith("  camp-bench ")) <= 80


def test_data_that_the_options_name_are_used_where_they_are(
    data: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, vocab = convertible(tmp_path, words, data_path=str(data.parent))
    arguments = ["run", "--checkpoint", f"scan={file}", "--vocab", str(vocab), "--results", str(tmp_path / "r")]
    assert main([*arguments, "--device", "cpu"]) == 0
    (folder,) = list_records(tmp_path / "r")
    assert read_record(folder).dataset.source == str(data)
    capsys.readouterr()
    convertible(tmp_path, words, data_path="/gone")
    assert main(arguments) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: /gone/f30k_precomp: no such folder")
    assert "--data says where it is now" in line


class Harmful:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.target}",)


def wrong(case: str, folder: Path, words: list[str], data: Path) -> list[str]:
    """Return a command with one thing wrong."""
    file, vocab = convertible(folder, words)
    convert = ["convert", str(file), "--vocab", str(vocab), "-o", str(folder / "out")]
    run = ["run", "--checkpoint", f"scan={file}", "--vocab", str(vocab), "--data", str(data)]
    run += ["--results", str(folder / "out")]
    if case == "crafted checkpoint":
        made = VseModel(words=len(words), features=FEATURES, **SCAN)
        torch.save(made.content(argparse.Namespace(a=Harmful(folder / "ran"))), file)
    elif case == "crafted old checkpoint":
        made = VseModel(words=len(words), features=FEATURES, **SCAN)
        content = made.content(argparse.Namespace(a=Harmful(folder / "ran")))
        torch.save(content, file, _use_new_zipfile_serialization=False)
    elif case == "crafted vocabulary":
        vocab.write_bytes(pickle.dumps({"word2idx": Harmful(folder / "ran")}, 2))
    elif case == "truncated":
        file.write_bytes(file.read_bytes()[:-500])
    elif case == "other vocabulary":
        write_vocabulary(vocab, words[:-1], "json")
    elif case == "no vocabulary":
        vocab.unlink()
    elif case == "there already":
        (folder / "out").mkdir()
    elif case == "a file in the way":
        (folder / "out").touch()
        convert[-1] = str(folder / "out" / "deeper")
    elif case == "other family":
        run[2] = f"vsepp={file}"
    elif case == "other variant":
        run[2] = f"scan:i2t-avg={file}"
    elif case == "no name":
        run[2] = str(file)
    elif case == "misspelt name":
        run[2] = f"scam={file}"
    elif case == "other features":
        run[run.index("--data") + 1] = "toy:train=4,dev=4,test=4,regions=8,feature_size=16"
    elif case == "no --vocab":
        del run[3:5]
    elif case == "too many":
        run += ["--vocab", "a", "--vocab", "b"]
    elif case == "lonely":
        del run[1:3]
    elif case == "epochs":
        run += ["--epochs", "3"]
    elif case == "unknown model to train":
        run += ["--models", "scna"]
    elif case == "protocol":
        run += ["--protocol", "f30k"]
    return run if case in RUN else convert


CONVERT = {
    "crafted checkpoint": "names posix.system, which no checkpoint or vocabulary needs; nothing was run",
    "crafted old checkpoint": "names posix.system, which no checkpoint or vocabulary needs; nothing was run",
    "crafted vocabulary": "names posix.system, which no checkpoint or vocabulary needs; nothing was run",
    "truncated": "damaged or cut short",
    "other vocabulary": "words, but",
    "no vocabulary": "no such file; expected a vocabulary",
    "there already": "out: can't be written (is there already)",
    "a file in the way": "can't be written (",
}
RUN = {
    "other family": "a checkpoint of scan:t2i-lse, not of vsepp; ask for scan:t2i-lse=",
    "other variant": "a checkpoint of scan:t2i-lse, not of scan:i2t-avg",
    "no name": "--checkpoint: got",
    "misspelt name": "unknown model 'scam' (did you mean 'scan'?)",
    "other features": "features of size 16, scan.pth.tar was trained on size 7",
    "no --vocab": "--vocab: got 0 for 1 checkpoint(s)",
    "too many": "--vocab: got 3 for 1 checkpoint(s)",
    "lonely": "--vocab: is that of a checkpoint, and there is none",
    "epochs": "--epochs: of no use with --checkpoint alone",
    "unknown model to train": "unknown model 'scna'",
    "protocol": "protocol: got 'f30k'",
}


@pytest.mark.parametrize(("case", "message"), {**CONVERT, **RUN}.items())
def test_mistakes_are_one_line_and_leave_nothing(
    case: str, message: str, data: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = wrong(case, tmp_path / "in", words, data)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    line = err.splitlines()[-1]
    assert line.startswith("error: ")
    assert message in line
    assert "Traceback" not in err
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "in" / "ran").exists()


def test_records_without_checkpoint_facts_still_read(tmp_path: Path) -> None:
    from examples import example_record

    encoded = msgspec.to_builtins(example_record())
    del encoded["training"]["checkpoint"]
    assert msgspec.convert(encoded, type(example_record())).training.checkpoint is None
