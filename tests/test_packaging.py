"""The package as a whole: what its import costs, what it exports, what is in the wheel."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import camp_bench

ROOT = Path(camp_bench.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
MODULES = [".".join(("camp_bench", *file.relative_to(ROOT).with_suffix("").parts)) for file in FILES]
MODULES = [name.removesuffix(".__init__") for name in MODULES]

IMPORTED_BY_HELP = """
import json, sys
from camp_bench.cli import main
sys.argv = ["camp-bench", "--help"]
try:
    code = main()
except SystemExit as stop:
    code = stop.code
print(json.dumps({"code": code, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def run_python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120)


def test_help_prints_usage_without_importing_anything_heavy(tmp_path: Path) -> None:
    done = run_python("-c", IMPORTED_BY_HELP, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    usage, _, last_line = done.stdout.rstrip().rpartition("\n")
    found = json.loads(last_line)
    assert not found["code"]
    assert "Usage: camp-bench" in usage
    heavy = {"torch", "numpy", "scipy", "pandas", "nltk", "safetensors", "jaxtyping", "beartype"}
    assert heavy.intersection(found["modules"]) == set()


def test_camp_bench_command_is_installed(tmp_path: Path) -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="camp-bench")
    assert script.value == "camp_bench.cli:main"
    command = Path(sys.executable).parent / "camp-bench"
    done = subprocess.run([command, "--help"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "Usage: camp-bench" in done.stdout


def test_launcher_of_the_checkout_is_the_command(checkout: Path, tmp_path: Path) -> None:
    done = run_python(str(checkout / "cli.py"), "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout


def test_package_has_modules_to_check() -> None:
    assert {"camp_bench", "camp_bench.errors", "camp_bench.data.dataset"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_module_lists_its_public_names(name: str) -> None:
    module = importlib.import_module(name)
    assert hasattr(module, "__all__"), f"{name} has no __all__"
    assert len(set(module.__all__)) == len(module.__all__)
    assert [public for public in module.__all__ if not hasattr(module, public)] == []


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_every_folder_of_the_package_is_a_package(file: Path) -> None:
    # Without its __init__.py a folder imports from a checkout all the same, but tools and wheels may leave it out.
    assert (file.parent / "__init__.py").is_file()


def test_version_is_the_one_in_the_metadata() -> None:
    assert importlib.metadata.version("camp-bench") == camp_bench.__version__


def test_package_says_that_it_is_typed() -> None:
    assert (ROOT / "py.typed").is_file()


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_module_names_no_path_outside_the_project(file: Path) -> None:
    assert "../shared" not in file.read_text(encoding="utf-8")


@pytest.mark.skipif("CAMP_BENCH_TEST_WHEEL" not in os.environ, reason="only under `make test-wheel`")
def test_wheel_is_what_is_tested_and_holds_the_package_alone() -> None:
    assert ROOT.is_relative_to(sys.prefix)
    assert ROOT.parent.name == "site-packages"
    installed = importlib.metadata.files("camp-bench")
    assert installed is not None
    folders = {file.parts[0] for file in installed if file.parts[0] != ".."}  # `..` leads to bin/camp-bench
    assert folders == {"camp_bench", f"camp_bench-{camp_bench.__version__}.dist-info"}
