"""Finding and reading runs: what is found, what is refused, and by which line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from comparison_examples import write_run
from examples import lock, read_back

from camp_bench.comparison import load_runs
from camp_bench.errors import RecordError
from camp_bench.records import write_arrays


def test_results_by_image_come_from_the_counts(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    ((run,), bad) = load_runs([folder], ks=(1, 7))
    assert not bad
    assert run.results.ks == (1, 5, 7, 10)
    with np.load(folder / "queries_test.npz") as stored:
        assert run.results.i2t_hits[:, 0].tolist() == (stored["i2t_b"] == 0).tolist()


def damage_json(folder: Path) -> str:
    (folder / "record.json").write_text("{", encoding="utf-8")
    return "not a run record"


def damage_bytes(folder: Path) -> str:
    file = folder / "queries_test.npz"
    file.write_bytes(file.read_bytes()[:-5] + b"wrong")
    return "checksum differs"


def lose_arrays(folder: Path) -> str:
    (folder / "queries_test.npz").unlink()
    return "is not there"


def swap_arrays(folder: Path) -> str:
    """Put another run's arrays in place, its checksum included."""
    import msgspec

    from camp_bench.records import write_record

    with np.load(folder / "queries_test.npz") as stored:
        arrays = dict(stored)
    arrays["i2t_b"] = np.zeros_like(arrays["i2t_b"])
    record = read_back(folder)
    files = {"queries_test.npz": write_arrays(folder / "queries_test.npz", arrays)}
    write_record(folder, msgspec.structs.replace(record, files=files))
    return "not of one run"


def drop_an_array(folder: Path) -> str:
    import msgspec

    from camp_bench.records import write_record

    with np.load(folder / "queries_test.npz") as stored:
        arrays = {name: stored[name] for name in stored.files if name != "t2i_n"}
    files = {"queries_test.npz": write_arrays(folder / "queries_test.npz", arrays)}
    write_record(folder, msgspec.structs.replace(read_back(folder), files=files))
    return "no t2i_n in there"


@pytest.mark.parametrize("damage", [damage_json, damage_bytes, lose_arrays, swap_arrays, drop_an_array])
def test_damage_is_named_and_skipped_only_when_asked(tmp_path: Path, damage) -> None:
    good, bad = write_run(tmp_path, model="camp"), write_run(tmp_path, model="scan")
    reason = damage(bad)
    with pytest.raises(RecordError, match=reason) as error:
        load_runs([tmp_path])
    assert "--skip-bad" in str(error.value)
    assert str(bad) in str(error.value)
    runs, left = load_runs([tmp_path], skip_bad=True)
    assert [run.folder for run in runs] == [good]
    assert [item.path.parent for item in left] == [bad]


def test_runs_without_per_query_results_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, evaluation={"queries": None})
    with pytest.raises(RecordError, match="keeps no per-query results"):
        load_runs([tmp_path])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_files_are_bad_records(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    (folder / "record.json").chmod(0)
    _, bad = load_runs([tmp_path], skip_bad=True)
    assert len(bad) == 1


def test_folder_that_cannot_be_looked_into_is_a_bad_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, locked = write_run(tmp_path, model="camp"), write_run(tmp_path / "locked")
    lock(monkeypatch, locked.parent)
    with pytest.raises(RecordError, match=r"locked: can't be read \(Permission denied\).*--skip-bad"):
        load_runs([tmp_path])
    runs, bad = load_runs([tmp_path], skip_bad=True)
    assert [run.folder for run in runs] == [good]
    assert [item.path for item in bad] == [locked.parent]
