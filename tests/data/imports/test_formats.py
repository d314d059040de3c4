"""Every format of region features, written here after its public description, and read back number by number."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from camp_bench.data import open_folder
from camp_bench.data.imports.faults import Faults
from camp_bench.data.imports.formats import import_dataset
from camp_bench.data.imports.requests import ImportRequest
from camp_bench.errors import ConfigError, DataError

NUMBERS = (7, 101, 391895)
BOXES, SIZE = 4, 6


def features(number: int, boxes: int = BOXES, size: int = SIZE) -> np.ndarray[Any, Any]:
    return np.random.default_rng(number).normal(size=(boxes, size)).astype(np.float32)


def text_of(values: np.ndarray[Any, Any], dtype: str = "<f4") -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype=dtype).tobytes()).decode()


def name(number: int) -> str:
    return f"COCO_val2014_{number:012d}"


def captions(folder: Path) -> str:
    """Write the captions of all images and return the option that names them."""
    lines = (f"{name(number)}.jpg\tcaption {k} of {number}\n" for number in NUMBERS for k in range(5))
    (folder / "captions.tsv").write_text("".join(lines))
    return f"test={folder / 'captions.tsv'}"


def take(sources: Sequence[Path], dest: Path, **options: Any) -> dict[str, tuple[int, int, int]]:
    options.setdefault("captions", [captions(dest.parent)])
    return import_dataset(ImportRequest(sources=sources, dest=dest, progress=lambda *_: None, **options))


def bottom_up(folder: Path) -> Path:
    rows = [(str(n), "640", "480", str(BOXES), text_of(np.ones((BOXES, 4))), text_of(features(n))) for n in NUMBERS]
    return write_tsv(folder / "trainval.tsv", rows)


def lxmert(folder: Path) -> Path:
    rows = []
    for number in NUMBERS:
        ids, confidence = text_of(np.arange(BOXES), "<i8"), text_of(np.ones(BOXES))
        boxes, values = text_of(np.ones((BOXES, 4))), text_of(features(number))
        rows.append((name(number), "480", "640", ids, confidence, ids, confidence, str(BOXES), boxes, values))
    return write_tsv(folder / "val2014_obj36.tsv", rows)


def vinvl(folder: Path) -> Path:
    return write_tsv(folder / "features.tsv", [(str(n), str(BOXES), text_of(features(n))) for n in NUMBERS], index=True)


def vinvl_json(folder: Path) -> Path:
    entries = [{"num_boxes": BOXES, "features": text_of(features(n))} for n in NUMBERS]
    rows = [(str(n), json.dumps(entry)) for n, entry in zip(NUMBERS, entries, strict=True)]
    return write_tsv(folder / "features.tsv", rows, index=True)


def write_tsv(file: Path, rows: Sequence[Sequence[str]], *, index: bool = False) -> Path:
    lines = ["\t".join(fields) + "\n" for fields in rows]
    file.write_text("".join(lines))
    if index:
        offsets = np.cumsum([0, *map(len, lines[:-1])])
        file.with_suffix(".lineidx").write_text("".join(f"{offset}\n" for offset in offsets))
    return file


def hdf5(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py", reason="the extra 'hdf5' isn't installed")
    with h5py.File(folder / "features.h5", "w") as file:
        file["features"] = np.stack([features(number) for number in NUMBERS])
        file["image_ids"] = np.array([name(number).encode() for number in NUMBERS])
    return folder / "features.h5"


def hdf5_entries(folder: Path) -> Path:
    h5py = pytest.importorskip("h5py", reason="the extra 'hdf5' isn't installed")
    with h5py.File(folder / "coco_detections.hdf5", "w") as file:
        for number in NUMBERS:
            file[f"{number}_features"], file[f"{number}_boxes"] = features(number), np.ones((BOXES, 4))
    return folder / "coco_detections.hdf5"


def npz_folder(folder: Path) -> Path:
    (home := folder / "feats" / "val2014").mkdir(parents=True)
    for number in NUMBERS:
        padded = np.concatenate((features(number), np.zeros((2, SIZE), np.float32)))
        np.savez(home / f"{name(number)}.npz", x=padded, bbox=np.ones((BOXES + 2, 4), np.float32), num_bbox=BOXES)
    return folder / "feats"


def npy_folder(folder: Path) -> Path:
    (home := folder / "feats").mkdir()
    for number in NUMBERS:
        np.save(home / f"{number}.npy", features(number))
        np.save(home / f"{number}_info.npy", np.ones(3))
    return home


def uniter(folder: Path) -> Path:
    lmdb = pytest.importorskip("lmdb", reason="the extra 'lmdb' isn't installed")
    msgpack = pytest.importorskip("msgpack", reason="the extra 'lmdb' isn't installed")
    with lmdb.open(str(folder / "feat_numbb4"), map_size=2**20) as store, store.begin(write=True) as view:
        for number in NUMBERS:
            arrays = {
                "features": features(number),
                "norm_bb": np.ones((BOXES, 7), "<f2"),
                "conf": np.ones(BOXES, "<f2"),
            }
            packed = {
                key: {
                    b"nd": True,
                    b"type": array.dtype.str,
                    b"kind": b"",
                    b"shape": array.shape,
                    b"data": array.tobytes(),
                }
                for key, array in arrays.items()
            }
            view.put(f"coco_val2014_{number:012d}.npz".encode(), msgpack.packb(packed, use_bin_type=True))
        view.put(b"__keys__", msgpack.packb(["coco"]))
    return folder / "feat_numbb4"


def uniter_compressed(folder: Path) -> Path:
    lmdb = pytest.importorskip("lmdb", reason="the extra 'lmdb' isn't installed")
    with lmdb.open(str(folder / "feat_numbb4_compressed"), map_size=2**20) as store, store.begin(write=True) as view:
        for number in NUMBERS:
            np.savez_compressed(buffer := io.BytesIO(), features=features(number), norm_bb=np.ones((BOXES, 7)))
            view.put(f"coco_val2014_{number:012d}.npz".encode(), buffer.getvalue())
    return folder / "feat_numbb4_compressed"


FORMATS = (
    bottom_up,
    lxmert,
    vinvl,
    vinvl_json,
    hdf5,
    hdf5_entries,
    npz_folder,
    npy_folder,
    uniter,
    uniter_compressed,
)


@pytest.mark.parametrize("write", FORMATS, ids=lambda write: write.__name__)
def test_each_format_gives_its_numbers(write: Callable[[Path], Path], tmp_path: Path) -> None:
    source = write(tmp_path)
    assert take([source], tmp_path / "made") == {"test": (3, BOXES, SIZE)}
    split = open_folder(tmp_path / "made", ["test"]).split("test")
    assert np.array_equal(split.features, np.stack([features(number) for number in NUMBERS]))
    assert split.image_ids == tuple(f"{name(number)}.jpg" for number in NUMBERS)
    assert split.captions[5] == "caption 0 of 101"


def test_a_file_cut_off_at_a_line_s_end_is_found_by_its_index(tmp_path: Path) -> None:
    file = vinvl(tmp_path)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(DataError, match=r"features\.lineidx: has the offsets of 3 lines, and .* has 2 lines"):
        take([file], tmp_path / "made")


def test_rows_that_can_t_be_used_are_told_together_or_left_out(tmp_path: Path) -> None:
    file = bottom_up(tmp_path)
    good, broken, other = file.read_text().splitlines()
    twice = other.replace(text_of(features(391895)), text_of(features(1)))
    file.write_text(f"{good}\n{good}\n{broken[:-9]}\n{other}\n{twice}\n1\t2\n")
    with pytest.raises(DataError) as caught:
        take([file], tmp_path / "made")
    told = str(caught.value)
    assert told.startswith(f"{file}: line 3 (image 101): features isn't base64")
    for part in ("line 5 (image 391895): the same image as ", "line 6: has 2 columns, '1 2'", "--skip-bad leaves them"):
        assert part in told
    assert "line 2" not in told  # an equal repeat is no fault
    shapes = take([file], tmp_path / "made", skip_bad=True, faults=(faults := Faults(skip=True)))
    assert shapes == {"test": (1, BOXES, SIZE)}
    split = open_folder(tmp_path / "made", ["test"]).split("test")
    assert (split.image_ids, len(split.captions)) == ((f"{name(7)}.jpg",), 5)
    source = json.loads((tmp_path / "made" / "source.json").read_text())
    assert source["left_out_count"] == faults.count == len(source["left_out"]) == 4


def test_numbers_that_aren_t_finite_are_left_out_too(tmp_path: Path) -> None:
    (tmp_path / "feats").mkdir()
    for number in NUMBERS:
        values = features(number)
        values[0, 0] = np.nan if number == 7 else 0
        np.save(tmp_path / "feats" / f"{number}.npy", values)
    with pytest.raises(DataError, match="feature 0 is nan"):
        take([tmp_path / "feats"], tmp_path / "made")
    take([tmp_path / "feats"], tmp_path / "made", faults=Faults(skip=True))
    assert open_folder(tmp_path / "made", ["test"]).split("test").image_ids == tuple(
        f"{name(n)}.jpg" for n in (101, 391895)
    )


def scan_folder(folder: Path) -> Path:
    (home := folder / "f30k_precomp").mkdir()
    np.save(home / "test_ims.npy", np.stack([features(n) for n in range(4)]))
    lines = [f"caption {n}" for n in range(20)]
    lines[3], lines[5:10], lines[12] = "", ["\u200b"] * 5, "b'a dog'"
    (home / "test_caps.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (home / "test_ids.txt").write_text("a\nb\nc\nd\n")
    return home


def test_blank_captions_of_a_folder_are_left_out_with_images_that_have_no_other(tmp_path: Path) -> None:
    home = scan_folder(tmp_path)
    with pytest.raises(DataError, match=r"test_caps.txt: line 4 is empty; .*; 6 more faults: .* line 6 is"):
        take([home], tmp_path / "made", captions=())
    assert take([home], tmp_path / "made", captions=(), faults=Faults(skip=True)) == {"test": (3, BOXES, SIZE)}
    split = open_folder(tmp_path / "made", ["test"]).split("test")
    assert split.image_ids == ("a", "c", "d")
    assert np.array_equal(split.features, np.stack([features(n) for n in (0, 2, 3)]))
    assert split.captions[3:8] == ("caption 4", "caption 10", "caption 11", "caption 13", "caption 14")
    assert split.image_of.tolist() == [0] * 4 + [1] * 4 + [2] * 5


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PAR1....", "looks like parquet"),
        (b"\x80\x04\x95", "looks like a Python pickle, which can run code and is not read"),
        (b"\x1f\x8b\x08", "looks like gzip; unpack it first"),
        (b"\xff\xd8\xff\xe0", "looks like a JPEG picture"),
        (b'[{"a": 1}]', "looks like JSON; captions in JSON go to --captions"),
        (b"MATLAB 5.0 MAT-file", "looks like MATLAB's .mat"),
        (b"1 2 3\n4 5 6\n", "has 1 columns, '1 2 3.*; expected one of: 6, image_id image_w"),
    ],
)
def test_what_is_not_known_is_refused_with_what_it_looks_like(content: bytes, said: str, tmp_path: Path) -> None:
    (file := tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(DataError, match=said):
        take([file], tmp_path / "made")


def test_features_alone_need_captions_and_an_empty_folder_is_no_source(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has features alone"):
        take([bottom_up(tmp_path)], tmp_path / "made", captions=())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: expected one zip or folder in SCAN's layout"):
        take([tmp_path / "empty"], tmp_path / "made")


def test_other_layouts_of_hdf5_are_named(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="the extra 'hdf5' isn't installed")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["vectors"] = np.ones((2, 3))
    with pytest.raises(DataError, match="is HDF5 with vectors; expected 'features' and 'image_ids'"):
        take([tmp_path / "x.h5"], tmp_path / "made")


def test_names_that_fit_two_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.tsv").write_text("a/1.png\tx\ttest\nb/1.png\ty\ttest\n")
    (tmp_path / "feats").mkdir()
    np.save(tmp_path / "feats" / "1.npy", features(1))
    with pytest.raises(
        DataError, match=r"no row for 2 of 2 images of test|can't be told to be 'a/1\.png' and 'b/1\.png'"
    ):
        take([tmp_path / "feats"], tmp_path / "made", captions=[str(tmp_path / "c.tsv")])
