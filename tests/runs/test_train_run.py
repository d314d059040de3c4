"""Whole runs on tiny data: same seed, same result; what is recorded is what was done; nothing half-written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import safetensors.numpy
from examples import TINY

from camp_bench.config import Experiment
from camp_bench.data import open_dataset
from camp_bench.data.fingerprints import fingerprints
from camp_bench.data.vocabulary import SPECIAL_WORDS, Vocabulary
from camp_bench.errors import CampBenchError, CheckpointError, ConfigError, DataError, OutputError
from camp_bench.ranking.metrics import retrieval_metrics
from camp_bench.records import EpochLog, RunRecord, list_records, read_arrays, read_record
from camp_bench.runs.experiment import run_experiment
from camp_bench.runs.plan import RunPlan

SMALL = {"epochs": 2, "warmup_epochs": 1, "dim": 8, "word_dim": 6, "batch_size": 16, "min_count": 1, "decay_epochs": []}


class Listener:
    """Keeps what it is told; stops the run where asked to."""

    def __init__(self, stop_in: str = "") -> None:
        self.heard: list[str] = []
        self.stop_in = stop_in

    def on_stage(self, text: str) -> None:
        self.heard.append(f"stage {text}")

    def on_run(self, plan: RunPlan, number: int, total: int) -> None:
        self.heard.append(f"run {number}/{total} {plan.config.model}")
        if self.stop_in == plan.config.model:
            raise KeyboardInterrupt

    def on_step(self, epoch: int, epochs: int, step: int, steps: int, loss: float, pairs: int) -> None:
        self.heard.append(f"step {epoch}.{step}/{steps}")
        assert np.isfinite(loss)
        assert pairs > 0

    def on_tile(self, split: str, done: int, total: int) -> None:
        self.heard.append(f"tile {split} {done}/{total}")

    def on_epoch(self, log: EpochLog, epochs: int) -> None:
        self.heard.append(f"epoch {log.epoch}/{epochs} {log.negatives}")

    def on_record(self, folder: Path, record: RunRecord) -> None:
        self.heard.append(f"record {folder.name}")


def experiment(results: Path, **changes: Any) -> Experiment:
    base = Experiment(models=("vsepp",), data=TINY, device="cpu", results=str(results), settings=SMALL)
    return msgspec.structs.replace(base, **changes)


def one_run(results: Path, **changes: Any) -> tuple[Path, RunRecord]:
    ((folder, record),) = run_experiment(experiment(results, **changes), Listener(), fresh=True)
    return folder, record


@pytest.mark.parametrize("model", ["vsepp", "scan", "camp"])
def test_same_seed_gives_the_same_weights_ranks_and_metrics(tmp_path: Path, model: str) -> None:
    first, one = one_run(tmp_path / "a", models=(model,))
    second, two = one_run(tmp_path / "b", models=(model,))
    assert one.deterministic
    assert one.weights_sha256 == two.weights_sha256
    assert one.evaluations == two.evaluations
    arrays, again = (read_arrays(f, r, "queries_test.npz") for f, r in ((first, one), (second, two)))
    assert arrays.keys() == again.keys()
    assert all(np.array_equal(arrays[name], again[name]) for name in arrays)


def test_other_seed_gives_other_weights(tmp_path: Path) -> None:
    (_, one), (_, two) = run_experiment(experiment(tmp_path, seeds=(0, 1)), Listener())
    assert one.weights_sha256 != two.weights_sha256
    assert one.evaluation("test").task_fingerprint == two.evaluation("test").task_fingerprint


def test_record_tells_what_was_done(tmp_path: Path) -> None:
    folder, record = one_run(tmp_path)
    dataset = open_dataset(TINY)
    prints = fingerprints(dataset, "test")["test"]
    test = record.evaluation("test")
    assert read_record(folder) == record
    assert folder == tmp_path / record.run_id
    assert (test.task_fingerprint, test.features_fingerprint) == (prints.task, prints.features)
    assert record.dataset.train_fingerprint == prints.train
    assert record.dataset.captions == {"train": 60, "dev": 20, "test": 25}
    assert (test.images, test.captions, test.protocol) == (5, 25, "full")
    assert record.training.steps == 2 * 4  # 60 captions in batches of 16
    assert record.training.pairs_seen == 2 * 60
    assert [(log.epoch, log.negatives) for log in record.training.epochs] == [(1, "all"), (2, "hardest")]
    assert record.config.settings.dim == 8
    assert {item.name for item in record.timings} >= {"train_epoch", "dev_evaluation", "score_and_rank", "run"}
    dev = {log.epoch: log.dev_rsum for log in record.training.epochs}
    assert dev[record.training.best_epochs[0]] == max(value for value in dev.values() if value is not None)
    assert record.evaluation("dev").metrics["rsum"] == dev[record.training.best_epochs[0]]


def test_files_beside_the_record_hold_what_it_says(tmp_path: Path) -> None:
    folder, record = one_run(tmp_path)
    assert set(record.files) == {"queries_test.npz", "vocabulary.json", "weights.safetensors"}
    for name, checksum in record.files.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum
    weights = safetensors.numpy.load_file(folder / "weights.safetensors")
    assert sum(weight.size for weight in weights.values()) == record.training.parameters
    arrays = read_arrays(folder, record, "queries_test.npz")
    counts = [tuple(arrays[f"{way}_{name}"] for name in "bnp") for way in ("i2t", "t2i")]
    assert retrieval_metrics(counts[0], counts[1]) == record.evaluation("test").metrics
    assert arrays["image_of"].tolist() == np.repeat(np.arange(5), 5).tolist()
    assert arrays["i2t_top_ids"].shape == (5, 25)
    assert arrays["t2i_top_scores"].shape == (25, 5)


def test_first_place_of_a_query_with_rank_one_is_its_own(tmp_path: Path) -> None:
    folder, record = one_run(tmp_path)
    arrays = read_arrays(folder, record, "queries_test.npz")
    sure = (arrays["t2i_b"] == 0) & (arrays["t2i_n"] == 0)
    assert (arrays["t2i_top_ids"][sure, 0] == arrays["image_of"][sure]).all()
    assert (
        arrays["t2i_top_ids"][~sure & (arrays["t2i_b"] > 0), 0] != arrays["image_of"][~sure & (arrays["t2i_b"] > 0)]
    ).all()


def test_test_split_is_scored_once_and_last(tmp_path: Path) -> None:
    listener = Listener()
    list(run_experiment(experiment(tmp_path), listener))
    tiles = [i for i, text in enumerate(listener.heard) if text.startswith("tile test")]
    others = [i for i, text in enumerate(listener.heard) if text.startswith(("tile dev", "step", "epoch"))]
    assert min(tiles) > max(others)
    assert sum(text.startswith("tile test 1/") for text in listener.heard) == 1
    assert listener.heard[-1].startswith("record ")


def test_vocabulary_from_train_alone_is_recorded(tmp_path: Path) -> None:
    _, both = one_run(tmp_path / "a")
    _, alone = one_run(tmp_path / "b", vocab_from="train")
    assert alone.vocabulary.source == "train"
    assert alone.vocabulary.unknown_share["train"] == 0.0
    assert alone.vocabulary.unknown_share["dev"] > both.vocabulary.unknown_share["dev"] == 0.0


def test_words_start_from_the_vectors_given(tmp_path: Path) -> None:
    file = tmp_path / "vectors.txt"
    file.write_text("a 1 1 1 1 1 1\nthe 2 2 2 2 2 2\n")
    frozen = SMALL | {"learning_rate": 1e-30, "epochs": 1}
    folder, record = one_run(tmp_path / "r", word_vectors=str(file), settings=frozen)
    vocabulary = Vocabulary.from_json((folder / "vocabulary.json").read_bytes())
    weights = safetensors.numpy.load_file(folder / "weights.safetensors")["caption_encoder.words.weight"]
    assert weights[vocabulary.words.index("a")].tolist() == [1.0] * 6
    assert np.abs(weights[4:]).max() <= 2.0
    assert record.vocabulary.pretrained == len({"a", "the"} & set(vocabulary.words))
    assert record.vocabulary.word_vectors_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_words_start_from_rows_in_the_order_of_a_vocabulary(tmp_path: Path) -> None:
    file, words = tmp_path / "glove.npy", [*SPECIAL_WORDS, "a", "zebra"]
    vectors = np.arange(36, dtype=np.float32).reshape(6, 6)
    np.save(file, vectors)
    frozen = SMALL | {"learning_rate": 1e-30, "epochs": 1}
    with pytest.raises(CheckpointError, match=r"expected glove_vocab\.json or glove_vocab\.pkl beside it"):
        one_run(tmp_path / "r", word_vectors=str(file), settings=frozen)
    (tmp_path / "glove_vocab.json").write_text(Vocabulary(tuple(words)).to_json())
    folder, record = one_run(tmp_path / "r", word_vectors=str(file), settings=frozen)
    vocabulary = Vocabulary.from_json((folder / "vocabulary.json").read_bytes())
    weights = safetensors.numpy.load_file(folder / "weights.safetensors")["caption_encoder.words.weight"]
    for word in words[:5]:
        assert weights[vocabulary.words.index(word)].tolist() == vectors[words.index(word)].tolist()
    assert record.vocabulary.pretrained == 5


def test_stopped_run_leaves_finished_ones_and_no_half(tmp_path: Path) -> None:
    found = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(run_experiment(experiment(tmp_path, models=("vsepp", "camp")), Listener(stop_in="camp")))
    (folder,) = list_records(tmp_path)
    assert read_record(folder).config.model == "vsepp"
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_taken_run_id_gets_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datetime as dt

    class Stopped(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Stopped:
            return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)

    monkeypatch.setattr("camp_bench.runs.train_run.dt.datetime", Stopped)
    names = [one_run(tmp_path)[0].name for _ in range(3)]
    assert names == [f"20260102-030405-vsepp-toy-s0{end}" for end in ("", "-2", "-3")]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"data": "nowhere"}, DataError, "nowhere: no such folder"),
        ({"data": "toy:train=1,dev=2,test=2,regions=8,feature_size=16"}, DataError, "training needs 2 images or more"),
        ({"word_vectors": "none.txt"}, DataError, "can't be read"),
        ({"settings": SMALL | {"min_count": 9999}}, DataError, "none of .* words occurs 9999 times"),
    ],
)
def test_bad_input_leaves_nothing(
    tmp_path: Path, changes: dict[str, Any], error: type[CampBenchError], message: str
) -> None:
    with pytest.raises(error, match=message):
        list(run_experiment(experiment(tmp_path / "results", **changes), Listener()))
    assert list(tmp_path.glob("results/*")) == []


def test_results_that_cannot_be_written_are_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    listener = Listener()
    with pytest.raises(OutputError, match="can't be written"):
        list(run_experiment(experiment(tmp_path / "file"), listener))
    assert listener.heard == []


def test_model_starts_from_another_run_s_weights(tmp_path: Path) -> None:
    first, source = one_run(tmp_path / "a", models=("camp:cross_attention_new",))
    still = SMALL | {"learning_rate": 1e-30, "epochs": 1}
    folder, record = one_run(
        tmp_path / "b", models=("camp:gate_fusion_new",), preset="paper-f30k", init_from=str(first), settings=still
    )
    weights, own = (safetensors.numpy.load_file(home / "weights.safetensors") for home in (first, folder))
    assert all(np.array_equal(own[name], weights[name]) for name in weights)
    assert record.training.started_from is not None
    assert record.training.started_from.run_id == source.run_id
    assert record.training.started_from.weights_sha256 == source.weights_sha256
    assert record.training.started_from.tensors == len(weights)
    assert [log.stage for log in record.training.epochs] == ["fusion", "all"]
    assert source.training.started_from is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ("vsepp",)}, "is a run of camp; expected one of vsepp or its family"),
        ({"models": ("camp:cosine",)}, r"camp-toy-s0 \(camp\): it has [\w.]+, which camp:cosine has no place for"),
        ({"settings": {"dim": 4}}, "expected a run with the same dim and features"),
        ({"vocab_from": "train"}, "its vocabulary of .* words is not that of this run"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_any_work(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    first, _ = one_run(tmp_path / "a", models=("camp",))
    settings = SMALL | changes.pop("settings", {})
    listener = Listener()
    asked = {"models": ("camp",), **changes, "init_from": str(first), "settings": settings}
    with pytest.raises(ConfigError, match=message):
        list(run_experiment(experiment(tmp_path / "b", **asked), listener))
    assert not any(text.startswith(("step", "tile")) for text in listener.heard)
    assert list(tmp_path.glob("b/*")) == []


@pytest.mark.real
def test_real_features_and_captions_train_above_chance(tmp_path: Path, real_data: Path) -> None:
    settings = {"epochs": 3, "dim": 64, "batch_size": 64}
    _, record = one_run(tmp_path, data=str(real_data), settings=settings)
    test = record.evaluation("test")
    assert test.metrics["rsum"] > 2 * test.chance_rsum
    assert record.vocabulary.unknown_share["train"] < 0.2
