"""Bundles: the same runs give the same bytes, nothing of the machine is in them, and nothing false passes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import msgspec
import pytest
from comparison_examples import write_run

from camp_bench.cli import main
from camp_bench.errors import RecordError
from camp_bench.records import RunRecord, read_record, write_record
from camp_bench.records.history import encode_record
from camp_bench.report.bundle import make_bundle, verify_bundle, without_paths


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    results = tmp_path_factory.mktemp("results")
    for model, level in (("camp", 1.0), ("vsepp", 1.6)):
        write_run(
            results,
            model=model,
            level=level,
            images=30,
            dataset={"source": "/home/alice/data/mine"},
            command=("camp-bench", "run", "--data", "/home/alice/data/mine", "--results=/scratch/alice/r"),
        )
        (results / f"{model}-s0" / "weights.safetensors").write_bytes(b"weights")
        record = read_record(results / f"{model}-s0")
        files = record.files | {"weights.safetensors": hashlib.sha256(b"weights").hexdigest()}
        write_record(results / f"{model}-s0", msgspec.structs.replace(record, files=files))
    content = make_bundle([results], "0")
    assert make_bundle([results], "0") == content
    return content


def changed(content: bytes, file: Path, name: str, new: bytes | None) -> Path:
    """Write the bundle with one file replaced, added, or left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as out:
        for entry in old.infolist():
            if entry.filename != name:
                out.writestr(entry, old.read(entry))
        if new is not None:
            out.writestr(name, new)
    return file


def test_what_is_in_it_and_how_it_is_made_again(made: bytes, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(made)
    files, runs = verify_bundle(tmp_path / "b.zip")
    with zipfile.ZipFile(io.BytesIO(made)) as bundle:
        names = bundle.namelist()
        assert not any(name.endswith((".safetensors", ".npy")) for name in names)
        manifest = json.loads(bundle.read("manifest.json"))
        assert all(b"alice" not in bundle.read(name) for name in names)
        bundle.extractall(tmp_path / "out")
    assert (files, runs) == (len(names) - 1, 2)
    assert {"report.html", "tables/comparison.csv", "figures/forest.pdf", "environment.json"} <= set(names)
    assert manifest["commands"]["figures/forest.pdf"] == "camp-bench plot records --kind forest -o figures/forest.pdf"
    table = tmp_path / "again.csv"
    assert main(["compare", str(tmp_path / "out" / "records"), "-o", str(table)]) == 0
    assert table.read_bytes() == (tmp_path / "out" / "tables" / "comparison.csv").read_bytes()


@pytest.mark.parametrize(
    ("name", "new", "message"),
    [
        ("tables/comparison.csv", b"a,b\n", "its checksum is not the manifest's"),
        ("figures/forest.pdf", None, "is missing"),
        ("more.txt", b"x", "checksum"),
        ("../out.txt", b"x", "leads out of the bundle"),
        ("/out.txt", b"x", "leads out of the bundle"),
        ("manifest.json", b"{}", "expected what `camp-bench bundle` writes"),
        ("manifest.json", None, "expected what `camp-bench bundle` writes"),
    ],
)
def test_what_was_changed_never_passes(made: bytes, tmp_path: Path, name: str, new: bytes | None, message: str) -> None:
    with pytest.raises(RecordError, match=message):
        verify_bundle(changed(made, tmp_path / "b.zip", name, new))


def test_figures_that_do_not_follow_never_pass(made: bytes, tmp_path: Path) -> None:
    """A forger keeps the checksums right; the figures still have to follow from the ranks."""
    name = "records/camp-s0/record.json"
    with zipfile.ZipFile(io.BytesIO(made)) as bundle:
        record, manifest = json.loads(bundle.read(name)), json.loads(bundle.read("manifest.json"))
    record["evaluations"][0]["metrics"]["i2t.R@1"] += 5
    del record["sha256"]
    forged = encode_record(msgspec.convert(record, RunRecord))
    manifest["files"][name] = hashlib.sha256(forged).hexdigest()
    file = changed(made, tmp_path / "one.zip", name, forged)
    file = changed(file.read_bytes(), tmp_path / "two.zip", "manifest.json", json.dumps(manifest).encode())
    with pytest.raises(RecordError, match="not of one run"):
        verify_bundle(file)


def test_paths_are_cut_and_other_texts_kept() -> None:
    assert without_paths("/home/alice/data") == "data"
    assert without_paths("--data=/home/alice/data/f30k,C:\\Users\\bob\\x") == "--data=f30k,x"
    for text in ("results/run", "toy:train=5", "1/2", "n/a", "https://example.org/a/b", "i2t w/t/l", "/"):
        assert without_paths(text) == text


def test_the_command_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "results", images=10)
    file = str(tmp_path / "b.zip")
    assert main(["bundle", str(tmp_path / "results"), "-o", file]) == 0
    assert "bundle verify" in capsys.readouterr().err
    assert main(["bundle", "verify", file]) == 0
    assert "1 evaluations are as" in capsys.readouterr().out
    for arguments in (["bundle", "verify"], ["bundle", "verify", str(tmp_path / "none.zip")], ["bundle", "nowhere"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1
