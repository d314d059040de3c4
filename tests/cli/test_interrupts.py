"""Ctrl-C ends a command with 130 wherever it comes, its imports included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

INTERRUPTING = """
import os, signal, sys
from importlib import abc
class AtImport(abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            sys.meta_path.remove(self)
            try:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000): pass
            except BaseException:  # as libraries do
                pass
        return None
sys.meta_path.insert(0, AtImport())
sys.argv = ["camp-bench", "compare", {place!r}]
from camp_bench.cli import main
code = main()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
sys.exit(code)
"""

SWALLOWED = """
import os, signal, sys, time
from camp_bench.cli import app, main
class Dying:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass
@app.command()
def die():
    thing = Dying()
    del thing
    time.sleep(20)
sys.exit(main(["die"]))
"""


def ended(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
@pytest.mark.parametrize("name", ["typer", "camp_bench.cli.run", "camp_bench.comparison", "numpy"])
def test_an_interrupt_within_an_import_is_not_lost(tmp_path: Path, name: str) -> None:
    done = ended(INTERRUPTING.format(name=name, place=str(tmp_path)))
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_an_interrupt_within_a_destructor_is_not_lost() -> None:
    done = ended(SWALLOWED)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
