"""Top lists and judgements for other tools, read back as those tools read them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from comparison_examples import write_run

from camp_bench.errors import ConfigError, OutputError, RecordError
from camp_bench.records import read_record, write_arrays, write_record
from camp_bench.report.exports import export_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "results", images=7, captions=3)


def test_trec_files_hold_every_line(run: Path, tmp_path: Path) -> None:
    files = export_run(run, "trec", tmp_path / "out")
    assert [file.name for file in files] == ["i2t.run.trec", "i2t.qrels.trec", "t2i.run.trec", "t2i.qrels.trec"]
    with np.load(run / "queries_test.npz") as stored:
        ids, scores = stored["i2t_top_ids"], stored["i2t_top_scores"]
    lines = [line.split(" ") for line in files[0].read_text().splitlines()]
    assert len(lines) == ids.size
    assert all(len(line) == 6 for line in lines)
    assert [line[2] for line in lines[:10]] == [f"c{item}" for item in ids[0]]
    assert [np.float32(line[4]) for line in lines] == scores.ravel().tolist()
    assert [int(line[3]) for line in lines[:10]] == list(range(1, 11))
    assert files[1].read_text().splitlines()[:4] == ["i0 0 c0 1", "i0 0 c1 1", "i0 0 c2 1", "i1 0 c3 1"]
    assert files[3].read_text().splitlines()[:4] == ["c0 0 i0 1", "c1 0 i0 1", "c2 0 i0 1", "c3 0 i1 1"]


def test_ranx_files_are_dicts_of_dicts(run: Path, tmp_path: Path) -> None:
    export_run(run, "ranx", tmp_path / "out")
    ranked = json.loads((tmp_path / "out" / "t2i.run.json").read_text())
    qrels = json.loads((tmp_path / "out" / "t2i.qrels.json").read_text())
    assert list(ranked) == list(qrels) == [f"c{row}" for row in range(21)]
    assert qrels["c4"] == {"i1": 1}
    assert all(0 < len(candidates) <= 10 for candidates in ranked.values())


def test_csv_has_both_in_one(run: Path, tmp_path: Path) -> None:
    files = export_run(run, "csv", tmp_path / "out")
    with files[0].open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len(lines) == 70
    for line in lines:
        own = int(line["candidate"][1:]) // 3 == int(line["query"][1:])
        assert line["relevant"] == str(int(own))


def test_nothing_is_overwritten_or_left_half(run: Path, tmp_path: Path) -> None:
    export_run(run, "trec", tmp_path / "out")
    with pytest.raises(OutputError, match="is there already"):
        export_run(run, "csv", tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"):
        export_run(run, "csv", tmp_path / "file" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out", "results"]


def test_what_cannot_be_exported_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'trec'"):
        export_run(run, "terc", tmp_path / "out")
    with pytest.raises(RecordError, match="no evaluation of split 'dev'"):
        export_run(run, "trec", tmp_path / "out", split="dev")
    bare = write_run(tmp_path / "more", model="bare", evaluation={"queries": None})
    with pytest.raises(RecordError, match="keeps no per-query results"):
        export_run(bare, "trec", tmp_path / "out")


@pytest.mark.parametrize("form", ["trec", "ranx", "csv"])
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("i2t_top_ids", 10**9, "query 2 has candidate 1000000000 at place 2; expected 0 to 20"),
        ("t2i_top_ids", -1, "candidate -1 at place 2; expected 0 to 6"),
        ("i2t_top_scores", np.nan, "the score nan at place 2"),
        ("t2i_top_scores", np.inf, "has t2i scores of \\+inf"),
        ("image_of", -1, "images beyond the 7"),
        ("image_of", 7, "images beyond the 7"),
    ],
)
def test_lists_of_what_is_not_there_are_refused_and_nothing_is_written(
    run: Path, tmp_path: Path, form: str, name: str, value: float, message: str
) -> None:
    with np.load(run / "queries_test.npz") as stored:
        arrays = dict(stored)
    arrays[name][2 if name == "image_of" else (2, 1)] = value
    checksum = write_arrays(run / "queries_test.npz", arrays)
    write_record(run, msgspec.structs.replace(read_record(run), files={"queries_test.npz": checksum}))
    with pytest.raises(RecordError, match=message):
        export_run(run, form, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
