"""Pickles as data: honest ones come out as they were meant, crafted ones are refused and nothing of them runs."""

from __future__ import annotations

import argparse
import collections
import io
import os
import pickle
import struct
import subprocess
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from foreign import Instance, dump2, raw_pickle

from camp_bench.checkpoints import pickle_data
from camp_bench.checkpoints.pickle_data import Inert, read_pickle
from camp_bench.checkpoints.torch_file import KNOWN, LEGACY_START, Namespace, load_checkpoint
from camp_bench.checkpoints.vocabularies import read_vocabulary
from camp_bench.errors import CheckpointError


def read(data: bytes, persistent: Any = None) -> Any:
    return read_pickle(io.BytesIO(data), "some.pkl", KNOWN, persistent)


def refused(data: bytes) -> str:
    with pytest.raises(CheckpointError) as caught:
        read(data)
    line = str(caught.value)
    assert line.startswith("some.pkl: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_come_out_of_every_protocol(protocol: int) -> None:
    shared = ["é", "x" * 300]
    values = [1, -7, 300, 70_000, 2**70, 2.5, None, True, False, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {"a": {}}]
    many = {n: str(n) for n in range(2500)}
    got = read(pickle.dumps([values, shared, shared, collections.OrderedDict(b=1, a=2), many], protocol))
    assert got == [values, shared, shared, {"b": 1, "a": 2}, many]
    assert got[1] is got[2]
    assert list(got[3]) == ["b", "a"]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_options_come_out_as_attributes_alone(protocol: int) -> None:
    options = argparse.Namespace(lambda_lse=6.0, flag=True)
    got = read(pickle.dumps(options, protocol))
    assert type(got) is Namespace
    assert vars(got) == vars(options)


def test_python_2_text_and_its_tables_of_options_are_read() -> None:
    inner = Instance("easydict", "EasyDict", {"x": 1}, {"x": 1})
    got = read(dump2({"opt": Instance("argparse", "Namespace", {"name": "naïve", "inner": inner})}))["opt"]
    assert got.name == "naïve"
    assert got.inner == {"x": 1}


def test_bytes_that_are_no_text_stay_recognisable() -> None:
    assert read(raw_pickle(b"U\x01\xff")) == "\udcff"


class Calls:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.made = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.made


def crafted(target: Path) -> dict[str, bytes]:
    """Return pickles that make the file `target` when Python's own unpickler reads them."""
    shell = f"touch {target}"
    code = f"open({str(target)!r}, 'w').close()"
    nested = Calls(eval, f"__import__('os').system({shell!r})")
    text = shell.encode()
    binary = b"X" + struct.pack("<I", len(text)) + text
    return {
        "os.system by hand": b"cos\nsystem\n(S'" + text + b"'\ntR.",
        "posix.system": pickle.dumps(Calls(os.system, shell)),
        "posix.system, protocol 0": pickle.dumps(Calls(os.system, shell), 0),
        "builtins.eval": pickle.dumps(Calls(eval, code), 2),
        "builtins.exec": pickle.dumps(Calls(exec, code), 4),
        "subprocess": pickle.dumps(Calls(subprocess.check_call, ["touch", str(target)])),
        "inside options": pickle.dumps(argparse.Namespace(a=1, b=Calls(os.system, shell)), 2),
        "nested reduce": pickle.dumps(Calls(str, nested), 2),
        "a call of a call": raw_pickle(
            b"cbuiltins\ngetattr\ncbuiltins\n__import__\nX\x02\x00\x00\x00os\x85RX\x06\x00\x00\x00system\x86R",
            binary,
            b"\x85R",
        ),
        "inst": b"(S'" + text + b"'\nios\nsystem\n.",
        "obj": raw_pickle(b"(cos\nsystem\n", binary, b"o"),
        "as a key": pickle.dumps({Calls(os.system, shell): 1}, 2),
        "dotted name": raw_pickle(
            b"\x8c\x08builtins\x8c\x04exec\x93X", struct.pack("<I", len(code)), code.encode(), b"\x85R"
        ),
    }


@pytest.mark.parametrize("name", crafted(Path("x")))
def test_crafted_pickles_are_refused_and_do_nothing(name: str, tmp_path: Path) -> None:
    target = tmp_path / "ran"
    data = crafted(target)[name]
    line = refused(data)
    assert not target.exists()
    assert "nothing was run; don't trust this file" in line
    with suppress(TypeError):
        pickle.loads(data)  # to show that the payload is one
    assert target.exists()


@pytest.mark.parametrize("name", crafted(Path("x")))
def test_crafted_files_of_both_kinds_are_refused_and_do_nothing(name: str, tmp_path: Path) -> None:
    target, file = tmp_path / "ran", tmp_path / "file"
    data = crafted(target)[name]
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"nothing was run; don't trust this file|a pickle step"):
        read_vocabulary(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("c/data.pkl", data)
        archive.writestr("c/version", "3")
    with pytest.raises(CheckpointError, match=r"nothing was run; don't trust this file"):
        load_checkpoint(file)
    for numbers in (b"", dump2([])):
        file.write_bytes(LEGACY_START + dump2(1001) + dump2({"little_endian": True}) + data + numbers)
        with pytest.raises(CheckpointError, match=r"nothing was run; don't trust this file"):
            load_checkpoint(file)
    assert not target.exists()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (raw_pickle(b"ctorch.hub\nload\nU\x01x\x85R"), "names torch.hub.load"),
        (raw_pickle(b"ctorch\nload\nU\x01x\x85R"), "names torch.load"),
        (raw_pickle(b"\x8c\x05torch\x8c\x08hub.load\x93U\x01x\x85R"), "names torch.hub.load"),
        (raw_pickle(b"cnumpy\nload\nU\x01x\x85R"), "names numpy.load"),
        (raw_pickle(b"cevil\nrun\nU\x01x\x85R"), "names evil.run"),
        (raw_pickle(b"cevil\nRun\nU\x01x\x85\x81"), "names evil.Run"),
        (raw_pickle(b"cevil\nRun\n)\x81)R"), "names evil.Run"),
        (raw_pickle(b"cbuiltins\ngetattr\n."), "names builtins.getattr"),
        (raw_pickle(b"cevil\nfind " + b"x" * 500 + b"\n."), "names evil.find xxx"),
        (
            raw_pickle(b"ctorch.nn.modules.linear\nLinear\n)\x81"),
            "names torch.nn.modules.linear.Linear",
        ),
        (raw_pickle(b"\x82\x01"), "a pickle step (EXT1)"),
        (raw_pickle(b"csubprocess\nPopen\n)\x81"), "names subprocess.Popen"),
        (b"P0\n.", "a pickle step (PERSID)"),
        (raw_pickle(b"U\x01aQ"), "it refers to data beside it"),
    ],
)
def test_what_no_checkpoint_needs_is_named(data: bytes, message: str) -> None:
    assert message in refused(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"rubbish",
        b"\x80\x02]",
        b"\x80\x02.",
        raw_pickle(b"0"),
        raw_pickle(b"h\x05"),
        raw_pickle(b"t"),
        raw_pickle(b"K\x01K\x02s"),
        raw_pickle(b"(K\x01u"),
        raw_pickle(b"}(K\x01u"),
        raw_pickle(b"})\x81"),
        raw_pickle(b"}]K\x01s"),
        raw_pickle(b"K\x01}b"),
        raw_pickle(b"U\x05abc"),
        raw_pickle(b"ccollections\nOrderedDict\nK\x01\x85R"),
        raw_pickle(b"ccollections\nOrderedDict\n](K\x01e\x85R"),
        raw_pickle(b"cnospace"),
        raw_pickle(b"K\x01K\x02\x93"),
        b"L" + b"9" * 5000 + b"L\n.",
        dump2({"a": [1, 2.0, "three"]})[:-3],
    ],
)
def test_damaged_pickles_are_one_line(data: bytes) -> None:
    assert any(said in refused(data) for said in ("damaged or cut short", "nothing was run", "not used"))


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02T\xff\xff\xff\x7f.",
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",
        b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
        b"\x80\x05\x96" + struct.pack("<Q", 2**36) + b"x.",
        b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
        raw_pickle(b"Nr\xff\xff\xff\xff"),
        raw_pickle(b"Nr\xff\xff\xff\x0f"),
    ],
)
def test_huge_declared_lengths_and_numbers_take_no_room(data: bytes) -> None:
    tracemalloc.start()
    try:
        refused(data)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()


def test_short_pickles_that_would_copy_or_hash_for_ever_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = raw_pickle(b"}N\x85", b"2\x86" * 64, b"Ns")  # a key of 2^64 nested tuples
    assert "a pickle step (DUP)" in refused(bomb)
    again = raw_pickle(b"}N\x85", b"".join(b"q%ch%c\x86" % (n, n) for n in range(64)), b"Ns")  # the same by the memo
    assert "uses a tuple twice" in refused(again)
    assert "uses a tuple twice" in refused(raw_pickle(b"}N\x85q\x01q\x02h\x02\x86Ns"))
    monkeypatch.setattr(pickle_data, "MOST_STEPS", 1000)
    assert "more steps than any checkpoint needs" in refused(raw_pickle(b"(", b"N" * 1200, b"l"))
    monkeypatch.setattr(pickle_data, "MOST_COPIES", 1000)
    pairs = b"](" + b"".join(b"]" + b"(" + b"K" + bytes([n]) + b"Ne" for n in range(100)) + b"eq\x00"
    copied = b"ccollections\nOrderedDict\nh\x00\x85R" * 10
    assert "more steps than any checkpoint needs" in refused(raw_pickle(b"(", pairs, copied, b"l"))


def test_deep_nesting_is_no_problem() -> None:
    depth = 3000  # three times what Python itself would follow
    assert type(read(raw_pickle(b"N" + b"\x85" * depth))) is tuple


def test_references_beside_the_pickle_are_handed_over() -> None:
    seen: list[Any] = []
    made = Inert()
    assert read(raw_pickle(b"U\x01aK\x05\x86Q"), lambda key: seen.append(key) or made) is made
    assert seen == [("a", 5)]
