"""Judgements beyond a dataset's own pairs: files, the toy data's own truth, COCO's extended truth, and refusals."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from examples import TINY
from run_examples import Quiet, train_one

from camp_bench.cli import main
from camp_bench.data import open_dataset
from camp_bench.data.dataset import Split
from camp_bench.data.judgements import read_judgements
from camp_bench.errors import ConfigError, DataError
from camp_bench.records import array_name, read_arrays, read_record
from camp_bench.report.exports import export_run
from camp_bench.runs.evaluate_run import EvaluationRequest, evaluate_run


@pytest.fixture(scope="module")
def split() -> Split:
    return open_dataset(TINY, ("test",)).split("test")  # 5 images, 25 captions


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_one(tmp_path_factory.mktemp("runs"), "scan")


def coco_split() -> Split:
    return Split(
        name="testall",
        features=np.zeros((5000, 1, 1), dtype=np.float16),
        feature_rows=np.arange(5000),
        image_ids=tuple(str(i) for i in range(5000)),
        captions=("a",) * 25000,
        image_of=np.repeat(np.arange(5000), 5),
    )


def test_a_file_adds_to_the_own_pairs(split: Split, tmp_path: Path) -> None:
    file = tmp_path / "j.tsv"
    file.write_text("\ufeffimage_row\tcaption_row\tjudge1\tjudge2\n0\t7\t3\t4\n0\t8\t1\t2\n\n1\t0\t4\t2\n0\t0\t1\t1\n")
    judged = read_judgements(str(file), split, 3.0)
    assert judged.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    own = {(int(i), c) for c, i in enumerate(split.image_of)}
    wanted = own | {(0, 7), (1, 0)}
    assert {(k // 25, k % 25) for k in judged.i2t.keys.tolist()} == wanted
    assert {(k % 5, k // 5) for k in judged.t2i.keys.tolist()} == wanted
    assert judged.grades.tolist() == [3.5, 1.5, 3.0, 1.0]
    assert (judged.i2t.queries.tolist(), len(judged.t2i.queries)) == (list(range(5)), 25)


def test_the_toy_data_knows_what_else_is_true(split: Split) -> None:
    judged = read_judgements("data", split, 3.0)
    assert split.also_true is not None
    own = set(zip(split.image_of.tolist(), range(25), strict=True))
    more = {(image, caption) for image, caption in split.also_true.tolist()}
    assert more - own
    assert len(judged.i2t.keys) == len(own | more)
    assert len(judged.grades) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0\tx\t3\n0\ty\t3", "line 1: got"),
        ("0\t1\t3\nimage\tcaption\tmark", "line 2: got"),
        ("0\t1", r"line 1: got marks \[\]"),
        ("0\t1\tnan", "line 1: got marks"),
        ("5\t1\t3", "line 1: image row 5; expected 0 to 4, as test has 5"),
        ("0\t25\t3", "line 1: caption row 25; expected 0 to 24"),
        ("-1\t0\t3", "line 1: image row -1"),
        ("0\t1\t3\n0\t1\t4", "line 2: image 0 and caption 1 have marks already"),
        ("image\tcaption\tmark\n", "no judgements"),
        ("0 1 3", "line 1: got"),
        ("1_0\t1\t3", "line 1: got .* of the digits 0 to 9"),
        ("٣\t1\t3", "line 1: got .* of the digits 0 to 9"),
        ("0\t1\t1_0", "line 1: got marks"),
    ],
)
def test_lines_that_can_t_be_used_are_named(split: Split, tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "j.tsv").write_text(text)
    with pytest.raises(DataError, match=said):
        read_judgements(str(tmp_path / "j.tsv"), split, 3.0)


def test_files_that_can_t_be_read_are_named(split: Split, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere: can't be read .* or 'data', 'eccv' or 'cxc'"):
        read_judgements("nowhere", split, 3.0)
    (tmp_path / "b").write_bytes(b"0\t1\t\xff")
    with pytest.raises(DataError, match="not UTF-8"):
        read_judgements(str(tmp_path / "b"), split, 3.0)
    with pytest.raises(DataError, match="knows of no other pairs"):
        read_judgements("data", replace(split, also_true=None), 3.0)


@pytest.mark.parametrize(("name", "images", "captions"), [("eccv", 1261, 1332), ("cxc", 5000, 24972)])
def test_coco_s_extended_truth_has_its_own_queries(name: str, images: int, captions: int) -> None:
    judged = read_judgements(name, coco_split(), 3.0)
    assert (len(judged.i2t.queries), len(judged.t2i.queries)) == (images, captions)
    # a caption's own image is true of it in both sets, so rows are those of the package's order
    own = set((np.repeat(np.arange(5000), 5) + np.arange(25000) * 5000).tolist())
    assert len(own.intersection(judged.t2i.keys.tolist())) >= 0.95 * captions


@pytest.mark.parametrize("form", ["{}", "{:012d}.png", "val2017/{:012d}.jpg", "COCO_val2014_{:012d}"])
def test_coco_s_extended_truth_is_joined_by_number(form: str) -> None:
    split = coco_split()
    trusted = read_judgements("eccv", split, 3.0)
    assert "is taken on trust" in trusted.note
    data = Path(next(iter(eccv_caption_folders()))) / "data"
    own = json.loads((data / "original_caption_to_image.json").read_text())
    numbers = [own[str(caption)][0] for caption in np.load(data / "coco_test_ids.npy")[::5]]
    order = np.argsort(numbers)
    named = replace(split, image_ids=tuple(form.format(numbers[row]) for row in order))
    judged = read_judgements("eccv", named, 3.0)
    assert judged.note == ""
    images, captions = np.divmod(judged.i2t.keys, 25000)
    back = order[images] * 25000 + order[captions // 5] * 5 + captions % 5
    assert np.array_equal(np.sort(back), trusted.i2t.keys)
    captions, images = np.divmod(judged.t2i.keys, 5000)
    assert np.array_equal(np.sort((order[captions // 5] * 5 + captions % 5) * 5000 + order[images]), trusted.t2i.keys)


def eccv_caption_folders() -> list[str]:
    found = importlib.util.find_spec("eccv_caption")
    assert found is not None
    return list(found.submodule_search_locations or ())


def test_coco_s_extended_truth_is_refused_elsewhere(split: Split) -> None:
    with pytest.raises(DataError, match="ECCV Caption is about COCO's 5,000 test images"):
        read_judgements("eccv", split, 3.0)
    named = replace(coco_split(), image_ids=tuple(f"COCO_val2014_{i:012d}.jpg" for i in range(5000)))
    with pytest.raises(DataError, match="is not the number of one of COCO's 5,000"):
        read_judgements("cxc", named, 3.0)


def test_an_evaluation_records_them_with_scores_of_the_judged_pairs(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "j.tsv"
    file.write_text("".join(f"{i}\t{c}\t{1 + (i * c) % 4}\n" for i in range(5) for c in range(0, 25, 2)))
    home, record = evaluate_run(
        run, EvaluationRequest(device="cpu", relevance=str(file), memory_budget="20KB"), tmp_path / "r", Quiet()
    )
    facts = record.evaluation("test").relevance
    assert facts is not None
    assert facts == read_record(home).evaluation("test").relevance
    assert (facts.graded_pairs, facts.min_grade, facts.queries) == (65, 3.0, {"i2t": 5, "t2i": 25})
    assert facts.metrics["i2t.hit@10"] >= record.evaluation("test").metrics["i2t.R@10"]
    arrays = read_arrays(home, record, "queries_test.npz")
    for name, value in facts.metrics.items():
        assert arrays[array_name(name)].shape == (5 if name.startswith("i2t") else 25,)
        assert arrays[array_name(name)].mean() == pytest.approx(value)
    # the correlation is that of the saved scores with the marks
    home, _ = evaluate_run(run, EvaluationRequest(device="cpu", save_scores=True), tmp_path / "s", Quiet())
    scores = np.load(home / "scores_test.npy")
    rows, columns, grades = np.loadtxt(file, unpack=True)
    from scipy.stats import kendalltau

    expected = kendalltau(scores[rows.astype(int), columns.astype(int)], grades).statistic
    assert facts.correlations["kendall_tau"] == pytest.approx(expected, abs=1e-6)


def test_exported_judgements_are_those_of_the_evaluation(run: Path, tmp_path: Path) -> None:
    (file := tmp_path / "j.tsv").write_text("0\t7\t5\n1\t0\t4\n0\t9\t1\n2\t10\t4\n")
    home, _ = evaluate_run(run, EvaluationRequest(device="cpu", relevance=str(file)), tmp_path / "r", Quiet())
    notes: list[str] = []
    files = export_run(home, "trec", tmp_path / "all", on_note=notes.append)
    lines = files[1].read_text().splitlines()
    assert len([line for line in lines if not line.endswith(" 0")]) == 27  # 25 own and two judged, one of them own
    assert {"i0 0 c7 5", "i1 0 c0 4", "i0 0 c9 0", "i2 0 c10 4", "i0 0 c0 5"} <= set(lines)
    assert {"c7 0 i0 5", "c0 0 i1 4", "c9 0 i0 0"} <= set(files[3].read_text().splitlines())
    assert notes[0].startswith(f"qrels: own and judged pairs of {file}, with their marks, rounded")
    files = export_run(home, "ranx", tmp_path / "own", own_only=True, on_note=notes.append)
    assert all(set(true.values()) == {1} for true in json.loads(files[1].read_text()).values())
    assert notes[-1] == "qrels: the split's own pairs, grade 1"


def test_own_pairs_alone_give_the_hit_rate_that_recall_is(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "j.tsv"
    file.write_text("0\t0\t4\n")
    _, record = evaluate_run(run, EvaluationRequest(device="cpu", relevance=str(file)), tmp_path, Quiet())
    evaluation = record.evaluation("test")
    assert evaluation.relevance is not None
    for name in ("i2t.{}@1", "i2t.{}@5", "t2i.{}@1", "t2i.{}@5"):
        assert evaluation.relevance.metrics[name.format("hit")] == pytest.approx(evaluation.metrics[name.format("R")])
    assert evaluation.relevance.metrics["t2i.recall@1"] == evaluation.relevance.metrics["t2i.hit@1"]


def test_more_positives_than_a_record_s_top_list_get_longer_ones(run: Path, tmp_path: Path) -> None:
    data = "toy:train=2,dev=2,test=30,regions=8,feature_size=16"
    file = tmp_path / "j.tsv"
    file.write_text("".join(f"0\t{c}\t4\n" for c in range(120)))
    home, record = evaluate_run(run, EvaluationRequest(device="cpu", data=data, relevance=str(file)), tmp_path, Quiet())
    assert record.evaluation("test").relevance is not None
    assert read_arrays(home, record, "queries_test.npz")["i2t_top_ids"].shape == (30, 100)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"protocol": "coco-1k-5fold"}, "ranks in folds"),
        ({"rerank": 2}, "leave out --relevance or --rerank"),
        ({"min_grade": float("nan")}, "min_grade: got nan"),
        ({"min_grade": 2.0}, "min_grade: means nothing without marks"),
    ],
)
def test_what_does_not_go_together_is_refused(run: Path, tmp_path: Path, changes: dict[str, object], said: str) -> None:
    if "rerank" in changes:
        changes = changes | {"proposer": run}
    with pytest.raises(ConfigError, match=said):
        evaluate_run(run, EvaluationRequest(relevance="data", **changes), tmp_path, Quiet())  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_the_command_prints_them(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run), "--relevance", "data", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "relevance: data\n  i2t: 5 queries, " in out
    assert "\n       mAP@R " in out


@pytest.mark.real
def test_experts_judgements_of_real_pairs(real_data: Path) -> None:
    file = real_data / "test_expert_judgements.tsv"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    split = open_dataset(str(real_data), ("test",)).split("test")
    judged = read_judgements(str(file), split, 3.0)
    assert len(judged.i2t.keys) >= split.n_captions
    assert {round(3 * grade) for grade in judged.grades} <= set(range(3, 13))  # of three judges, 1 to 4 each
