"""Records are read strictly: what is foreign, missing, changed or unknown is refused."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from comparison_examples import write_run as write_compared
from examples import STARTED_RUN, sign, write_run

from camp_bench.comparison.loading import load_runs
from camp_bench.errors import RecordError
from camp_bench.records import read_arrays, read_record, write_arrays, write_file, write_record


def edit(file: Path, **changes: Any) -> None:
    file.write_bytes(sign(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a run record"),
        (b"[]", "not a run record"),
        (b'{"schema_version": 3}', "schema version 3, this camp-bench reads 1 to 2"),
        (b'{"schema_version": 2}', "its checksum differs"),
        (b"{}", "schema version None"),
        (b'{"schema_version": 1}', "not a run record"),
        (b"\xff\xfe", "not a run record"),
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "record.json").write_bytes(content)
    with pytest.raises(RecordError, match=message):
        read_record(tmp_path)


def test_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"record\.json: can't be read"):
        read_record(tmp_path)


@pytest.mark.parametrize("number", ["1e30", "1e400", "NaN"])
def test_a_number_that_is_none_for_its_field_is_refused(tmp_path: Path, number: str) -> None:
    write_run(tmp_path)
    file = tmp_path / STARTED_RUN / "record.json"
    file.write_text(re.sub(r'"feature_size": *\d+', f'"feature_size": {number}', file.read_text()))
    with pytest.raises(RecordError, match=r"not a run record|its checksum differs"):
        read_record(tmp_path / STARTED_RUN)


def test_unknown_field_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path)
    edit(tmp_path / STARTED_RUN / "record.json", extra=1)
    with pytest.raises(RecordError, match="extra"):
        read_record(tmp_path / STARTED_RUN)


@pytest.mark.parametrize("name", ["gone.npz", "../../etc/passwd"])
def test_file_that_is_not_beside_the_record_is_refused(tmp_path: Path, name: str) -> None:
    write_run(tmp_path)
    edit(tmp_path / STARTED_RUN / "record.json", files={name: "0" * 64})
    with pytest.raises(RecordError, match="is not there"):
        read_record(tmp_path / STARTED_RUN)


def test_changed_file_is_refused(tmp_path: Path) -> None:
    record = write_run(tmp_path)
    write_arrays(tmp_path / STARTED_RUN / "queries_test.npz", {"i2t_b": np.arange(4)})
    with pytest.raises(RecordError, match="checksum differs"):
        read_arrays(tmp_path / STARTED_RUN, record, "queries_test.npz")


def forged(run: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change the per-query arrays of a run; the record vouches for them."""
    with np.load(run / "queries_test.npz") as stored:
        arrays = dict(stored)
    change(arrays)
    checksum = write_arrays(run / "queries_test.npz", arrays)
    write_record(run, msgspec.structs.replace(read_record(run), files={"queries_test.npz": checksum}))
    return run


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("i2t_b", np.zeros(2**23, dtype=np.int32), r"i2t_b: has shape \(8388608,\) of int32; expected \(120,\)"),
        ("i2t_b", np.zeros(120), "of float64; expected .* whole numbers"),
        ("image_of", np.zeros((600, 1), dtype=np.int32), r"expected \(600,\)"),
        ("t2i_top_ids", np.zeros((600, 121), dtype=np.int32), r"expected \(600, 120 or fewer\)"),
        ("t2i_top_scores", np.zeros((600, 10), dtype=np.int32), "of floats"),
        ("more", np.zeros(2**23), "no per-query result is called so"),
    ],
)
def test_arrays_of_other_sizes_than_the_record_s_are_refused_by_their_headers(
    tmp_path: Path, name: str, value: Any, message: str
) -> None:
    run = forged(write_compared(tmp_path), lambda arrays: arrays.update({name: value}))
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match=message):
            read_arrays(run, read_record(run), "queries_test.npz")
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    kept, bad = load_runs([write_compared(tmp_path / "good"), run], skip_bad=True)
    assert (len(kept), len(bad)) == (1, 1)


def test_a_file_that_inflates_a_hundredfold_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path)  # its record says of no evaluation that the file is of it, so there are no sizes to hold it to
    run = forged(tmp_path / STARTED_RUN, lambda arrays: arrays.update(more=np.zeros(2**28 + 1, dtype=np.int8)))
    with pytest.raises(RecordError, match="more than 100 times as much"):
        read_arrays(run, read_record(run), "queries_test.npz")


@pytest.mark.parametrize("keep", [0, 100, 1000])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    run = write_compared(tmp_path)
    content = (run / "queries_test.npz").read_bytes()[:keep]
    checksum = write_file(run / "queries_test.npz", content)
    write_record(run, msgspec.structs.replace(read_record(run), files={"queries_test.npz": checksum}))
    with pytest.raises(RecordError, match="get the file again"):
        read_arrays(run, read_record(run), "queries_test.npz")
