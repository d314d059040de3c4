"""A record asked for what it keeps."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from examples import example_record

from camp_bench.errors import RecordError
from camp_bench.records import read_record


def test_split_without_evaluation_is_named() -> None:
    with pytest.raises(RecordError, match="no evaluation of split 'testall'"):
        example_record().evaluation("testall")


def test_a_record_from_before_scores_were_checked_is_read(tmp_path: Path) -> None:
    record = example_record()
    content = msgspec.to_builtins(record)
    for item in content["evaluations"]:
        del item["score_check"]
    content |= {"files": {}, "schema_version": 1}
    (tmp_path / "record.json").write_bytes(msgspec.json.encode(content))
    assert [item.score_check for item in read_record(tmp_path).evaluations] == [None] * len(record.evaluations)
