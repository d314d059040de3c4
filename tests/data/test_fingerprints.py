"""Fingerprints: what changes them, what doesn't, what they find in the data, and the cache beside it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from camp_bench.data import fingerprints as module
from camp_bench.data.dataset import Dataset, Split
from camp_bench.data.fingerprints import (
    CACHE_NAME,
    differing_group,
    features_fingerprint,
    fingerprints,
    task_fingerprint,
    train_fingerprint,
)
from camp_bench.data.folder.layout import open_folder
from camp_bench.errors import DataError

N_IMAGES = 6
LONG_AGO = 1_500_000_000 * 10**9

texts = st.lists(st.text(max_size=6), min_size=1, max_size=6)


def make_split(
    captions: tuple[str, ...] = ("a", "b", "c"),
    image_ids: tuple[str, ...] = ("x", "y"),
    image_of: tuple[int, ...] = (0, 1, 1),
    **changes: object,
) -> Split:
    split = Split(
        name="test",
        features=np.arange(12, dtype=np.float32).reshape(2, 2, 3),
        feature_rows=np.arange(2, dtype=np.int64),
        image_ids=image_ids,
        captions=captions,
        image_of=np.array(image_of, dtype=np.int64),
    )
    return dataclasses.replace(split, **changes)  # type: ignore[arg-type]


def array(seed: int = 0, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((N_IMAGES, 2, 4)).astype(dtype)


def write_split(folder: Path, name: str, features: np.ndarray) -> Path:
    """Write features and captions; the file looks long finished, so that its fingerprint is kept."""
    file = folder / f"{name}_ims.npy"
    np.save(file, features)
    os.utime(file, ns=(LONG_AGO, LONG_AGO))
    captions = "".join(f"{name} {number}\n" for number in range(5 * N_IMAGES))
    (folder / f"{name}_caps.txt").write_text(captions)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(("train", "dev", "test")):
        write_split(tmp_path, name, array(seed))
    return tmp_path


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of splits whose features have been read."""
    names: list[str] = []
    real = module._hash_features

    def counting(split: Split) -> str:
        names.append(split.name)
        return real(split)

    monkeypatch.setattr(module, "_hash_features", counting)
    return names


# Task


@pytest.mark.parametrize(
    "other",
    [
        make_split(captions=("a", "b", "d")),
        make_split(captions=("b", "a", "c")),
        make_split(image_ids=("x", "z")),
        make_split(image_ids=("y", "x")),
        make_split(image_of=(0, 0, 1)),
        make_split(captions=("a", "b"), image_of=(0, 1)),
    ],
    ids=["caption", "order of captions", "id", "order of ids", "index", "fewer captions"],
)
def test_task_tells_apart(other: Split) -> None:
    assert task_fingerprint(other) != task_fingerprint(make_split())


def test_task_is_captions_index_and_ids_alone() -> None:
    other = make_split(
        name="testall",
        features=np.zeros((10, 1, 7), dtype=np.float16),
        feature_rows=np.array([0, 5], dtype=np.int64),
        stored="repeated 5 times",
        also_true=np.array([[0, 1]], dtype=np.int64),
    )
    assert task_fingerprint(other) == task_fingerprint(make_split())


def test_task_stays_the_same_between_versions() -> None:
    assert (
        task_fingerprint(make_split())
        == hashlib.sha256(
            b"camp-bench task 1\n"
            + b"".join(n.to_bytes(8, "little") + t for n, t in [(3, b""), (1, b"a"), (1, b"b"), (1, b"c")])
            + b"".join(n.to_bytes(8, "little") + t for n, t in [(2, b""), (1, b"x"), (1, b"y")])
            + b"".join(n.to_bytes(8, "little") for n in (0, 1, 1))
        ).hexdigest()
    )


@given(st.lists(st.text(min_size=1, max_size=6), min_size=2, max_size=5), st.data())
def test_moving_a_boundary_between_captions_changes_the_task(captions: list[str], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(captions) - 2))
    moved = [*captions]
    moved[at], moved[at + 1] = captions[at] + captions[at + 1][0], captions[at + 1][1:]
    index = (0,) * len(captions)
    assert task_fingerprint(make_split(captions=tuple(moved), image_of=index)) != task_fingerprint(
        make_split(captions=tuple(captions), image_of=index)
    )


@given(texts, texts, texts, texts)
def test_equal_task_means_equal_texts(
    captions: list[str], ids: list[str], captions2: list[str], ids2: list[str]
) -> None:
    one = make_split(tuple(captions), tuple(ids), (0,) * len(captions))
    two = make_split(tuple(captions2), tuple(ids2), (0,) * len(captions2))
    assert (task_fingerprint(one) == task_fingerprint(two)) == ((captions, ids) == (captions2, ids2))


# Features


def test_features_tell_values_shape_and_dtype_apart() -> None:
    base = make_split()
    changed = base.features.copy()
    changed[1, 1, 2] += 1
    others = [
        changed,
        base.features[::-1],
        base.features.reshape(2, 3, 2),
        base.features.reshape(2, 1, 6),
        base.features.astype(np.float16),
    ]
    found = {features_fingerprint(dataclasses.replace(base, features=each)) for each in [base.features, *others]}
    assert len(found) == 1 + len(others)


def test_features_of_every_layout_agree(folder: Path) -> None:
    once = features_fingerprint(open_folder(folder).split("test"))
    write_split(folder, "test", np.repeat(array(2), 5, axis=0))
    repeated = open_folder(folder).split("test")
    assert repeated.stored == "repeated 5 times"
    assert features_fingerprint(repeated) == once
    shuffled = array(2)[[3, 1, 0, 2, 5, 4]]
    rows = np.array([2, 1, 3, 0, 5, 4], dtype=np.int64)
    assert (
        features_fingerprint(dataclasses.replace(repeated, features=shuffled, feature_rows=rows, stored="once")) == once
    )
    assert (
        features_fingerprint(
            dataclasses.replace(
                repeated, features=np.asfortranarray(array(2)), feature_rows=np.sort(rows), stored="once"
            )
        )
        == once
    )


@pytest.mark.parametrize("chunk_bytes", [1, 70, 96, 10**6])
@pytest.mark.parametrize("times", [1, 5])
def test_features_do_not_depend_on_the_chunk(
    folder: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int, times: int
) -> None:
    expected = features_fingerprint(open_folder(folder).split("test"))
    write_split(folder, "test", np.repeat(array(2), times, axis=0))
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    assert features_fingerprint(open_folder(folder).split("test")) == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("times", "dtype"), [(1, "float32"), (5, "float32"), (1, "float16")])
@pytest.mark.parametrize("chunk_bytes", [1, 10**6])
def test_features_that_are_no_numbers_are_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, value: float, times: int, dtype: str, chunk_bytes: int
) -> None:
    features = array(2, dtype)
    features[4, 1, 3] = value
    write_split(folder, "test", np.repeat(features, times, axis=0))
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    split = open_folder(folder).split("test")
    with pytest.raises(DataError) as caught:
        features_fingerprint(split, folder)
    assert f"test_ims.npy: image row {4 * times}, region 1, feature 3 is {value}; expected finite" in str(caught.value)
    assert not (folder / CACHE_NAME).exists()


def test_repeated_images_that_differ_beyond_the_sample_are_found(tmp_path: Path) -> None:
    n_images = 40  # more than the groups that opening compares
    features = np.repeat(np.arange(n_images * 2, dtype=np.float32).reshape(n_images, 1, 2), 5, axis=0)
    features[5 * 8 + 3, 0, 1] += 1
    np.save(tmp_path / "test_ims.npy", features)
    (tmp_path / "test_caps.txt").write_text("a dog .\n" * 5 * n_images)
    split = open_folder(tmp_path, ["test"]).split("test")
    with pytest.raises(
        DataError, match=r"test_ims.npy: image rows 40 to 44 differ; expected 5 times the same image.*index"
    ):
        features_fingerprint(split)


def test_groups_are_compared_by_bits() -> None:
    features = np.full((10, 1, 2), np.nan, dtype=np.float32)
    starts = np.array([0, 5], dtype=np.int64)
    assert differing_group(features, starts) is None
    features[9] = 0
    assert differing_group(features, starts) == 5
    assert differing_group(features, starts[:1]) is None


# All three


def test_fingerprints_of_a_run(folder: Path) -> None:
    dataset = open_folder(folder)
    found = fingerprints(dataset, "test")["test"]
    assert found.task == task_fingerprint(dataset.split("test"))
    assert found.features == features_fingerprint(dataset.split("test"))
    assert found.train == train_fingerprint(dataset.split("train"))
    assert len({found.task, found.features, found.train}) == 3
    assert all(len(value) == 64 for value in dataclasses.astuple(found))


def test_train_changes_with_its_captions_and_with_its_features(folder: Path) -> None:
    split = open_folder(folder).split("train")
    captions = dataclasses.replace(split, captions=("other", *split.captions[1:]))
    features = dataclasses.replace(split, features=np.asarray(split.features) + 1)
    assert len({train_fingerprint(each) for each in (split, captions, features)}) == 3


def test_evaluating_train_reads_it_once(folder: Path, hashed: list[str]) -> None:
    dataset = dataclasses.replace(open_folder(folder), cache=None)
    found = fingerprints(dataset, "train")["train"]
    assert hashed == ["train"]
    assert found.train == train_fingerprint(dataset.split("train"))


@pytest.mark.parametrize("missing", ["train", "testall"])
def test_missing_split(folder: Path, missing: str) -> None:
    dataset = open_folder(folder)
    kept = {name: split for name, split in dataset.splits.items() if name != missing}
    dataset = Dataset(dataset.name, dataset.source, kept, dataset.cache)
    with pytest.raises(DataError, match=f"no split '{missing}'"):
        fingerprints(dataset, "testall" if missing == "testall" else "test")


# Cache


def test_cache_saves_the_second_reading(folder: Path, hashed: list[str]) -> None:
    first = fingerprints(open_folder(folder), "test")
    assert fingerprints(open_folder(folder), "test") == first
    assert hashed == ["train", "test"]
    assert set(json.loads((folder / CACHE_NAME).read_text())["features"]) == {"train_ims.npy", "test_ims.npy"}
    assert [file.name for file in folder.iterdir() if file.suffix == ".tmp"] == []


def test_cache_moves_with_its_folder(folder: Path, hashed: list[str]) -> None:
    inner = folder / "a"
    inner.mkdir()
    for file in [*folder.glob("*.npy"), *folder.glob("*.txt")]:
        file.rename(inner / file.name)
    fingerprints(open_folder(inner), "test")
    fingerprints(open_folder(inner.rename(folder / "b")), "test")
    assert hashed == ["train", "test"]


def test_linked_features_are_kept_under_their_path(folder: Path, hashed: list[str]) -> None:
    (folder / "elsewhere").mkdir()
    linked = (folder / "test_ims.npy").rename(folder / "elsewhere" / "train_ims.npy")
    (folder / "test_ims.npy").symlink_to(linked)
    first = fingerprints(open_folder(folder), "test")
    assert fingerprints(open_folder(folder), "test") == first
    assert hashed == ["train", "test"]
    assert set(json.loads((folder / CACHE_NAME).read_text())["features"]) == {"train_ims.npy", str(linked)}


@pytest.mark.parametrize("times", [1, 5], ids=["same size", "another size"])
def test_changed_features_are_read_again(folder: Path, hashed: list[str], times: int) -> None:
    before = features_fingerprint(open_folder(folder).split("test"), folder)
    file = write_split(folder, "test", np.repeat(array(9), times, axis=0))
    os.utime(file, ns=(LONG_AGO, LONG_AGO + (times == 1)))
    assert features_fingerprint(open_folder(folder).split("test"), folder) != before
    assert hashed == ["test", "test"]


def rewrite(folder: Path, features: np.ndarray) -> None:
    """Change the features of test in place and put the time stamp back, as rsync and tar do."""
    file = folder / "test_ims.npy"
    stamp = file.stat().st_mtime_ns
    stored = np.load(file, mmap_mode="r+")
    stored[:] = features
    stored.flush()
    del stored
    os.utime(file, ns=(stamp, stamp))


@pytest.mark.parametrize("trust_cache", [False, True])
def test_features_changed_under_the_same_time_stamp_are_read_again(
    folder: Path, hashed: list[str], trust_cache: bool
) -> None:
    split = open_folder(folder).split("test")
    before = features_fingerprint(split, folder)
    rewrite(folder, np.zeros_like(split.features))
    assert features_fingerprint(open_folder(folder).split("test"), folder, trust_cache=trust_cache) != before
    assert hashed == ["test", "test"]


def test_a_cache_that_comes_with_a_copy_is_believed_only_where_that_is_asked_for(
    folder: Path, hashed: list[str]
) -> None:
    before = features_fingerprint(open_folder(folder).split("test"), folder)
    file = folder / "test_ims.npy"
    copy = folder / "copy"
    shutil.copy2(file, copy)
    copy.replace(file)
    split = open_folder(folder).split("test")
    assert features_fingerprint(split, folder, trust_cache=True) == before
    assert hashed == ["test"]
    assert features_fingerprint(split, folder) == before
    assert hashed == ["test", "test"]


def test_other_rows_of_the_same_file_are_read_again(folder: Path, hashed: list[str]) -> None:
    split = open_folder(folder).split("test")
    before = features_fingerprint(split, folder)
    other = dataclasses.replace(split, feature_rows=split.feature_rows[::-1].copy())
    assert features_fingerprint(other, folder) != before
    assert features_fingerprint(split, folder) == before
    assert hashed == ["test"] * 3


def test_part_of_a_file_is_never_kept(folder: Path) -> None:
    split = open_folder(folder).split("test")
    part = dataclasses.replace(
        split, features=split.features[1:], feature_rows=split.feature_rows[:-1], image_ids=split.image_ids[1:]
    )
    reverse = dataclasses.replace(split, features=split.features[::-1])
    assert features_fingerprint(part, folder) != features_fingerprint(reverse, folder)
    assert not (folder / CACHE_NAME).exists()


def test_generated_features_are_never_kept(folder: Path) -> None:
    features_fingerprint(make_split(), folder)
    assert not (folder / CACHE_NAME).exists()


def test_without_a_cache_folder_nothing_is_written(folder: Path) -> None:
    before = sorted(folder.iterdir())
    fingerprints(dataclasses.replace(open_folder(folder), cache=None), "test")
    assert sorted(folder.iterdir()) == before


def test_file_of_this_moment_is_not_kept_as_it_may_still_change(folder: Path) -> None:
    now = time.time_ns()
    os.utime(folder / "test_ims.npy", ns=(now, now))
    features_fingerprint(open_folder(folder).split("test"), folder)
    assert not (folder / CACHE_NAME).exists()


def test_file_that_changes_while_it_is_read_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split = open_folder(folder).split("test")

    def touching(_: Split) -> str:
        os.utime(folder / "test_ims.npy", ns=(LONG_AGO, LONG_AGO + 1))
        return "0" * 64

    monkeypatch.setattr(module, "_hash_features", touching)
    features_fingerprint(split, folder)
    assert not (folder / CACHE_NAME).exists()


def test_file_that_is_gone_is_not_kept(folder: Path) -> None:
    split = open_folder(folder).split("test")
    expected = features_fingerprint(split)
    (folder / "test_ims.npy").unlink()  # what is mapped stays readable
    assert features_fingerprint(split, folder) == expected
    assert not (folder / CACHE_NAME).exists()


def broken(change: Callable[[dict[str, dict[str, dict[str, object]]]], object]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        content = json.loads(text)
        change(content)
        return json.dumps(content)

    return apply


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: "",
        lambda _: "[]",
        lambda _: "\0\0\0",
        lambda text: text[: len(text) // 2],
        broken(lambda content: content.update(schema_version=3)),  # type: ignore[call-overload]
        broken(lambda content: content.update(more={})),
        broken(lambda content: content["features"]["test_ims.npy"].update(sha256="f00")),
        broken(lambda content: content["features"]["test_ims.npy"].update(size="1")),
        broken(lambda content: content["features"]["test_ims.npy"].pop("rows")),
    ],
    ids=["empty", "list", "bytes", "cut", "schema", "more", "hash", "type", "less"],
)
def test_damaged_or_foreign_cache_is_computed_again(
    folder: Path, hashed: list[str], spoil: Callable[[str], str]
) -> None:
    split = open_folder(folder).split("test")
    expected = features_fingerprint(split, folder)
    good = (folder / CACHE_NAME).read_text()
    (folder / CACHE_NAME).write_text(spoil(good))
    assert features_fingerprint(split, folder) == expected
    assert hashed == ["test", "test"]
    assert (folder / CACHE_NAME).read_text() == good


@pytest.mark.parametrize(
    "content", [b'{"features": {"\xff": 1}}', b"\xff\xfe", b'{"schema_version": 1e30}', b"[" * 99999]
)
def test_a_cache_that_is_no_text_is_computed_again(folder: Path, hashed: list[str], content: bytes) -> None:
    (folder / CACHE_NAME).write_bytes(content)
    split = open_folder(folder).split("test")
    assert features_fingerprint(split, folder) == features_fingerprint(split, folder)
    assert hashed == ["test"]


def test_cache_that_cannot_be_written_is_done_without(folder: Path, hashed: list[str]) -> None:
    (folder / CACHE_NAME).mkdir()  # stops root as well, which a read-only folder doesn't
    split = open_folder(folder).split("test")
    assert features_fingerprint(split, folder) == features_fingerprint(split, folder)
    assert hashed == ["test", "test"]
    assert [file.name for file in folder.iterdir() if file.suffix == ".tmp"] == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(folder: Path) -> None:
    split = open_folder(folder).split("test")
    folder.chmod(0o555)
    try:
        assert features_fingerprint(split, folder) == features_fingerprint(split)
    finally:
        folder.chmod(0o755)
