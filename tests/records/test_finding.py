"""What a search for runs finds, by which path, and that it leaves nothing out in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from examples import STARTED, example_record, lock

from camp_bench.errors import RecordError
from camp_bench.records import find_records, list_records, new_run_folder, write_record


def put(folder: Path) -> Path:
    """Make a folder with a record and return the record's path."""
    folder.mkdir(parents=True)
    write_record(folder, example_record())
    return folder / "record.json"


def test_runs_are_found_at_any_depth_each_once_and_unfinished_ones_are_not(tmp_path: Path) -> None:
    second, first = put(tmp_path / "run"), put(tmp_path / "deep" / "er" / "run")
    below = put(tmp_path / "run" / "again")
    put(tmp_path / ".hidden.partial")
    assert find_records([tmp_path, second.parent, second]) == [first, below, second]
    assert find_records([second]) == [second]


def test_listing_finds_records_and_no_unfinished_ones(tmp_path: Path) -> None:
    put(tmp_path / "b")
    put(tmp_path / "a")
    (tmp_path / "empty").mkdir()
    with new_run_folder(tmp_path, STARTED, "c") as (_, folder):
        write_record(folder, example_record())
        assert [path.name for path in list_records(tmp_path)] == ["a", "b"]
    assert list_records(tmp_path / "nowhere") == []


@pytest.mark.parametrize(("name", "told"), [("nowhere", "no such folder or file"), ("empty", "no run in it")])
def test_a_place_without_runs_is_refused(tmp_path: Path, name: str, told: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match=f"{name}: {told}; expected a run's folder or a folder of runs"):
        find_records([tmp_path / name])


def test_linked_runs_are_found_once_and_by_their_own_path_where_that_is_met(tmp_path: Path) -> None:
    away = put(tmp_path / "elsewhere" / "run")
    own = put(tmp_path / "results" / "z")
    for name, target in (("a", own.parent), ("b", away.parent), ("c", away.parent)):
        (tmp_path / "results" / name).symlink_to(target)
    assert find_records([tmp_path / "results"]) == [tmp_path / "results" / "b" / "record.json", own]
    assert find_records([tmp_path / "results" / "c"]) == [tmp_path / "results" / "c" / "record.json"]


def test_links_in_circles_end(tmp_path: Path) -> None:
    own = put(tmp_path / "results" / "run")
    (own.parent / "up").symlink_to(tmp_path / "results")
    (tmp_path / "results" / "here").symlink_to(".")
    assert find_records([tmp_path / "results"]) == [own]


@pytest.mark.parametrize("target", ["gone", "link"])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, target: str) -> None:
    own = put(tmp_path / "run")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(RecordError, match=r"link: a link that can't be followed \(.*\), so runs may be missing"):
        find_records([tmp_path])
    told: list[Path] = []
    assert find_records([tmp_path], on_unread=lambda path, _: told.append(path)) == [own]
    assert told == [tmp_path / "link"]


def test_folders_that_cannot_be_looked_into_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, locked, deep = put(tmp_path / "run"), put(tmp_path / "locked"), put(tmp_path / "deep" / "er")
    lock(monkeypatch, locked.parent, deep.parent)
    for search in (lambda: find_records([tmp_path]), lambda: list_records(tmp_path)):
        with pytest.raises(RecordError, match=r"locked: can't be read \(Permission denied\), so runs may be missing"):
            search()
    told: list[str] = []
    assert find_records([tmp_path], on_unread=lambda path, _: told.append(path.name)) == [own]
    assert sorted(told) == ["er", "locked"]
    assert find_records([locked.parent], on_unread=lambda path, _: told.append(path.name)) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root looks into everything")
def test_permissions_of_the_system_count(tmp_path: Path) -> None:
    put(tmp_path / "run")
    locked = put(tmp_path / "locked").parent
    locked.chmod(0)
    try:
        with pytest.raises(RecordError, match="locked: can't be read"):
            find_records([tmp_path])
    finally:
        locked.chmod(0o700)
