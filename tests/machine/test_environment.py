"""What a record says about where a run took place."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import psutil
import pytest
import torch

from camp_bench.machine import environment
from camp_bench.machine.environment import collect_environment, peak_memory_bytes
from camp_bench.records import Environment

GIT = {
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def collect() -> Environment:
    return collect_environment(device="cpu", device_name="", threads=3)


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, env=os.environ | GIT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the package seems to lie; no repository yet."""
    folder = tmp_path / "checkout" / "camp_bench"
    folder.mkdir(parents=True)
    (folder / "environment.py").write_text("first = 1\n", encoding="utf-8")
    monkeypatch.setattr(environment, "__file__", str(folder / "environment.py"))
    return folder


def commit(package: Path) -> str:
    git(package.parent, "init", "--quiet")
    git(package.parent, "add", ".")
    git(package.parent, "commit", "--quiet", "--message", "First")
    return git(package.parent, "rev-parse", "HEAD")


class TestEnvironment:
    def test_versions_are_those_of_this_process(self) -> None:
        found = collect()
        assert found.camp_bench == version("camp-bench")
        assert found.python == ".".join(map(str, sys.version_info[:3]))
        assert found.packages["torch"] == torch.__version__
        assert found.packages["numpy"] == np.__version__
        assert set(found.packages) == {"torch", "numpy", "scipy", "safetensors", "nltk", "msgspec"}

    def test_machine(self) -> None:
        found = collect()
        assert found.system == platform.platform()
        assert found.cores == os.cpu_count()
        assert found.memory_bytes == psutil.virtual_memory().total
        assert found.processor

    @pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
    def test_processor_is_the_kernel_s_name_for_it(self) -> None:
        named = re.search(
            r"^model name\s*:\s*(.*?)\s*$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE
        )
        if named is None:
            pytest.skip("this kernel does not name its processor")
        assert collect().processor == named[1]

    def test_device_and_threads_are_as_told(self) -> None:
        found = collect_environment(device="cuda:1", device_name="Some GPU", threads=7)
        assert (found.device, found.device_name, found.threads) == ("cuda:1", "Some GPU", 7)

    def test_variables_that_change_figures_are_kept_where_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
        monkeypatch.setenv("SECRET_TOKEN", "x")
        found = collect().variables
        assert (found["OMP_WAIT_POLICY"], found["CUBLAS_WORKSPACE_CONFIG"]) == ("PASSIVE", ":4096:8")
        assert "MKL_NUM_THREADS" not in found
        assert "SECRET_TOKEN" not in found

    def test_fits_into_a_record(self) -> None:
        found = collect()
        assert msgspec.json.decode(msgspec.json.encode(found), type=Environment) == found

    def test_a_processor_without_a_name_is_called_by_its_kind(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "_read", lambda file: "processor : 0\nBogoMIPS : 50\n")
        monkeypatch.setattr(platform, "processor", lambda: "")
        assert collect().processor == platform.machine()

    def test_a_package_that_is_not_there_is_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "PACKAGES", ("numpy", "no-such-package"))
        assert set(collect().packages) == {"numpy"}


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
class TestCommit:
    def test_of_a_clean_checkout(self, package: Path) -> None:
        head = commit(package)
        assert re.fullmatch("[0-9a-f]{40}", head)
        assert collect().commit == head

    @pytest.mark.parametrize("name", ["environment.py", "new.py"])
    def test_says_where_files_of_the_package_differ(self, package: Path, name: str) -> None:
        head = commit(package)
        (package / name).write_text("second = 2\n", encoding="utf-8")
        assert collect().commit == f"{head}+changes"

    def test_files_beside_the_package_do_not_count(self, package: Path) -> None:
        head = commit(package)
        (package.parent / "results.txt").write_text("600\n", encoding="utf-8")
        assert collect().commit == head

    def test_there_is_none_without_a_checkout(self, package: Path) -> None:
        assert collect().commit is None

    def test_a_repository_around_an_installed_package_is_not_its_own(self, package: Path) -> None:
        git(package.parent.parent, "init", "--quiet")
        assert collect().commit is None

    def test_there_is_none_before_the_first_commit(self, package: Path) -> None:
        git(package.parent, "init", "--quiet")
        assert collect().commit is None

    def test_there_is_none_where_git_is_not_installed(self, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        commit(package)
        monkeypatch.setenv("PATH", "")
        assert collect().commit is None


class TestMemory:
    def test_peak_covers_what_was_held_and_only_by_this_process(self) -> None:
        """In a process of its own, started by one (pytest with torch) that takes more memory than it does."""
        script = (
            "from camp_bench.machine.environment import peak_memory_bytes\n"
            "import psutil\n"
            "before = peak_memory_bytes()\n"
            "block = b'x' * (200 << 20)\n"
            "del block\n"
            "print(before, peak_memory_bytes(), psutil.Process().memory_info().rss)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        before, peak, resident = map(int, done.stdout.split())
        assert before < resident * 1.3
        assert 190 << 20 < peak - before < 230 << 20

    def test_unknown_where_the_system_does_not_tell(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(environment, "_read", lambda file: "")
        monkeypatch.setitem(sys.modules, "resource", None)
        assert peak_memory_bytes() is None

    def test_units_of_every_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resource = pytest.importorskip("resource")

        class Usage:
            ru_maxrss = 5000

        monkeypatch.setattr(resource, "getrusage", lambda _: Usage)
        monkeypatch.setattr(
            environment, "_read", lambda file: "VmPeak:\t   90 kB\nVmHWM:\t   70 kB\nVmRSS:\t   60 kB\n"
        )
        assert peak_memory_bytes() == 70 * 1024
        monkeypatch.setattr(environment, "_read", lambda file: "")
        monkeypatch.setattr(sys, "platform", "freebsd14")
        assert peak_memory_bytes() == 5000 * 1024
        monkeypatch.setattr(sys, "platform", "darwin")
        assert peak_memory_bytes() == 5000
