"""Another system as a record: ranks equal to those of the matrix in memory, folds, refusals, its place in tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from examples import TINY
from run_examples import Quiet

from camp_bench.cli import main
from camp_bench.config import protocols
from camp_bench.config.protocols import Protocol
from camp_bench.data import open_dataset
from camp_bench.errors import ConfigError, DataError, NumericError
from camp_bench.ranking.metrics import retrieval_metrics
from camp_bench.ranking.tiles import rank_matrix
from camp_bench.records import list_records, read_arrays, read_record
from camp_bench.runs.add import ExternalSource, add_external

IMAGES, CAPTIONS = 5, 25
IMAGE_OF = np.repeat(np.arange(IMAGES), 5)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(name: str, array: Any) -> Path:
    np.save(name, array)
    return Path(name)


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def add(source: ExternalSource, **changes: Any) -> Any:
    return add_external(source, TINY, "results", Quiet(), **changes)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_give_the_ranks_of_the_matrix_in_memory(home: Path, dtype: Any) -> None:
    scores = np.round(draw(IMAGES, CAPTIONS) * 4).astype(dtype)  # with many ties
    folder, record = add(ExternalSource("clip", scores=save("s.npy", scores)))
    assert record == read_record(folder)
    expected = rank_matrix(torch.from_numpy(scores.astype(np.float64)), IMAGE_OF)
    arrays = read_arrays(folder, record, "queries_test.npz")
    for way in ("i2t", "t2i"):
        ranks = getattr(expected, way)
        for name in ("b", "n", "p", "top_ids"):
            np.testing.assert_array_equal(arrays[f"{way}_{name}"], getattr(ranks, name))
    metrics = retrieval_metrics(expected.i2t.counts, expected.t2i.counts)
    assert record.evaluation("test").metrics == pytest.approx(metrics)


def test_scores_that_differ_beyond_float32_are_told_apart(home: Path) -> None:
    scores = np.full((IMAGES, CAPTIONS), 0.5)
    scores[IMAGE_OF, np.arange(CAPTIONS)] += 1e-12
    _, record = add(ExternalSource("fine", scores=save("s.npy", scores)))
    assert record.evaluation("test").metrics["rsum"] == 600


@pytest.mark.parametrize("measure", ["cosine", "dot"])
def test_vectors_give_the_ranks_of_their_products(home: Path, measure: Any) -> None:
    images, captions = draw(IMAGES, 7), draw(CAPTIONS, 7, seed=1)
    source = ExternalSource("clip", images=save("i.npy", images), captions=save("c.npy", captions), measure=measure)
    folder, record = add(source)
    if measure == "cosine":
        images, captions = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (images, captions))
    expected = rank_matrix(torch.from_numpy(images @ captions.T), IMAGE_OF)
    arrays = read_arrays(folder, record, "queries_test.npz")
    np.testing.assert_array_equal(arrays["t2i_b"], expected.t2i.b)
    np.testing.assert_array_equal(arrays["i2t_top_ids"], expected.i2t.top_ids)
    assert record.external is not None
    assert (record.external.measure, record.external.files) == (measure, {"images": "i.npy", "captions": "c.npy"})


@pytest.fixture
def two_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A protocol `two`: three images, then two."""
    folded = Protocol("two", 5, 25, 2, "two folds of three and two images")
    monkeypatch.setattr(protocols, "PROTOCOLS", (*protocols.PROTOCOLS, folded))


@pytest.mark.parametrize("kind", ["scores", "vectors"])
def test_folds_are_ranked_each_by_itself(home: Path, two_folds: None, kind: str) -> None:
    images, captions = draw(IMAGES, 7), draw(CAPTIONS, 7, seed=1)
    scores = images @ captions.T
    source = (
        ExternalSource("a", scores=save("s.npy", scores))
        if kind == "scores"
        else ExternalSource("a", images=save("i.npy", images), captions=save("c.npy", captions), measure="dot")
    )
    folder, record = add(source, protocol="two")
    parts = [
        rank_matrix(torch.from_numpy(scores[:3, :15]), IMAGE_OF[:15]),
        rank_matrix(torch.from_numpy(scores[3:, 15:]), IMAGE_OF[15:] - 3),
    ]
    means = [retrieval_metrics(part.i2t.counts, part.t2i.counts)["rsum"] for part in parts]
    assert record.evaluation("test").metrics["rsum"] == pytest.approx(np.mean(means))
    arrays = read_arrays(folder, record, "queries_test.npz")
    np.testing.assert_array_equal(arrays["t2i_b"], np.concatenate([part.t2i.b for part in parts]))
    assert set(arrays["t2i_top_ids"][15:].ravel()) == {3, 4}


def test_ranks_do_not_depend_on_the_memory_budget(home: Path) -> None:
    scores = save("s.npy", draw(IMAGES, CAPTIONS))
    first = add(ExternalSource("a", scores=scores))
    second = add(ExternalSource("a", scores=scores), memory_budget="1KB")
    one, other = (read_arrays(folder, record, "queries_test.npz") for folder, record in (first, second))
    assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((CAPTIONS, IMAGES), np.float32, "is 25 x 5; expected 5 x 25; transpose it: rows are images"),
        ((IMAGES, 24), np.float32, "is 5 x 24; expected 5 x 25"),
        ((IMAGES, CAPTIONS), np.int64, "expected two dimensions of float16, float32 or float64"),
        ((IMAGES, CAPTIONS, 1), np.float32, "expected two dimensions"),
        ((0, CAPTIONS), np.float32, "expected two dimensions"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(home: Path, shape: tuple[int, ...], dtype: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        add(ExternalSource("a", scores=save("s.npy", np.zeros(shape, dtype))))
    assert not Path("results").exists()


def test_files_that_are_no_arrays_are_refused(home: Path) -> None:
    with pytest.raises(DataError, match=r"no\.npy: can't be read"):
        add(ExternalSource("a", scores=Path("no.npy")))
    Path("t.npy").write_text("no array")
    with pytest.raises(DataError, match=r"t\.npy: not a whole \.npy file"):
        add(ExternalSource("a", scores=Path("t.npy")))
    file = save("cut.npy", draw(IMAGES, CAPTIONS))
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(DataError, match=r"cut\.npy: is cut off"):
        add(ExternalSource("a", scores=file))
    with pytest.raises(DataError, match=r"f\.npy: is in Fortran order"):
        add(ExternalSource("a", scores=save("f.npy", np.asfortranarray(draw(IMAGES, CAPTIONS)))))


def test_a_pickled_array_is_not_loaded(home: Path) -> None:
    array = np.empty((IMAGES, CAPTIONS), dtype=object)
    np.save("o.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match="expected two dimensions of float16"):
        add(ExternalSource("a", scores=Path("o.npy")))


def test_scores_without_a_rank_are_named_and_nothing_is_left(home: Path) -> None:
    scores = draw(IMAGES, CAPTIONS)
    scores[3, 7] = np.nan
    with pytest.raises(NumericError, match=r"s\.npy: .*NaN for image 3 and caption 7"):
        add(ExternalSource("a", scores=save("s.npy", scores)))
    vectors = draw(CAPTIONS, 3)
    vectors[4] = 0
    source = ExternalSource("a", images=save("i.npy", draw(IMAGES, 3)), captions=save("c.npy", vectors))
    with pytest.raises(NumericError, match=r"c\.npy: .*caption 4: its vector is zero"):
        add(source)
    assert not list(Path("results").iterdir())


def test_what_has_no_rank_in_a_fold_is_named_by_its_number_in_the_split(home: Path, two_folds: None) -> None:
    scores = draw(IMAGES, CAPTIONS)
    scores[4, 17] = np.nan
    with pytest.raises(NumericError, match=r"s\.npy: .*NaN for image 4 and caption 17 "):
        add(ExternalSource("a", scores=save("s.npy", scores)), protocol="two")
    vectors = draw(CAPTIONS, 3)
    vectors[21] = 0
    source = ExternalSource("a", images=save("i.npy", draw(IMAGES, 3)), captions=save("caption 1.npy", vectors))
    with pytest.raises(NumericError, match=r"caption 1\.npy: caption 21: its vector is zero"):
        add(source, protocol="two")


@pytest.mark.parametrize(
    ("name", "files", "said"),
    [
        ("a", {}, "files: got none; expected --scores alone"),
        ("a", {"images": Path("i")}, "files: got --images; expected"),
        ("a", {"scores": Path("s"), "captions": Path("c")}, "files: got --scores and --captions"),
        ("camp", {"scores": Path("s")}, "'camp' is a model of camp-bench"),
        ("scan:t2i-lse", {"scores": Path("s")}, "is a model of camp-bench"),
        ("", {"scores": Path("s")}, "name: got ''"),
        ("a\x1b[2J", {"scores": Path("s")}, "name: got"),
    ],
)
def test_names_and_choices_that_make_no_sense_are_refused(
    home: Path, name: str, files: dict[str, Path], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        add(ExternalSource(name, **files))


def test_vectors_of_two_sizes_are_refused(home: Path) -> None:
    source = ExternalSource("a", images=save("i.npy", draw(IMAGES, 3)), captions=save("c.npy", draw(CAPTIONS, 4)))
    with pytest.raises(DataError, match="vectors of size 3"):
        add(source)


def test_stands_in_the_same_table_as_a_model_of_ours(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save("s.npy", draw(IMAGES, CAPTIONS))
    assert main(["run", "--models", "vsepp", "--data", TINY, "--epochs", "1"]) == 0
    assert main(["add", "--name", "clip", "--data", TINY, "--scores", "s.npy", "--seed", "3"]) == 0
    assert "clip" in capsys.readouterr().out
    first, second = (read_record(folder) for folder in list_records("results"))
    assert first.evaluation("test").task_fingerprint == second.evaluation("test").task_fingerprint
    assert main(["compare", "results"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.count("5 images") >= 1
    assert "is another system, ranked by what it wrote (s.npy): its features and its training are not known" in out


def test_a_system_that_used_other_queries_is_marked(home: Path) -> None:
    save("s.npy", draw(IMAGES, CAPTIONS))
    assert main(["add", "--name", "dsl", "--data", TINY, "--scores", "s.npy", "--transductive"]) == 0
    (folder,) = list_records("results")
    assert read_record(folder).evaluation("test").transductive


def test_a_measure_that_is_none_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["add", "--name", "a", "--data", TINY, "--scores", "s.npy", "--measure", "l2"]) == 2
    assert "--measure: got 'l2', expected cosine or dot" in capsys.readouterr().err


def test_the_toy_data_s_own_truth_is_perfect(home: Path) -> None:
    split = open_dataset(TINY, ("test",)).split("test")
    scores = (split.image_of[None] == np.arange(split.n_images)[:, None]).astype(np.float16)
    _, record = add(ExternalSource("oracle", scores=save("s.npy", scores)))
    assert record.evaluation("test").metrics["rsum"] == 600
