"""A run's folder: whole or absent, never overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from examples import STARTED, STARTED_RUN, write_run

from camp_bench.errors import OutputError
from camp_bench.records import (
    folders,
    new_folder,
    new_run_folder,
    read_record,
    require_writable,
    whole_file,
    write_file,
    write_whole,
)


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
    assert [first.run_id, second.run_id] == [STARTED_RUN, f"{STARTED_RUN}-2"]
    assert read_record(tmp_path / STARTED_RUN) == first


def test_runs_under_way_at_the_same_time_have_ids_of_their_own(tmp_path: Path) -> None:
    with (
        new_run_folder(tmp_path, STARTED, "run") as (first, one),
        new_run_folder(tmp_path, STARTED, "run") as (second, two),
    ):
        assert (first, second) == (STARTED_RUN, f"{STARTED_RUN}-2")
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


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".place.partial").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="can't be written"), new_folder(tmp_path / "place") as folder:
        (folder / "file").touch()
    (tmp_path / f".{STARTED_RUN}.partial").symlink_to(elsewhere)
    (tmp_path / f"{STARTED_RUN}-2").symlink_to(tmp_path / "nowhere")
    with new_run_folder(tmp_path, STARTED, "run") as (run_id, folder):
        write_file(folder / "a", b"1")
    assert run_id == f"{STARTED_RUN}-3"
    assert not list(elsewhere.iterdir())


def test_a_file_is_whole_or_as_it_was_and_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, done = tmp_path / "file", []
    file.write_bytes(b"old")
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("fsync"), fsync(handle)))
    monkeypatch.setattr(Path, "replace", lambda path, to: (done.append("rename"), replace(path, to)))
    write_whole(file, b"new")
    assert file.read_bytes() == b"new"
    assert done == ["fsync", "rename", "fsync"]
    with pytest.raises(KeyboardInterrupt), whole_file(file) as stream:  # noqa: PT012 (the block is what is stopped)
        stream.write(b"half")
        raise KeyboardInterrupt
    assert file.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [file]


def test_a_run_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    flush, rename = folders.flush_to_disk, Path.rename
    monkeypatch.setattr(folders, "flush_to_disk", lambda path: (done.append(path.name), flush(path)))
    monkeypatch.setattr(Path, "rename", lambda path, to: (done.append("rename"), rename(path, to))[1])
    with new_folder(tmp_path / "place") as folder:
        (folder / "file").touch()
    assert done == ["file", ".place.partial", "rename", tmp_path.name]
