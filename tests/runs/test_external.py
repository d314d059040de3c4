"""Files of other systems: containers, matrices a direction, rows a caption, top lists, distances, judgements."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from examples import TINY
from run_examples import Quiet
from safetensors.numpy import save_file

from camp_bench.cli import main
from camp_bench.errors import ConfigError, DataError, NumericError
from camp_bench.ranking.positives import Found, make_positives, positive_metrics
from camp_bench.ranking.tiles import rank_matrix
from camp_bench.records import RunRecord, list_records, read_arrays, read_record
from camp_bench.report.exports import export_run
from camp_bench.runs.add import ExternalSource, add_external

N, M = 5, 25
IMAGE_OF = np.repeat(np.arange(N), 5)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def save(name: str, array: Any) -> Path:
    np.save(name, array)
    return Path(name)


def add(source: ExternalSource, data: str = TINY, **changes: Any) -> tuple[Path, RunRecord]:
    return add_external(source, data, "results", Quiet(), **changes)


def rsum(record: RunRecord) -> float:
    return record.evaluation("test").metrics["rsum"]


def npz(file: Path, array: np.ndarray[Any, Any]) -> None:
    np.savez_compressed(file, array)


def several(file: Path, array: np.ndarray[Any, Any]) -> None:
    np.savez(file, image_embeds=array, mask=np.ones((3, 3), np.float32))


def tensor(file: Path, array: np.ndarray[Any, Any]) -> None:
    torch.save(torch.from_numpy(array), file)


def tensors(file: Path, array: np.ndarray[Any, Any]) -> None:
    torch.save({"epoch": torch.tensor(3), "img_embs": torch.from_numpy(array)}, file)


def safe(file: Path, array: np.ndarray[Any, Any]) -> None:
    save_file({"x": array}, file)


def parquet_lists(file: Path, array: np.ndarray[Any, Any]) -> None:
    pa = pytest.importorskip("pyarrow", reason="the extra 'parquet' isn't installed")
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet' isn't installed")
    pq.write_table(pa.table({"embedding": pa.array(array.tolist(), pa.list_(pa.float32()))}), file)


def parquet_columns(file: Path, array: np.ndarray[Any, Any]) -> None:
    pa = pytest.importorskip("pyarrow", reason="the extra 'parquet' isn't installed")
    pq = pytest.importorskip("pyarrow.parquet", reason="the extra 'parquet' isn't installed")
    pq.write_table(pa.table({f"d{n}": array[:, n] for n in range(array.shape[1])}), file)


@pytest.mark.parametrize(
    ("write", "suffix"),
    [
        (npz, ".npz"),
        (several, ".npz"),
        (tensor, ".pt"),
        (tensors, ".pth"),
        (safe, ".safetensors"),
        (parquet_lists, ".parquet"),
        (parquet_columns, ".parquet"),
    ],
)
def test_vectors_in_every_container(home: Path, write: Callable[..., None], suffix: str) -> None:
    images, captions = draw(N, 7), draw(M, 7, seed=1)
    write(file := Path(f"i{suffix}"), images)
    _, plain = add(ExternalSource("a", images=save("i.npy", images), captions=save("c.npy", captions)))
    _, record = add(ExternalSource("a", images=file, captions=Path("c.npy")))
    assert record.evaluation("test").metrics == plain.evaluation("test").metrics


def test_one_of_several_arrays_is_named(home: Path) -> None:
    scores = draw(N, M)
    np.savez("s.npz", first=scores, second=-scores)
    with pytest.raises(
        DataError, match=r"s\.npz: holds first \(5, 25\), second \(5, 25\); .* name it: --scores s\.npz:NAME"
    ):
        add(ExternalSource("a", scores=Path("s.npz")))
    with pytest.raises(DataError, match="has no array 'third', only first"):
        add(ExternalSource("a", scores=Path("s.npz:third")))
    _, named = add(ExternalSource("a", scores=Path("s.npz:second")))
    assert rsum(named) == rsum(add(ExternalSource("a", scores=save("m.npy", -scores)))[1])


def test_containers_that_hold_code_or_rubbish_are_refused(home: Path) -> None:
    np.savez("o.npz", np.empty((N, M), dtype=object))
    with pytest.raises(DataError, match=r"o\.npz: isn't a whole \.npz of numbers"):
        add(ExternalSource("a", scores=Path("o.npz")))
    torch.save({"model": Quiet()}, "o.pt")
    with pytest.raises(DataError, match=r"o\.pt: holds no plain tensors"):
        add(ExternalSource("a", scores=Path("o.pt")))
    Path("s.safetensors").write_bytes(b"rubbish")
    with pytest.raises(DataError, match=r"s\.safetensors: holds no plain tensors"):
        add(ExternalSource("a", scores=Path("s.safetensors")))
    Path("s.npy").write_bytes(b"PK\x03\x04")
    with pytest.raises(DataError, match=r"s\.npy: not a whole \.npy file.* looks like a zip"):
        add(ExternalSource("a", scores=Path("s.npy")))


def test_a_matrix_a_direction(home: Path) -> None:
    i2t, t2i = draw(N, M), draw(N, M, seed=1)
    i2t_ranks, t2i_ranks = (rank_matrix(torch.from_numpy(scores), IMAGE_OF) for scores in (i2t, t2i))
    for name, turned in (("turned", t2i.T.copy()), ("same", t2i)):
        source = ExternalSource(name, scores_i2t=save("i.npy", i2t), scores_t2i=save("t.npy", turned))
        folder, record = add(source)
        arrays = read_arrays(folder, record, "queries_test.npz")
        np.testing.assert_array_equal(arrays["i2t_b"], i2t_ranks.i2t.b)
        np.testing.assert_array_equal(arrays["t2i_b"], t2i_ranks.t2i.b)
        np.testing.assert_array_equal(arrays["t2i_top_ids"], t2i_ranks.t2i.top_ids)
    with pytest.raises(ConfigError, match="files: got --scores-t2i; expected --scores alone"):
        add(ExternalSource("a", scores_t2i=Path("t.npy")))


def test_a_row_a_caption_is_taken_once_an_image(home: Path) -> None:
    images, captions = draw(N, 7), draw(M, 7, seed=1)
    _, once = add(ExternalSource("a", images=save("i.npy", images), captions=save("c.npy", captions)))
    five = images[IMAGE_OF]
    _, repeated = add(ExternalSource("a", images=save("f.npy", five), captions=Path("c.npy")))
    assert repeated.evaluation("test").metrics == once.evaluation("test").metrics
    scores = images @ captions.T
    _, matrix = add(ExternalSource("a", scores=save("s.npy", scores[IMAGE_OF])))
    assert rsum(matrix) == rsum(add(ExternalSource("a", scores=save("m.npy", scores)))[1])
    five[7] += 1
    with pytest.raises(DataError, match=r"f\.npy: has a row a caption, and row 7 isn't that of .* row 5"):
        add(ExternalSource("a", images=save("f.npy", five), captions=Path("c.npy")))


def test_distances_are_turned_or_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores = draw(N, M)
    scores[IMAGE_OF, np.arange(M)] += 3
    save("d.npy", -scores)
    assert main(["add", "--name", "far", "--data", TINY, "--scores", "d.npy"]) == 0
    assert "far below chance: are lower scores better? (add --lower-is-better)" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["add", "--name", "near", "--data", TINY, "--scores", "d.npy", "--lower-is-better"]) == 0
    assert "below chance" not in capsys.readouterr().out
    near = next(record for path in list_records("results") if (record := read_record(path)).config.model == "near")
    assert rsum(near) == rsum(add(ExternalSource("a", scores=save("s.npy", scores)))[1])
    assert near.external is not None
    assert near.external.measure == "lower is better"
    with pytest.raises(ConfigError, match="--lower-is-better: is about scores"):
        add(ExternalSource("a", images=Path("i"), captions=Path("c"), lower_is_better=True))


def test_an_infinite_score_is_refused_where_it_would_win_and_in_no_list_where_it_loses(home: Path) -> None:
    scores = draw(N, M)
    scores[3, 7] = np.inf
    with pytest.raises(NumericError, match=r"s\.npy: score is \+inf for image 3 and caption 7, an overflow"):
        add(ExternalSource("a", scores=save("s.npy", scores)))
    with pytest.raises(NumericError, match="score is -inf for image 3 and caption 7"):
        add(ExternalSource("a", scores=save("s.npy", -scores), lower_is_better=True))
    folder, record = add(ExternalSource("a", scores=save("s.npy", np.where(np.isinf(scores), -np.inf, scores))))
    assert record.evaluation("test").metrics["rsum"] > 0
    notes: list[str] = []
    files = export_run(folder, "ranx", Path("x"), on_note=notes.append)
    run = json.loads(files[0].read_text(), parse_constant=pytest.fail)
    assert (len(run["i3"]), len(run["i0"])) == (M - 1, M)
    assert "i2t: 1 candidates with a score of -inf are in no list" in notes
    assert "inf" not in export_run(folder, "trec", Path("t"))[0].read_text()


def test_exports_of_float64_keep_order_and_ties(home: Path) -> None:
    scores = 0.5 + 1e-12 * draw(N, M).astype(np.float64)
    scores[0, :4] = 0.5
    folder, _ = add(ExternalSource("fine", scores=save("s.npy", scores)))
    (run, *_), notes = export_run(folder, "trec", Path("t"), on_note=(told := []).append), told
    lists: dict[str, list[tuple[str, str]]] = {}
    for line in run.read_text().splitlines():
        query, _, item, _, score, _ = line.split()
        lists.setdefault(query, []).append((item, score))
    for row in range(N):
        order = sorted(range(M), key=lambda item: (-scores[row, item], item))
        assert [item for item, _ in lists[f"i{row}"]] == [f"c{item}" for item in order]
        read = {item: np.float32(score) for item, score in lists[f"i{row}"]}
        for one in range(M):
            for other in range(M):
                assert (read[f"c{one}"] > read[f"c{other}"]) == (scores[row, one] > scores[row, other])
    assert any("scores closer than float32 tells apart" in note for note in notes)
    exact = json.loads(export_run(folder, "ranx", Path("r"))[0].read_text())
    assert exact["i1"]["c3"] == scores[1, 3]


def test_captions_and_an_index_are_enough(home: Path) -> None:
    Path("clips").mkdir()
    Path("clips/test_caps.txt").write_text("".join(f"clip {n}\n" for n in range(6)))
    Path("clips/test_index.txt").write_text("0\n0\n1\n2\n2\n3\n")
    scores = draw(4, 6)
    _, record = add(ExternalSource("clip", scores=save("s.npy", scores)), "clips")
    expected = rank_matrix(torch.from_numpy(scores), np.array([0, 0, 1, 2, 2, 3]))
    assert record.evaluation("test").metrics["t2i.R@1"] == pytest.approx(100 * np.mean(expected.t2i.b == 0))
    assert record.dataset.stored == {"test": "without features"}
    Path("clips/test_index.txt").unlink()
    with pytest.raises(DataError, match=r"6 captions and no test_ims\.npy, not a multiple of 5"):
        add(ExternalSource("clip", scores=Path("s.npy")), "clips")
    Path("clips/test_caps.txt").unlink()
    with pytest.raises(DataError, match=r"no test_ims\.npy, test_caps\.txt"):
        add(ExternalSource("clip", scores=Path("s.npy")), "clips")


@pytest.mark.parametrize("kind", ["scores", "vectors"])
def test_judgements_count_as_they_do_for_a_run(home: Path, kind: str) -> None:
    Path("j.tsv").write_text("".join(f"{i}\t{c}\t{1 + (i * c) % 5}\n" for i in range(N) for c in range(0, M, 2)))
    images, captions = draw(N, 7), draw(M, 7, seed=1)
    scores = images @ captions.T
    files = (
        {"scores": save("s.npy", scores)}
        if kind == "scores"
        else {"images": save("i.npy", images), "captions": save("c.npy", captions), "measure": "dot"}
    )
    folder, record = add(ExternalSource("a", **files), relevance="j.tsv")  # type: ignore[arg-type]
    facts = record.evaluation("test").relevance
    assert facts is not None
    rows, columns, grades = np.loadtxt("j.tsv", unpack=True)
    true = grades >= 3
    positives = make_positives(
        np.append(IMAGE_OF, rows[true].astype(int)), np.append(np.arange(M), columns[true].astype(int)), M
    )
    order = np.argsort(-scores, axis=1, kind="stable")
    nothing = np.zeros(N, dtype=np.int64)
    found = Found(order, np.take_along_axis(scores, order, 1), nothing, nothing)
    expected = positive_metrics(found, positives)
    assert {name: facts.metrics[f"i2t.{name}"] for name in expected} == pytest.approx(expected)
    from scipy.stats import kendalltau

    tau = kendalltau(scores[rows.astype(int), columns.astype(int)], grades).statistic
    assert facts.correlations["kendall_tau"] == pytest.approx(tau, abs=0.02)
    assert "grades" in read_arrays(folder, record, "queries_test.npz")
    with pytest.raises(ConfigError, match="min_grade: means nothing without marks"):
        add(ExternalSource("a", **files), min_grade=2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["trec", "ranx"])
def test_complete_lists_give_the_ranks_of_the_scores(home: Path, form: str) -> None:
    scores = np.round(draw(N, M) * 3)  # with ties
    folder, record = add(ExternalSource("a", scores=save("s.npy", scores)))
    files = export_run(folder, form, Path("x"))
    again, read = add(ExternalSource("b", run_i2t=files[0], run_t2i=files[2]))
    assert read.evaluation("test").metrics == record.evaluation("test").metrics
    one, other = (read_arrays(where, what, "queries_test.npz") for where, what in ((folder, record), (again, read)))
    for key in one:
        np.testing.assert_array_equal(one[key], other[key])
    assert read.external is not None
    assert read.external.censored == {}


def write_lists(name: str, scores: np.ndarray[Any, Any], length: int, query: str, item: str) -> Path:
    lines = (
        f"{query.format(row)} Q0 {item.format(column)} 1 {scores[row, column]} x\n"
        for row in range(len(scores))
        for column in np.argsort(-scores[row])[:length]
    )
    Path(name).write_text("".join(lines))
    return Path(name)


def write_big(images: int = 30) -> str:
    Path("big").mkdir()
    Path("big/test_caps.txt").write_text("".join(f"text {n}\n" for n in range(5 * images)))
    Path("big/test_ids.txt").write_text("".join(f"COCO_val2014_{n + 100:012d}.jpg\n" for n in range(images)))
    return "big"


def test_a_rank_beyond_a_list_s_end_is_censored(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, scores = write_big(), draw(30, 150)
    _, whole = add(ExternalSource("a", scores=save("s.npy", scores)), data)
    i2t = write_lists("i.trec", scores, 12, "{}", "c{}")
    t2i = write_lists("t.trec", scores.T, 12, "c{}", "i{}")
    arguments = ["add", "--name", "engine", "--data", data, "--run-i2t", str(i2t), "--run-t2i", str(t2i)]
    assert main(arguments) == 0
    out = " ".join(capsys.readouterr().out.split())
    record = next(record for path in list_records("results") if (record := read_record(path)).config.model == "engine")
    metrics, expected = record.evaluation("test").metrics, whole.evaluation("test").metrics
    assert set(expected) - set(metrics) == {"i2t.MeanR", "t2i.MeanR"}
    for name in ("i2t.R@1", "i2t.R@5", "i2t.R@10", "t2i.R@1", "t2i.R@5", "t2i.R@10", "rsum"):
        assert metrics[name] == pytest.approx(expected[name])
    own = scores[np.arange(150) // 5, np.arange(150)]
    beyond = int(((scores > own).sum(0) >= 12).sum())
    assert record.external is not None
    assert record.external.censored["t2i"] == beyond > 0
    assert f"{beyond} of 150 t2i queries have their own candidate beyond the end" in out
    assert metrics["t2i.MedR"] <= expected["t2i.MedR"]
    assert main(["compare", "results"]) == 0
    short = write_lists("short.trec", scores.T, 9, "c{}", "i{}")
    with pytest.raises(DataError, match=r"caption \d+: its list ends after 9 of 30 candidates .* R@10 isn't known"):
        add(ExternalSource("a", run_i2t=i2t, run_t2i=short), data)
    Path("less.trec").write_text("".join(t2i.read_text().splitlines(keepends=True)[12:]))
    with pytest.raises(DataError, match="caption 0: its list ends after 0 of 30"):
        add(ExternalSource("a", run_i2t=i2t, run_t2i=Path("less.trec")), data)


def test_ids_of_a_split_are_known_in_several_forms(home: Path) -> None:
    data, scores = write_big(), draw(30, 150)
    results = set()
    for number, (image, caption) in enumerate((("i{}", "c{}"), ("{}", "{}"))):
        i2t = write_lists(f"i{number}", scores, 150, image, caption)
        t2i = write_lists(f"t{number}", scores.T, 30, caption, image)
        results.add(rsum(add(ExternalSource("a", run_i2t=i2t, run_t2i=t2i), data)[1]))
    own = {f"{row}": f"COCO_val2014_{row + 100:012d}.jpg" for row in range(30)}
    lines = [line.split() for line in Path("t1").read_text().splitlines()]
    Path("t2").write_text(
        "".join(f"{own[str(int(c) // 5)]}#{int(c) % 5} 0 {own[i]} 1 {s} x\n" for c, _, i, _, s, _ in lines)
    )
    lines = [line.split() for line in Path("i1").read_text().splitlines()]
    Path("i2").write_text("".join(f"{own[i]} 0 c{c} 1 {s} x\n" for i, _, c, _, s, _ in lines))
    results.add(rsum(add(ExternalSource("a", run_i2t=Path("i2"), run_t2i=Path("t2")), data)[1]))
    assert len(results) == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("i0 Q0 c0 1 0.5\n", "line 1: is 'i0 Q0 c0 1 0.5'; expected query, Q0, candidate"),
        ("i0 Q0 c0 1 nan x\n", "line 1: is .* a finite score"),
        ("i0 Q0 c0 1 1_0 x\n", "line 1: is .* a finite score"),
        ("i0 Q0 c0 1 1 x\ni0 Q0 c0 2 0 x\n", "line 2: i0 has c0 already"),
        ("i0 Q0 c25 1 1 x\n", "'c25' is no caption of 'test'; expected c0 to c24"),
        ("i٣ Q0 c2 1 1 x\n", "is no image of 'test'; expected i0 to i4"),
        ('{"i0": {"c0": "high"}}', "isn't ranx's JSON"),
        ("\ufeff\n", "has no results"),
    ],
)
def test_runs_that_can_t_be_used_are_named(home: Path, content: str, said: str) -> None:
    Path("r").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        add(ExternalSource("a", run_i2t=Path("r"), run_t2i=Path("r")))
