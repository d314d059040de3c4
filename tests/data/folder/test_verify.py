"""What is found in dataset folders: nothing in good ones, everything at once in bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from camp_bench.data.folder.verify import verify_folder
from camp_bench.errors import DataError

IMAGES = {"train": 4, "dev": 2, "test": 3}


def features(split: str) -> np.ndarray:
    return np.random.default_rng(IMAGES[split]).normal(size=(IMAGES[split], 2, 3)).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with nothing wrong."""
    for split, count in IMAGES.items():
        np.save(tmp_path / f"{split}_ims.npy", features(split))
        (tmp_path / f"{split}_caps.txt").write_text("".join(f"{split} {n}\n" for n in range(5 * count)))
        (tmp_path / f"{split}_ids.txt").write_text("".join(f"{split}{n}\n" for n in range(count)))
    return tmp_path


def problems(folder: Path) -> list[str]:
    before = {file: file.read_bytes() for file in folder.iterdir()}
    found = [str(problem) for problem in verify_folder(folder, lambda *_: None)]
    assert {file: file.read_bytes() for file in folder.iterdir()} == before
    assert not any("\n" in text for text in found)
    return found


def test_nothing_is_wrong(folder: Path) -> None:
    assert problems(folder) == []
    np.save(folder / "dev_ims.npy", features("dev").repeat(5, axis=0))
    assert problems(folder) == []
    for kind in ("ims.npy", "caps.txt", "ids.txt"):
        (folder / f"testall_{kind}").write_bytes((folder / f"test_{kind}").read_bytes())
    assert problems(folder) == []


def test_numbers_of_images_are_no_ids(folder: Path) -> None:
    for split in IMAGES:
        (folder / f"{split}_ids.txt").write_text("".join(f"{n}\n" for n in range(IMAGES[split])))
    assert problems(folder) == []


def put(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def save(name: str, array: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: np.save(folder / name, array)


def with_value(split: str, value: float, *at: int) -> np.ndarray:
    array = features(split)
    array[at] = value
    return array


FIFTEEN = [f"test {n}" for n in range(15)]
CASES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "no captions": (lambda f: (f / "test_caps.txt").unlink(), ["error: test_caps.txt: can't be read (No such file"]),
    "no features": (lambda f: (f / "test_ims.npy").unlink(), ["error: test_ims.npy: can't be read (No such file"]),
    "rubbish": (put("test_ims.npy", "hello"), ["error: test_ims.npy: not a whole .npy file, it starts with b'hello'"]),
    "integers": (
        save("test_ims.npy", np.ones((3, 2, 3), int)),
        ["error: test_ims.npy: holds int64 values; expected float16 or float32"],
    ),
    "cut off": (
        lambda f: (f / "test_ims.npy").write_bytes((f / "test_ims.npy").read_bytes()[:-4]),
        ["error: test_ims.npy: is cut off, its header announces (3, 2, 3) float32"],
    ),
    "too long": (
        lambda f: (f / "test_ims.npy").write_bytes((f / "test_ims.npy").read_bytes() + b"1234"),
        ["warning: test_ims.npy: has 4 bytes more than its header announces"],
    ),
    "NaN": (
        save("test_ims.npy", with_value("test", np.nan, 1, 1, 1)),
        ["error: test_ims.npy: row 1 has a NaN or infinite feature"],
    ),
    "zeros": (
        save("test_ims.npy", with_value("test", 0, 2)),
        ["warning: test_ims.npy: 1 image is all zeros, the first is row 2"],
    ),
    "huge": (
        save("test_ims.npy", with_value("test", 1e30, 1, 1, 1)),
        ["warning: test_ims.npy: 1 image has a feature beyond 1,000,000, which sums can't hold; the first is row 1"],
    ),
    "twice in a split": (
        save("test_ims.npy", features("test")[[0, 1, 1]]),
        ["warning: test_ims.npy: 1 image has the features of an earlier one, the first is image 2, that of 1"],
    ),
    "counts": (save("test_ims.npy", features("test")[:2]), [
        "error: test_caps.txt: 15 captions for 2 rows in test_ims.npy",
        "error: test_ids.txt: 3 ids for 2 images; expected 2",
    ]),
    "no five": (
        lambda f: [np.save(f / "test_ims.npy", features("test").repeat(5, axis=0)[::-1][[0, 5, *range(2, 15)]])],
        ["error: test_ims.npy: 15 rows and as many captions, but rows 0 to 4 aren't 5 times the same image"],
    ),
    "latin-1": (
        lambda f: (f / "test_caps.txt").write_bytes("café\n".encode("latin-1") * 15),
        ["error: test_caps.txt: is not UTF-8, byte 0xe9 at offset 3 (line 1)"],
    ),
    "byte order mark": (
        put("test_caps.txt", "\ufeff" + "\n".join(FIFTEEN)),
        ["warning: test_caps.txt: begins with a byte order mark"],
    ),
    "wrong encoding": (
        put("test_caps.txt", "\n".join([*FIFTEEN[:14], "cafÃ©"])),
        ["test_caps.txt: 1 caption seems to have been read in a wrong encoding, the first is line 15, 'cafÃ©'"],
    ),
    "two bad captions": (
        put("test_caps.txt", "\n".join(["a", "", "b'c'", *FIFTEEN[3:]])),
        [
            "error: test_caps.txt: line 2 is empty; expected a caption on every line",
            "error: test_caps.txt: line 3 is printed Python bytes",
        ],
    ),
    "many bad captions": (
        put("test_caps.txt", "\n" * 8 + "\n".join(FIFTEEN[8:])),
        [f"error: test_caps.txt: line {n} is empty" for n in range(1, 6)]
        + ["error: test_caps.txt: and 3 more captions like these"],
    ),
    "duplicate captions": (
        put("test_caps.txt", "\n".join([*FIFTEEN[:13], "test 1", "test 2"])),
        ["warning: test_caps.txt: 2 of 15 captions repeat an earlier one, the first is line 14, 'test 1' of line 2"],
    ),
    "index": (
        put("test_index.txt", "0\n1\n3\n" + "x\n" * 12),
        ["error: test_index.txt: line 3 is '3'; expected the 0-based row of an image, 0 to 2"]
        + [f"error: test_index.txt: line {n} is 'x'" for n in range(4, 8)]
        + ["error: test_index.txt: and 9 more lines like these"],
    ),
    "ids": (
        put("test_ids.txt", "a\n\na\n"),
        ["error: test_ids.txt: line 2 is empty", "error: test_ids.txt: line 3 repeats 'a' of line 1"],
    ),
    "shared id": (
        put("test_ids.txt", "a\ntrain2\nb\n"),
        ["error: train_ids.txt, test_ids.txt: 1 image is in both, the first is 'train2'; expected every image in one"],
    ),
    "shared content": (
        save("test_ims.npy", np.concatenate([features("test")[:2], features("train")[3:]])),
        [
            "warning: test_ims.npy: 1 image has the very features of one of train, the first is image 2 (test2), that"
        ],
    ),
    "sizes": (
        save("test_ims.npy", features("test")[:, :, :2]),
        ["error: train_ims.npy, test_ims.npy: feature sizes 3 and 2; expected one size"],
    ),
    "kinds": (
        save("test_ims.npy", features("test")[:, :1].astype(np.float16)),
        [
            "warning: train_ims.npy, test_ims.npy: 2 and 1 regions an image",
            "warning: train_ims.npy, test_ims.npy: float32 and float16",
        ],
    ),
    "no split": (
        lambda f: [file.unlink() for file in f.glob("dev_*")],
        ["a run needs train, dev and test"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_all_that_is_wrong_is_told(case: str, folder: Path) -> None:
    change, expected = CASES[case]
    change(folder)
    found = problems(folder)
    assert len(found) == len(expected), found
    for text, beginning in zip(found, expected, strict=True):
        assert beginning in text


def test_problems_of_several_splits_are_told_together(folder: Path) -> None:
    (folder / "train_ims.npy").write_bytes(b"")
    (folder / "dev_caps.txt").write_bytes(b"\xff")
    np.save(folder / "test_ims.npy", with_value("test", np.inf, 0, 0, 0))
    assert [text.partition(":")[0] + text.split(":")[1] for text in problems(folder)] == [
        "error train_ims.npy",
        "error dev_caps.txt",
        "error test_ims.npy",
    ]


def test_what_is_no_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        list(verify_folder(tmp_path / "none", lambda *_: None))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no split"):
        list(verify_folder(tmp_path / "empty", lambda *_: None))
