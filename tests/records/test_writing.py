"""What is written reads the same; what could not be read is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from examples import STARTED_RUN, example_record, write_run

from camp_bench.errors import RecordError
from camp_bench.records import read_arrays, read_record, write_arrays, write_record


def test_record_reads_as_it_was_written(tmp_path: Path) -> None:
    record = write_run(tmp_path)
    assert record.run_id == STARTED_RUN
    assert read_record(tmp_path / STARTED_RUN) == record
    assert read_record(str(tmp_path / STARTED_RUN / "record.json")) == record
    assert read_arrays(tmp_path / STARTED_RUN, record, "queries_test.npz")["i2t_b"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_are_refused_when_written(tmp_path: Path, value: float) -> None:
    evaluation = msgspec.structs.replace(example_record().evaluations[0], metrics={"rsum": value})
    with pytest.raises(RecordError, match=r"evaluations\[0\]\.metrics\.rsum"):
        write_record(tmp_path, example_record(evaluations=(evaluation,)))
    assert list(tmp_path.iterdir()) == []


def test_equal_arrays_give_equal_files(tmp_path: Path) -> None:
    arrays = {"a": np.arange(5), "b": np.ones((2, 3), dtype=np.float32)}
    assert write_arrays(tmp_path / "x.npz", arrays) == write_arrays(tmp_path / "y.npz", arrays)
