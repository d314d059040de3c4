"""Files of torch.save, of today and of torch 0.3: the same numbers as torch reads, and clear ends for all others."""

from __future__ import annotations

import argparse
import collections
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from foreign import Foreign, dump2, save2
from torch import Tensor, nn

from camp_bench.checkpoints.contents import StateDict
from camp_bench.checkpoints.torch_file import load_checkpoint
from camp_bench.errors import CheckpointError

KINDS = ["zip", "legacy", "torch 0.3"]


def save(content: Any, path: Path, kind: str) -> None:
    if kind == "torch 0.3":
        save2(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")


def weights() -> dict[str, Tensor]:
    """Return tensors that lie in memory in unlike ways."""
    flat = torch.arange(24.0)
    return {
        "plain": torch.randn(2, 3, generator=torch.Generator().manual_seed(0)),
        "turned": torch.arange(6.0).view(2, 3).T,
        "part of a larger one": flat[4:16].view(3, 4)[:, 1:3],
        "another part of it": flat[20:],
        "parameter": nn.Parameter(torch.ones(2)),
        "one number": torch.tensor(3.0),
        "none": torch.zeros(0, 3),
        "half": torch.ones(2).half(),
        "brain": torch.full((3,), 1.5, dtype=torch.bfloat16),
        "double": torch.ones(2, dtype=torch.float64) / 3,
        "count": torch.arange(3),
    }


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_all_tensors_are_as_they_were_saved(kind: str, tmp_path: Path) -> None:
    file, expected = tmp_path / "c.pth.tar", weights()
    save({"model": expected, "opt": argparse.Namespace(a=1)}, file, kind)
    found = load_checkpoint(file)
    assert vars(found["opt"]) == {"a": 1}
    part = StateDict(file, "it", found["model"])
    for name, tensor in expected.items():
        assert found["model"][name].dtype == tensor.dtype
        assert torch.equal(found["model"][name], tensor)
        if tensor.is_floating_point():
            got = part.take(name, *tensor.shape)
            assert torch.equal(got, tensor.float())
            assert got.is_contiguous()


@pytest.mark.parametrize("kind", KINDS)
def test_state_dicts_are_as_they_were_saved(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "c.pth.tar"
    state = collections.OrderedDict(nn.GRU(3, 4, bidirectional=True).state_dict())
    save({"model": [state], "epoch": 3, "best_rsum": 1.5}, file, kind)
    found = load_checkpoint(file)
    assert (found["epoch"], found["best_rsum"]) == (3, 1.5)
    assert list(found["model"][0]) == list(state)
    for name, tensor in state.items():
        assert torch.equal(found["model"][0][name], tensor)


def refused(path: Path, take: str = "") -> str:
    """Return the line with which a file, or a tensor of it, is refused."""

    def read() -> None:
        StateDict(path, "it", load_checkpoint(path)).take(take, *[None] * 9)

    with pytest.raises(CheckpointError) as caught:
        read()
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("keep", [0.03, 0.3, 0.6, 0.97])
def test_truncated_files_are_one_line(kind: str, keep: float, tmp_path: Path) -> None:
    file = tmp_path / "c.pth.tar"
    save({"w": torch.ones(500)}, file, kind)
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep)])
    assert "damaged or cut short" in refused(file, "w") or "not a file that torch.save wrote" in refused(file, "w")


@pytest.mark.parametrize("data", [b"", b"rubbish", b"\x80\x02}.", b"PK\x05\x06" + b"\0" * 18, b"ustar"])
def test_other_files_are_one_line(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "c"
    file.write_bytes(data)
    assert "not a file that torch.save wrote" in refused(file)
    assert "no such file" in refused(tmp_path)
    assert "no such file" in refused(tmp_path / "none")


def reference(count: int, *, kind: bytes = b"FloatStorage", key: str = "1", view: Any = None) -> Foreign:
    words = ("storage", Foreign(b"ctorch\n" + kind + b"\n"), key, "cpu", Foreign(_long(count)), view)
    return Foreign(dump2(words)[2:-1] + b"Q")


def _long(value: int) -> bytes:
    data = value.to_bytes(9, "little", signed=True)
    return b"\x8a\x09" + data


def tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Foreign:
    long = [tuple(Foreign(_long(n)) for n in values) for values in ((offset,), size, stride)]
    return Foreign(b"ctorch._utils\n_rebuild_tensor\n" + dump2((storage, long[0][0], long[1], long[2]))[2:-1] + b"R")


def by_hand(content: Any, path: Path, *numbers: Tensor, declared: int | None = None) -> Path:
    """Write a legacy file whose pickle and storages need not agree; storages are called 1, 2, ..."""
    save2(content, path)
    data = path.read_bytes().removesuffix(dump2([])) + dump2([str(n + 1) for n in range(len(numbers))])
    for each in numbers:
        data += struct.pack("<q", len(each) if declared is None else declared) + each.numpy().tobytes()
    path.write_bytes(data)
    return path


TEN = torch.arange(10.0)


def test_hand_written_files_are_read_where_they_are_right(tmp_path: Path) -> None:
    whole = by_hand({"w": tensor(reference(10), 1, (2, 3), (4, 1))}, tmp_path / "a", TEN)
    assert load_checkpoint(whole)["w"].tolist() == [[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]
    view = by_hand({"w": tensor(reference(10, view=("2", 4, 3)), 1, (2,), (1,))}, tmp_path / "b", TEN)
    assert load_checkpoint(view)["w"].tolist() == [5.0, 6.0]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (tensor(reference(10), 1, (10,), (1,)), "in a place of 10"),
        (tensor(reference(10), -1, (2,), (1,)), "has no size"),
        (tensor(reference(10), 0, (2,), (-1,)), "has no size"),
        (tensor(reference(10), 0, (2, 2), (1,)), "has no size"),
        (tensor(reference(10), 0, (10**6, 10**6), (0, 0)), "in a place of 10"),
        (tensor(reference(10), 0, (2**62,), (1,)), "has no size"),
        (tensor(reference(10), 0, (0, 2**40), (1, 1)), ""),
        (tensor(reference(10**12), 0, (2,), (1,)), "4,000,000,000,000 bytes declared, 40 bytes left"),
        (tensor(reference(10, view=("2", 8, 3)), 0, (2,), (1,)), "has a view beyond them"),
        (tensor(reference(10, view=("2", -8, 3)), 0, (2,), (1,)), "a storage has no size"),
        (tensor(reference(10, key="7"), 0, (2,), (1,)), "the list of its storages isn't that of its tensors"),
        (tensor(reference(10, kind=b"QUInt8Storage"), 0, (2,), (1,)), "names torch.QUInt8Storage"),
        (tensor(5, 0, (2,), (1,)), "has no size"),
        (Foreign(b"ctorch._utils\n_rebuild_tensor\n)R"), "damaged or cut short"),
        ([1], "w is a list; expected a tensor"),
        (Foreign(b"(U\x06moduleNNNNtQ"), "refers to something that is no tensor"),
    ],
)
def test_tensors_that_do_not_fit_their_numbers_are_refused(made: Any, message: str, tmp_path: Path) -> None:
    numbers = [TEN] if isinstance(made, Foreign) and b"storage" in made.steps else []
    file = by_hand({"w": made}, tmp_path / "c", *numbers)
    if message:
        assert message in refused(file, "w")
    else:
        assert load_checkpoint(file)["w"].numel() == 0


@pytest.mark.parametrize("declared", [11, 2**40, 2**63 - 1])
def test_sizes_beyond_the_file_allocate_nothing(declared: int, tmp_path: Path) -> None:
    file = by_hand({"w": tensor(reference(declared), 0, (2,), (1,))}, tmp_path / "c", TEN, declared=declared)
    line = refused(file, "w")
    assert "bytes left" in line or "a storage has no size" in line


def rezip(source: Path, target: Path, *, compress: bool = False, **changes: bytes | None) -> Path:
    """Copy a zip with some entries replaced or left out."""
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", kind) as new:
        for info in old.infolist():
            name = info.filename.partition("/")[2].replace("/", "_").replace(".", "_")
            data = changes.get(name, old.read(info))
            if data is not None:
                new.writestr(info.filename, data)
    return target


def test_zips_that_torch_would_not_write_are_refused(tmp_path: Path) -> None:
    good = tmp_path / "good"
    torch.save({"w": torch.ones(500)}, good)
    assert load_checkpoint(rezip(good, tmp_path / "same"))["w"].sum() == 500
    bomb = rezip(good, tmp_path / "bomb", compress=True, data_0=b"\0" * 2000)
    assert "is compressed, encrypted or larger than the file" in refused(bomb, "w")
    assert "data/0 is missing" in refused(rezip(good, tmp_path / "less", data_0=None), "w")
    assert "2,000 bytes declared, 8 there" in refused(rezip(good, tmp_path / "short", data_0=b"12345678"), "w")
    assert "a zip without data.pkl" in refused(rezip(good, tmp_path / "none", data_pkl=None), "w")
    assert "big-endian" in refused(rezip(good, tmp_path / "big", byteorder=b"big"), "w")
    evil = rezip(good, tmp_path / "evil", data_pkl=b"cos\nsystem\n(S'true'\ntR.")
    assert "names os.system" in refused(evil, "w")
    flipped = bytearray(good.read_bytes())
    place = flipped.index(struct.pack("<f", 1.0) * 10)
    flipped[place] ^= 1
    (tmp_path / "flipped").write_bytes(flipped)
    assert "CRC" in refused(tmp_path / "flipped", "w")


def test_lying_zip_directory_allocates_nothing(tmp_path: Path) -> None:
    good = tmp_path / "good"
    torch.save({"w": torch.ones(500)}, good)
    data = good.read_bytes()
    size = struct.pack("<I", 2000)
    place = data.rindex(size * 2)  # sizes of data/0 in the directory at the end
    (tmp_path / "lie").write_bytes(data[:place] + struct.pack("<I", 2**31) * 2 + data[place + 8 :])
    assert "larger than the file" in refused(tmp_path / "lie", "w")


def test_unreadable_files_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c"
    torch.save({}, file)
    shutil.copy(file, tmp_path / "d")

    def fail(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", fail)
    assert "can't be read (Permission denied)" in refused(file)
