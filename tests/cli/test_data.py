"""`camp-bench data` and `camp-bench features` as people meet them: output, exit codes, one line for each mistake."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from camp_bench.cli import main
from camp_bench.cli.counting import counted


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder in SCAN's layout."""
    made = tmp_path / "mini_precomp"
    made.mkdir()
    for number, split in enumerate(("train", "dev", "test")):
        rng = np.random.default_rng(number)
        np.save(made / f"{split}_ims.npy", rng.normal(size=(4, 2, 3)).astype(np.float32))
        (made / f"{split}_caps.txt").write_text("".join(f"a dog runs {split} {n}\n" for n in range(20)))
    return made


def test_import_verify_info(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dest = tmp_path / "made"
    assert main(["data", "import", str(folder), str(dest), "--float16", "--splits", "train, test"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "train: 4 images, 2 regions of 3 numbers each",
        "test: 4 images, 2 regions of 3 numbers each",
        f"{dest} is ready; check it with: camp-bench data verify {dest}",
    ]
    assert err.splitlines() == [f"importing {split}: {n} of 4" for split in ("train", "test") for n in (0, 4)]
    assert main(["data", "verify", str(dest)]) == 0
    out, _ = capsys.readouterr()
    assert out.splitlines() == [
        f"warning: {dest}: has no split dev; a run needs train, dev and test",
        f"{dest}: no errors, 1 warning",
    ]
    assert main(["data", "info", str(dest)]) == 0
    out, _ = capsys.readouterr()
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "images 4 4" in lines
    assert "dtype float16 float16" in lines
    assert "words: median 5 5" in lines
    assert any(line.startswith("5 40 ") for line in lines)
    assert "vocabulary of train: 100 tokens, 24 different words, 4 of them 4 times or more" in out
    assert max(map(len, out.splitlines())) <= 80


def test_verify_ends_with_2_where_there_are_errors(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "test_caps.txt").write_text("\n\n\nx\n")
    assert main(["data", "verify", str(folder)]) == 2
    out, _ = capsys.readouterr()
    assert "error: test_caps.txt: line 1 is empty" in out
    assert out.splitlines()[-1] == f"{folder}: 4 errors, no warnings"


def test_tsv_with_captions_from_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tsv, captions = tmp_path / "a.tsv", tmp_path / "captions.txt"
    values = [base64.b64encode(np.ones(size, "<f4").tobytes()).decode() for size in (8, 6)]
    tsv.write_text("".join(f"{n}\t9\t9\t2\t{values[0]}\t{values[1]}\n" for n in range(2)))
    captions.write_text("0.jpg\ta\n1.jpg\tb\n")
    assert main(["data", "import", str(tsv), str(tmp_path / "made"), "--captions", f"test={captions}"]) == 0
    assert "test: 2 images, 2 regions of 3 numbers each" in capsys.readouterr().out
    assert np.load(tmp_path / "made" / "test_ims.npy").tolist() == [[[1.0] * 3] * 2] * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data"], "Missing command; see: camp-bench data --help"),
        (["data", "imprt"], "No such command 'imprt'"),
        (["data", "import", "none", "made"], "none: no such file or folder; expected SCAN's zip or folder, or a TSV"),
        (["data", "import", "mini_precomp", "mini_precomp"], "mini_precomp: is there already, and nothing is overwr"),
        (["data", "import", "mini_precomp", "made", "--boxes", "3"], "--boxes: means nothing for mini_precomp"),
        (["data", "import", "mini_precomp", "x.tsv", "made"], "mini_precomp: expected one zip or folder in SCAN's"),
        (["data", "import", "x.tsv", "made"], "x.tsv: has features alone; name the file with captions and splits"),
        (["data", "import", "x.tsv", "made", "--captions", "c.tsv"], "c.tsv: can't be read (No such file"),
        (["data", "import", "x.tsv", "made", "--captions", "tst=c.tsv"], "no split is called 'tst' (did you mean"),
        (["data", "import", "x.json", "made"], "x.json: expected one zip or folder in SCAN's layout, or one or more"),
        (["data", "import", "x.tsv", "made", "--dataset", "d"], "--dataset: means nothing for x.tsv"),
        (["data", "verify", "none"], "none: no such folder"),
        (["data", "info", "none"], "none: no such folder"),
        (["features", "mini_precomp", "x.tsv", "made"], "x.tsv: line 1: has 0 tabs"),
        (["features", "none", "test=good.tsv", "made"], "none: no such folder"),
        (["features", "mini_precomp", "test=good.tsv", "made"], "mini_precomp: 1 of the pictures can't be used: a"),
        (["features", "mini_precomp", "test=good.tsv", "made", "--workers", "0"], "--workers: got 0"),
        (["features", "mini_precomp", "test=good.tsv", "made", "--extractor", "x"], "--extractor: got 'x'"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    arguments: list[str],
    message: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if arguments[0] == "features":
        pytest.importorskip("PIL", reason="the extra 'effnet' isn't installed")
    monkeypatch.chdir(folder.parent)
    for name in ("x.tsv", "x.json"):
        Path(name).write_text("nothing")
    Path("good.tsv").write_text("a\tb\n")
    before = sorted(Path().rglob("*"))
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"error: {message}")
    assert sorted(Path().rglob("*")) == before


def test_what_is_kept_is_told(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.load(folder / "test_ims.npy")
    values[2] = np.inf
    np.save(folder / "test_ims.npy", values)
    assert main(["data", "import", str(folder), str(tmp_path / "made")]) == 2
    _, err = capsys.readouterr()
    assert f"what is done is kept in {tmp_path / '.made.partial'}; the same command goes on from there" in err
    assert "test_ims.npy: row 2, region 0, feature 0 is inf" in err.splitlines()[-1]


def test_features_from_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image", reason="the extra 'effnet' isn't installed")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.chdir(tmp_path)
    image.new("RGB", (4, 4), (1, 2, 3)).save("a.png")
    Path("b.png").write_text("no picture")
    Path("captions.tsv").write_text("a.png#0\tone\ttest\na.png#1\ttwo\ttest\nb.png#0\tthree\ttest\n")
    arguments = ["features", ".", "captions.tsv", "made", "--extractor", "extractors:mean_colours", "--workers", "1"]
    assert main(arguments) == 2
    assert "error: .: 1 of the pictures can't be used: b.png (cannot identify image file);" in capsys.readouterr().err
    assert main([*arguments, "--skip-bad"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("test: 1 image, 2 regions of 3 numbers each\n")
    assert "left out: b.png (cannot identify image file)" in err
    assert Path("made/test_index.txt").read_text() == "0\n0\n"


def test_lines_tell_the_rate(capsys: pytest.CaptureFixture[str]) -> None:
    with counted("images") as progress:
        for done in (10, 11, 20):
            progress("extracting", done, 20)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "extracting: 10 of 20"
    assert last.startswith("extracting: 20 of 20, ")
    assert last.endswith(" images/s")


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with counted("images") as progress:
        progress("extracting", 0, 20)
        progress("extracting", 10, 20)
    assert "extracting" in capsys.readouterr().err
