"""Records on disk: whole or absent, never overwritten, read strictly."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from examples import example_record

from camp_bench.errors import OutputError, RecordError
from camp_bench.records import (
    RunRecord,
    list_records,
    new_folder,
    new_run_folder,
    read_arrays,
    read_record,
    require_writable,
    write_arrays,
    write_file,
    write_record,
)

STARTED = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
RUN = "20260102-030405-run"


def write_run(results: Path, name: str = "run", **changes: Any) -> RunRecord:
    with new_run_folder(results, STARTED, name) as (found, folder):
        checksum = write_arrays(folder / "queries_test.npz", {"i2t_b": np.arange(3, dtype=np.int32)})
        record = example_record(run_id=found, files={"queries_test.npz": checksum}, **changes)
        write_record(folder, record)
    return record


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_record_reads_as_it_was_written(tmp_path: Path) -> None:
    record = write_run(tmp_path)
    assert record.run_id == RUN
    assert read_record(tmp_path / RUN) == record
    assert read_record(str(tmp_path / RUN / "record.json")) == record
    assert read_arrays(tmp_path / RUN, record, "queries_test.npz")["i2t_b"].tolist() == [0, 1, 2]


def test_failed_run_leaves_nothing(tmp_path: Path) -> None:
    def stopped_half_way() -> None:
        with new_run_folder(tmp_path, STARTED, "run") as (_, folder):
            write_file(folder / "half", b"x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped_half_way()
    assert list(tmp_path.iterdir()) == []


def test_error_inside_a_run_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="features"), new_run_folder(tmp_path, STARTED, "run"):
        raise FileNotFoundError("features gone")


def test_run_of_the_same_second_gets_a_number_and_overwrites_nothing(tmp_path: Path) -> None:
    first, second = write_run(tmp_path), write_run(tmp_path)
    assert [first.run_id, second.run_id] == [RUN, f"{RUN}-2"]
    assert read_record(tmp_path / RUN) == first


def test_runs_under_way_at_the_same_time_have_ids_of_their_own(tmp_path: Path) -> None:
    with (
        new_run_folder(tmp_path, STARTED, "run") as (first, one),
        new_run_folder(tmp_path, STARTED, "run") as (second, two),
    ):
        assert (first, second) == (RUN, f"{RUN}-2")
        write_file(one / "a", b"1")
        write_file(two / "a", b"2")
    assert [(tmp_path / name / "a").read_bytes() for name in (first, second)] == [b"1", b"2"]


@pytest.mark.parametrize(
    ("words", "run_id"),
    [
        (("scan:t2i-lse", "my data", "s0"), "20260102-030405-scan-t2i-lse-my-data-s0"),
        (("../x", "é"), "20260102-030405-..-x--"),
        (("long" * 100,), f"20260102-030405-{'long' * 26}"),
    ],
)
def test_run_id_is_a_plain_name_of_bounded_length(tmp_path: Path, words: tuple[str, ...], run_id: str) -> None:
    with new_run_folder(tmp_path, STARTED, *words) as (found, folder):
        assert found == run_id
        assert folder.parent == tmp_path


def test_new_folder_is_whole_or_absent_and_never_replaces_one(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "folder"
    with new_folder(place) as folder:
        (folder / "file").touch()
        assert not place.exists()
    assert [path.name for path in place.iterdir()] == ["file"]
    with pytest.raises(OutputError, match=r"folder: can't be written \(is there already\)"), new_folder(place):
        pass
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "deep" / "other"):
        raise KeyboardInterrupt
    assert [path.name for path in place.parent.iterdir()] == ["folder"]


def test_results_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OutputError, match=r"file: can't be written .* name another folder"):
        require_writable(file)
    with pytest.raises(OutputError, match="file: can't be written"):
        require_writable(file / "below")
    with pytest.raises(OutputError, match="below"), new_run_folder(file / "below", STARTED, "run"):
        pass


def test_asking_whether_results_can_be_written_makes_nothing(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")
    require_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_listing_finds_records_and_no_unfinished_ones(tmp_path: Path) -> None:
    write_run(tmp_path, "b")
    write_run(tmp_path, "a")
    (tmp_path / "empty").mkdir()
    with new_run_folder(tmp_path, STARTED, "c") as (_, folder):
        write_record(folder, example_record())
        assert [path.name[-1] for path in list_records(tmp_path)] == ["a", "b"]


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
    edit(tmp_path / RUN / "record.json", extra=1)
    with pytest.raises(RecordError, match="extra"):
        read_record(tmp_path / RUN)


@pytest.mark.parametrize("name", ["gone.npz", "../../etc/passwd"])
def test_file_that_is_not_beside_the_record_is_refused(tmp_path: Path, name: str) -> None:
    write_run(tmp_path)
    edit(tmp_path / RUN / "record.json", files={name: "0" * 64})
    with pytest.raises(RecordError, match="is not there"):
        read_record(tmp_path / RUN)


def test_changed_file_is_refused(tmp_path: Path) -> None:
    record = write_run(tmp_path)
    write_arrays(tmp_path / RUN / "queries_test.npz", {"i2t_b": np.arange(4)})
    with pytest.raises(RecordError, match="checksum differs"):
        read_arrays(tmp_path / RUN, record, "queries_test.npz")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_are_refused_when_written(tmp_path: Path, value: float) -> None:
    evaluation = msgspec.structs.replace(example_record().evaluations[0], metrics={"rsum": value})
    with pytest.raises(RecordError, match=r"evaluations\[0\]\.metrics\.rsum"):
        write_record(tmp_path, example_record(evaluations=(evaluation,)))
    assert list(tmp_path.iterdir()) == []


def test_equal_arrays_give_equal_files(tmp_path: Path) -> None:
    arrays = {"a": np.arange(5), "b": np.ones((2, 3), dtype=np.float32)}
    assert write_arrays(tmp_path / "x.npz", arrays) == write_arrays(tmp_path / "y.npz", arrays)


def test_split_without_evaluation_is_named() -> None:
    with pytest.raises(RecordError, match="no evaluation of split 'testall'"):
        example_record().evaluation("testall")
