"""The pytest plugin, in a pytest of its own: it passes, fails and errs as the gate does, and costs others nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from gate_examples import World, write_runs

from camp_bench.errors import RecordError
from camp_bench.gate.baseline import Baseline, window_of, write_baseline
from camp_bench.pytest_plugin import assert_recall

WORLD = World(images=60)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a baseline, runs that hold and runs that don't."""
    folder = tmp_path_factory.mktemp("gate")
    write_baseline(folder / "base.json", Baseline(recall=window_of(write_runs(folder / "old", WORLD, 5))))
    write_runs(folder / "same", WORLD, 2, seed=20)
    write_runs(folder / "worse", WORLD, 2, seed=30, worse=1.0)
    return folder


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    quiet = ["-q", "-p", "no:cacheprovider", "-p", "no:camp_bench", "-W", "error"]  # not as installed: by its name
    command = [sys.executable, "-m", "pytest", *quiet, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_assertion_holds_fails_and_refuses(place: Path) -> None:
    assert_recall(place / "same", place / "base.json")
    assert_recall([place / "same", place / "worse"], place / "base.json", tolerance=600.0, alpha=0.01)
    with pytest.raises(AssertionError, match=r"base: vsepp on toy(.|\n)*regressed: rsum went from"):
        assert_recall(str(place / "worse"), str(place / "base.json"), metrics=["rsum", "i2t.R@5"])
    with pytest.raises(AssertionError, match="below floor: rsum is"):
        assert_recall(place / "same", place / "base.json", floors=["rsum=599"])
    with pytest.raises(RecordError, match="can't be read"):
        assert_recall(place / "same", place / "none.json")
    with pytest.raises(RecordError, match="no such folder"):
        assert_recall(place / "none", place / "base.json")


def test_fixture_in_a_suite_of_its_own(place: Path) -> None:
    (place / "test_it.py").write_text(
        "def test_same(assert_recall):\n    assert_recall('same', 'base.json')\n"
        "def test_worse(assert_recall):\n    assert_recall('worse', 'base.json', tolerance=2.0)\n"
        "def test_missing(assert_recall):\n    assert_recall('worse', 'none.json')\n"
    )
    done = run_pytest(place, "-p", "camp_bench.pytest_plugin", "test_it.py")
    assert done.returncode == 1, done.stderr
    assert "2 failed, 1 passed" in done.stdout
    assert "AssertionError: base: vsepp on toy, test split, protocol full" in done.stdout
    assert "RecordError: none.json: can't be read" in done.stdout


IMPORTS = """
import json, sys
def test_imports():
    print("IMPORTED", json.dumps(sorted(sys.modules)))
"""


def imported(folder: Path, *arguments: str) -> Sequence[str]:
    (folder / "test_imports.py").write_text(IMPORTS)
    done = run_pytest(folder, "-s", *arguments, "test_imports.py")
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("IMPORTED "))
    found: list[str] = json.loads(line.removeprefix("IMPORTED "))
    return found


def test_loading_it_imports_nothing_but_itself(tmp_path: Path) -> None:
    without = set(imported(tmp_path))
    with_it = set(imported(tmp_path, "-p", "camp_bench.pytest_plugin"))
    assert with_it - without <= {"camp_bench", "camp_bench.pytest_plugin"}
    assert "camp_bench.pytest_plugin" in with_it


def test_entry_point_is_how_pytest_finds_it(place: Path, tmp_path: Path) -> None:
    """As installed: a distribution whose entry point names the plugin, whatever this environment was installed from."""
    info = tmp_path / "camp_bench_gate_example-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: camp-bench-gate-example\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pytest11]\ncamp_bench = camp_bench.pytest_plugin\n")
    (info / "RECORD").write_text("camp_bench/__init__.py,,\ncamp_bench/pytest_plugin.py,,\n")
    (place / "test_entry.py").write_text("def test_same(assert_recall):\n    assert_recall('same', 'base.json')\n")
    code = f"import sys, pytest; sys.path.insert(0, {str(tmp_path)!r}); sys.exit(pytest.main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "-q", "-p", "no:cacheprovider", "-W", "error", "test_entry.py"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
