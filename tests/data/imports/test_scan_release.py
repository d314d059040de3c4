"""Imports of SCAN's layout from folders and zips: round trips, resuming, damaged and hostile files."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from camp_bench.data import open_folder
from camp_bench.data.fingerprints import fingerprints
from camp_bench.data.folder.staging import partial_folder
from camp_bench.data.imports.scan_release import import_scan
from camp_bench.errors import DataError

IMAGES = {"train": 6, "dev": 2, "test": 3, "testall": 4}


def quiet(*_: object) -> None:
    pass


def features(split: str, dtype: str = "float32") -> np.ndarray:
    rng = np.random.default_rng(len(split))
    return rng.normal(size=(IMAGES[split], 2, 3)).astype(dtype)


def write_release(folder: Path, *splits: str, repeat: int = 1, dtype: str = "float32", ids: bool = True) -> Path:
    """Write splits in SCAN's layout, every image `repeat` times."""
    folder.mkdir(parents=True)
    for split in splits or ("train", "dev", "test"):
        np.save(folder / f"{split}_ims.npy", features(split, dtype).repeat(repeat, axis=0))
        lines = [f"caption {n} of {split} ." for n in range(5 * IMAGES[split])]
        (folder / f"{split}_caps.txt").write_text("\n".join(lines) + "\n")
        if ids:
            names = [f"{split}{n // repeat}" for n in range(IMAGES[split] * repeat)]
            (folder / f"{split}_ids.txt").write_text("\n".join(names) + "\n")
    return folder


def write_zip(path: Path, *folders: Path, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for folder in folders:
            for file in sorted(folder.iterdir()):
                archive.write(file, f"data/{folder.name}/{file.name}")
    return path


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("camp_bench.data.imports.scan_release.CHUNK_BYTES", 50)  # two rows of 24 bytes


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("kind", ["folder", "parent", "zip", "stored zip"])
@pytest.mark.parametrize("repeat", [1, 5])
def test_round_trip(kind: str, repeat: int, tmp_path: Path) -> None:
    folder = write_release(tmp_path / "up" / "mini_precomp", *IMAGES, repeat=repeat)
    source = {"folder": folder, "parent": folder.parent}.get(kind)
    if source is None:
        compression = zipfile.ZIP_STORED if kind.startswith("stored") else zipfile.ZIP_DEFLATED
        source = write_zip(tmp_path / "data.zip", folder, compression=compression)
    shapes = import_scan(source, tmp_path / "made", progress=quiet)
    assert shapes == {split: (n, 2, 3) for split, n in IMAGES.items()}
    before, after = open_folder(folder), open_folder(tmp_path / "made")
    for name in IMAGES:
        assert after.split(name).stored == "once"
        assert after.split(name).captions == before.split(name).captions
        assert after.split(name).image_ids == before.split(name).image_ids
        assert np.array_equal(after.split(name).features, features(name))
    assert fingerprints(before, "dev", "test", "testall") == fingerprints(after, "dev", "test", "testall")


def test_an_index_and_flat_features_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "src"
    folder.mkdir()
    np.save(folder / "test_ims.npy", np.arange(6, dtype=">f8").reshape(2, 3))
    (folder / "test_caps.txt").write_bytes("\ufeffcafé\r\nb\r\nc\r\n".encode())
    (folder / "test_index.txt").write_text("1\n0\n1\n")
    assert import_scan(folder, tmp_path / "made", progress=quiet) == {"test": (2, 1, 3)}
    split = open_folder(tmp_path / "made", ["test"]).split("test")
    assert split.captions == ("café", "b", "c")
    assert split.image_of.tolist() == [1, 0, 1]
    assert split.features.dtype == np.dtype("float32")
    assert split.features.ravel().tolist() == [0, 1, 2, 3, 4, 5]


def test_float16_and_choice_of_splits(tmp_path: Path) -> None:
    folder = write_release(tmp_path / "src", ids=False)
    import_scan(folder, tmp_path / "made", splits=["test", "dev"], dtype="float16", progress=quiet)
    made = open_folder(tmp_path / "made", ["dev", "test"])
    assert list(made.splits) == ["dev", "test"]
    assert np.array_equal(made.split("test").features, features("test").astype("float16"))
    assert not (tmp_path / "made" / "test_ids.txt").exists()
    import_scan(write_release(tmp_path / "half", dtype="float16"), tmp_path / "kept", progress=quiet)
    assert open_folder(tmp_path / "kept").split("test").features.dtype == np.float16


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("zipped", [False, True])
def test_it_goes_on_where_it_was_stopped(zipped: bool, tmp_path: Path) -> None:
    folder = write_release(tmp_path / "mini", repeat=5)
    source = write_zip(tmp_path / "a.zip", folder) if zipped else folder
    calls: list[tuple[str, int]] = []

    def stop(label: str, done: int, _total: int) -> None:
        calls.append((label, done))
        if (label, done) == ("importing train", 4):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_scan(source, tmp_path / "made", progress=stop)
    assert partial_folder(tmp_path / "made").is_dir()
    calls.clear()
    import_scan(source, tmp_path / "made", progress=lambda label, done, total: calls.append((label, done)))
    assert [done for label, done in calls if label == "importing train"] == [4, 5, 6]
    assert np.array_equal(np.load(tmp_path / "made" / "train_ims.npy"), features("train"))
    assert not partial_folder(tmp_path / "made").exists()


def refusal(source: Path, dest: Path, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        import_scan(source, dest, progress=quiet, **options)  # type: ignore[arg-type]
    assert not dest.exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_folders_are_refused_with_file_and_row(tmp_path: Path) -> None:
    dest = tmp_path / "made"
    folder = write_release(tmp_path / "src", repeat=5)
    values = features("test").repeat(5, axis=0)
    values[7, 1, 2] = np.nan
    np.save(folder / "test_ims.npy", values)
    assert f"{folder}/test_ims.npy: 15 rows and as many captions, but rows 5 to 9 aren't" in refusal(
        folder, dest, restart=True
    )
    values[5:10] = values[7]
    np.save(folder / "test_ims.npy", values)
    assert f"{folder}/test_ims.npy: row 5, region 1, feature 2 is nan" in refusal(folder, dest, restart=True)
    values[5:10] = 1e5
    np.save(folder / "test_ims.npy", values)
    assert "row 5, region 0, feature 0 is 100000.0" in refusal(folder, dest, dtype="float16", restart=True)
    np.save(folder / "test_ims.npy", values[:14])
    assert f"{folder}/test_caps.txt: 15 captions for 14 rows in test_ims.npy" in refusal(folder, dest, restart=True)
    np.save(folder / "test_ims.npy", values.astype(int))
    assert "test_ims.npy: holds int64 values" in refusal(folder, dest, restart=True)
    np.save(folder / "test_ims.npy", np.array([{}] * 15))
    assert "test_ims.npy: has shape (15,)" in refusal(folder, dest, restart=True)
    (folder / "test_ims.npy").write_bytes((folder / "dev_ims.npy").read_bytes()[:-1])
    assert "test_ims.npy: is cut off, its header announces (10, 2, 3)" in refusal(folder, dest, restart=True)
    (folder / "test_ims.npy").unlink()
    assert "has no test_ims.npy" in refusal(folder, dest, restart=True)
    np.save(folder / "test_ims.npy", features("test")[:, :, :2].repeat(5, axis=0))
    assert "features of sizes [2, 3]" in refusal(folder, dest, restart=True)
    assert "no split is called 'tets' (did you mean 'test'?)" in refusal(folder, dest, splits=["tets"])
    (tmp_path / "empty").mkdir()
    assert "has no {train,dev,test,testall}_ims.npy in it" in refusal(tmp_path / "empty", dest)


def test_a_header_is_never_believed(tmp_path: Path) -> None:
    folder = write_release(tmp_path / "src")
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 4294967296), }".ljust(117)
    (folder / "test_ims.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + head + b"\n")
    assert "is cut off" in refusal(folder, tmp_path / "made")
    (folder / "test_ims.npy").write_bytes(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + head)
    assert "not a whole .npy file" in refusal(folder, tmp_path / "made")


def test_several_datasets_need_a_name(tmp_path: Path) -> None:
    one, other = write_release(tmp_path / "up" / "f30k_precomp"), write_release(tmp_path / "up" / "coco_precomp")
    source = write_zip(tmp_path / "data.zip", one, other)
    for several in (source, tmp_path / "up"):
        assert "has several datasets, " in refusal(several, tmp_path / "made")
        message = refusal(several, tmp_path / "made", dataset="f30k_precom")
        assert "has no folder 'f30k_precom' (did you mean 'f30k_precomp'?)" in message
    import_scan(source, tmp_path / "made", dataset="coco_precomp", progress=quiet)
    assert (tmp_path / "made" / "test_ims.npy").is_file()


def test_damaged_zips_are_refused(tmp_path: Path) -> None:
    whole = write_zip(tmp_path / "whole.zip", write_release(tmp_path / "src"), compression=zipfile.ZIP_STORED)
    (bad := tmp_path / "bad.zip").write_bytes(whole.read_bytes()[:-100])
    assert f"{bad}: is truncated or damaged" in refusal(bad, tmp_path / "made")
    content = bytearray(whole.read_bytes())
    content[content.index(features("train").tobytes()) + 3] ^= 1
    bad.write_bytes(content)
    assert "train_ims.npy: is truncated or damaged (Bad CRC-32" in refusal(bad, tmp_path / "made")
    bad.write_bytes(b"")
    assert "is truncated or damaged" in refusal(bad, tmp_path / "made")


@pytest.mark.parametrize(
    "name", ["../test_ims.npy", "/abs/test_ims.npy", "a/../../test_ims.npy", "a\\..\\test_ims.npy"]
)
def test_no_entry_leaves_the_zip(name: str, tmp_path: Path) -> None:
    folder = write_release(tmp_path / "src")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"x/{file.name}")
        info = zipfile.ZipInfo(name)
        info.filename = name  # as a hostile program would write it
        archive.writestr(info, (folder / "test_ims.npy").read_bytes())
    before = sorted(tmp_path.rglob("*"))
    assert "leads out of the zip" in refusal(tmp_path / "a.zip", tmp_path / "made")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_name_twice_in_a_zip_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, features("test"))
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        warnings.simplefilter("ignore", UserWarning)
        for _ in range(2):
            archive.writestr("x/test_ims.npy", content.getvalue())
    assert "has 'x/test_ims.npy' twice" in refusal(tmp_path / "a.zip", tmp_path / "made")


def test_a_folder_that_cannot_be_looked_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:  # stops root as well, which permissions don't
        if folder == closed:
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(DataError, match=r"closed: can't be read \(Permission denied\)"):
        import_scan(tmp_path, tmp_path / "dest", progress=quiet)
