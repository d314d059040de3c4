"""Folders in the making: what is resumed, what isn't trusted, and that nothing half-written takes the place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from camp_bench.data.folder.staging import Staging, file_identity, finite_as, partial_folder
from camp_bench.errors import DataError, OutputError

PLAN = {"source": "a"}
SHAPES = {"train": (4, 2, 3), "dev": (2, 2, 3)}


def rows(first: int, count: int) -> np.ndarray:
    return (np.arange(count * 6, dtype=np.float32) + 6 * first).reshape(count, 2, 3)


def quiet(*_: object) -> None:
    pass


def interrupted(dest: Path) -> Path:
    """Write two of four train rows and stop; return the partial folder."""
    with pytest.raises(KeyboardInterrupt), Staging(dest, PLAN) as staging:  # noqa: PT012 (the block is what is stopped)
        staging.add_features(SHAPES, "float32", quiet)
        staging.write("train", 0, rows(0, 1))
        staging.write("train", 2, rows(2, 1))
        raise KeyboardInterrupt
    return partial_folder(dest)


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    dest = tmp_path / "deep" / "made"
    with Staging(dest, PLAN) as staging:
        assert staging.add_features(SHAPES, "float32", quiet) == 0
        staging.write("train", 0, rows(0, 4))
        staging.write("dev", 0, rows(9, 2))
        assert not dest.exists()
        staging.finish({"train_caps.txt": "é\n"}, {"skipped": []})
    assert np.array_equal(np.load(dest / "train_ims.npy"), rows(0, 4))
    assert np.array_equal(np.load(dest / "dev_ims.npy"), rows(9, 2))
    assert (dest / "train_caps.txt").read_bytes() == "é\n".encode()
    assert json.loads((dest / "source.json").read_text())["made_from"] == PLAN
    assert [file.name for file in dest.parent.iterdir()] == ["made"]


def test_what_was_written_is_there_after_an_interruption(tmp_path: Path) -> None:
    interrupted(tmp_path / "made")
    assert not (tmp_path / "made").exists()
    with Staging(tmp_path / "made", PLAN) as staging:
        assert staging.add_features(SHAPES, "float32", quiet) == 2
        assert staging.done("train").tolist() == [True, False, True, False]
        staging.write("train", 1, rows(1, 1))
        staging.write("train", 3, rows(3, 1))
        staging.write("dev", 0, rows(0, 2))
        staging.finish({})
    assert np.array_equal(np.load(tmp_path / "made" / "train_ims.npy"), rows(0, 4))


def test_a_row_that_was_damaged_meanwhile_is_made_again(tmp_path: Path) -> None:
    home = interrupted(tmp_path / "made")
    file = home / "data" / "train_ims.npy"
    content = bytearray(file.read_bytes())
    content[-30] ^= 1  # in row 2 of 4: each takes 24 bytes
    file.write_bytes(content)
    with (home / "journal.jsonl").open("a") as journal:
        journal.write('["train", 3, 1, 5]\n["train", -1, 1, 0]\n["train", 0, 9, 0]\n["nothing"]\n["train", 1')
    with Staging(tmp_path / "made", PLAN) as staging:
        staging.add_features(SHAPES, "float32", quiet)
        assert staging.done("train").tolist() == [True, False, False, False]
        with pytest.raises(OutputError, match="another process is making it"):
            Staging(tmp_path / "made", PLAN)
    assert (home / "journal.jsonl").read_text().count("\n") == 1


def test_a_feature_file_of_another_shape_is_made_again(tmp_path: Path) -> None:
    interrupted(tmp_path / "made")
    with Staging(tmp_path / "made", PLAN) as staging:
        assert staging.add_features({"train": (4, 3, 2), "dev": (2, 3, 2)}, "float32", quiet) == 0


def test_another_plan_is_refused_unless_restarted(tmp_path: Path) -> None:
    home = interrupted(tmp_path / "made")
    with pytest.raises(DataError, match=r"source was 'a', now it is 'b'.*--restart"):
        Staging(tmp_path / "made", {"source": "b"})
    assert (home / "data" / "train_ims.npy").exists()
    (home / "plan.json").write_text("[1]")
    with pytest.raises(DataError, match=r"source was None, now it is 'a'.*--restart"):
        Staging(tmp_path / "made", PLAN)
    with Staging(tmp_path / "made", {"source": "b"}, restart=True) as staging:
        assert staging.add_features(SHAPES, "float32", quiet) == 0


def test_nothing_is_left_where_nothing_was_written(tmp_path: Path) -> None:
    with pytest.raises(DataError), Staging(tmp_path / "made", PLAN) as staging:  # noqa: PT012 (as above)
        staging.add_features(SHAPES, "float32", quiet)
        raise DataError("bad first row")
    assert list(tmp_path.iterdir()) == []


def test_rows_never_written_are_left_out(tmp_path: Path) -> None:
    with Staging(tmp_path / "made", PLAN) as staging:
        staging.add_features(SHAPES, "float16", quiet)
        staging.write("train", 1, rows(1, 1))
        staging.write("train", 3, rows(3, 1))
        staging.write("dev", 0, rows(0, 2))
        staging.finish({})
    kept = np.load(tmp_path / "made" / "train_ims.npy")
    assert kept.dtype == np.float16
    assert np.array_equal(kept, np.concatenate([rows(1, 1), rows(3, 1)]))


def test_a_folder_replaced_under_its_maker_is_not_taken(tmp_path: Path) -> None:
    with Staging(tmp_path / "made", PLAN) as first:
        first.add_features({"dev": (1, 2, 3)}, "float32", quiet)
        first.write("dev", 0, rows(0, 1))
        shutil.rmtree(first.home)
        first.home.with_name(f"{first.home.name}.lock").unlink()
        with Staging(tmp_path / "made", PLAN) as second:
            second.add_features({"dev": (1, 2, 3)}, "float32", quiet)
            with pytest.raises(OutputError, match="was removed or replaced meanwhile"):
                first.finish({})
            second.write("dev", 0, rows(5, 1))
            second.finish({})
    assert np.array_equal(np.load(tmp_path / "made" / "dev_ims.npy"), rows(5, 1))


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    with Staging(tmp_path / "made", PLAN) as staging:  # an empty folder is no loss
        staging.add_features({"dev": (1, 2, 3)}, "float32", quiet)
        staging.write("dev", 0, rows(0, 1))
        staging.finish({})
    with pytest.raises(OutputError, match="is there already, and nothing is overwritten"):
        Staging(tmp_path / "made", PLAN)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(OutputError):
            Staging(tmp_path / name, PLAN)


def test_a_full_disk_is_told_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))  # type: ignore[attr-defined]
    with (
        pytest.raises(OutputError, match="take 144 bytes more and the disk has 10 free"),
        Staging(tmp_path / "made", PLAN) as staging,
    ):
        staging.add_features(SHAPES, "float32", quiet)
    assert list(tmp_path.iterdir()) == []


def test_file_identity_tells_changed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    seen = set()
    for content in (b"a" * 10, b"a" * 11, b"b" * 11):
        file.write_bytes(content)
        seen.add(file_identity(file))
    monkeypatch.setattr("camp_bench.data.folder.staging.HASHED_WHOLE_BYTES", 4)
    monkeypatch.setattr("camp_bench.data.folder.staging.HASHED_END_BYTES", 2)
    seen.add(file_identity(file))
    file.write_bytes(b"b" * 10 + b"c")
    seen.add(file_identity(file))
    assert len(seen) == 5
    with pytest.raises(DataError, match="can't be read"):
        file_identity(tmp_path / "none")


def test_numbers_that_are_not_finite_are_named() -> None:
    values = np.zeros((2, 2, 3))
    values[1, 0, 2] = 7e4
    assert finite_as("float32", values, "f", 0).dtype == np.float32
    with pytest.raises(DataError, match=r"f: row 15, region 0, feature 2 is 70000.0; .*too large for float16"):
        finite_as("float16", values, "f", 10, 5)
    values[1, 0, 2] = np.nan
    with pytest.raises(DataError, match=r"feature 2 is nan; expected a finite number; extract that image again"):
        finite_as("float32", values, "f", 10)


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / ".dest.partial").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="is a link"):
        Staging(tmp_path / "dest", PLAN)
    (tmp_path / ".dest.partial").unlink()
    (tmp_path / ".dest.partial").mkdir()
    (tmp_path / ".dest.partial" / "data").symlink_to(elsewhere)
    with pytest.raises(OutputError, match="data: is a link"):
        Staging(tmp_path / "dest", PLAN)
    assert not list(elsewhere.iterdir())
