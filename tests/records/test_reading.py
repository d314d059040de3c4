"""Records are read strictly: what is foreign, missing, changed or unknown is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples import STARTED_RUN, write_run

from camp_bench.errors import RecordError
from camp_bench.records import read_arrays, read_record, write_arrays


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a run record"),
        (b"[]", "not a run record"),
        (b'{"schema_version": 2}', "schema version 2, this camp-bench reads 1"),
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
