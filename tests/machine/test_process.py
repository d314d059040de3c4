"""Threads and allocator: settled in a fresh process, since both are settings of the process."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

KEPT = ("OMP_WAIT_POLICY", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def run(script: str, **environment: str) -> str:
    """Run a script in a fresh interpreter, with only the named ones of the variables in question."""
    clean = {name: value for name, value in os.environ.items() if name not in KEPT}
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-c",
            f"import os, sys\nfrom camp_bench.machine.process import prepare_process\n{script}",
        ],
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_idle_threads_wait_asleep() -> None:
    assert run("prepare_process(); print(os.environ['OMP_WAIT_POLICY'])") == "PASSIVE"


def test_what_the_user_has_set_stays() -> None:
    script = "prepare_process(); print(os.environ['OMP_WAIT_POLICY'])"
    assert run(script, OMP_WAIT_POLICY="ACTIVE") == "ACTIVE"


def test_importing_changes_nothing() -> None:
    assert run("print('OMP_WAIT_POLICY' in os.environ)") == "False"


def test_twice_is_harmless() -> None:
    script = "prepare_process(); once = dict(os.environ); prepare_process(); print(once == dict(os.environ))"
    assert run(script) == "True"


def test_torch_is_not_loaded() -> None:
    assert run("prepare_process(); print({'torch', 'numpy'} & set(sys.modules))") == "set()"


FAULTS = """
import resource

before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    blocks = bytearray(12 << 20), bytearray(12 << 20)
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_freed_memory_is_kept_unless_the_user_says_otherwise() -> None:
    """Blocks that go back to the system cost a page fault for each of their pages at every use, not at the first."""
    kept = int(run(f"prepare_process()\n{FAULTS}"))
    assert kept < int(run(FAULTS)) / 5
    assert kept < int(run(f"prepare_process()\n{FAULTS}", MALLOC_MMAP_THRESHOLD_="131072")) / 5
