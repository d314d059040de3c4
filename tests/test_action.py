"""The GitHub Action: inputs reach `camp-bench check` word for word, and none is ever part of a shell line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EVIL = "$(touch pwned) `touch pwned`; touch pwned & \"' ${HOME} * -rf"
STUB = f"#!{sys.executable}\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\nsys.exit(1)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    command = tmp_path / "bin" / "camp-bench"
    command.parent.mkdir()
    command.write_text(STUB)
    command.chmod(0o755)
    return tmp_path


def act(checkout: Path, folder: Path, **inputs: str) -> tuple[int, list[str]]:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    environment = {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "CHECK_INSTALL": "false"}
    done = subprocess.run(
        [bash, str(checkout / "action.sh")], cwd=folder, env=environment | inputs, capture_output=True, text=True
    )
    assert done.stderr == ""
    words: list[str] = json.loads(done.stdout)
    return done.returncode, words


def test_inputs_become_options_and_the_exit_code_is_the_gates(checkout: Path, folder: Path) -> None:
    code, words = act(
        checkout,
        folder,
        CHECK_BASELINE="b.json",
        CHECK_RUNS="results/a\nresults/b c\n",
        CHECK_METRICS="rsum\ni2t.R@1",
        CHECK_FAIL="t2i.R@1:2%\n",
        CHECK_FLOORS="",
        CHECK_TOLERANCE="1.0",
        CHECK_STRICT="true",
        CHECK_PROVE="true",
        GITHUB_STEP_SUMMARY="/tmp/summary",
    )
    assert code == 1
    assert words == [
        "check",
        "--baseline=b.json",
        "--github",
        "--metric=rsum",
        "--metric=i2t.R@1",
        "--fail=t2i.R@1:2%",
        "--tolerance=1.0",
        "--markdown=/tmp/summary",
        "--prove",
        "--strict",
        "--",
        "results/a",
        "results/b c",
    ]


def test_no_input_is_run_or_split(checkout: Path, folder: Path) -> None:
    names = ("BASELINE", "RUNS", "METRICS", "FAIL", "FLOORS", "TOLERANCE", "ALPHA", "JUNIT")
    _, words = act(checkout, folder, **{f"CHECK_{name}": EVIL for name in names}, CHECK_STRICT=EVIL)
    assert words[-2:] == ["--", EVIL]
    assert words[1] == f"--baseline={EVIL}"
    assert [word for word in words if EVIL in word] == [word for word in words if "pwned" in word]
    assert not (folder / "pwned").exists()
    _, words = act(checkout, folder, CHECK_BASELINE="b", CHECK_RUNS="")
    assert words[-1] == "--"


def test_action_puts_inputs_into_the_environment_alone(checkout: Path) -> None:
    lines = (checkout / "action.yml").read_text().splitlines()
    using = [line.strip() for line in lines if "${{" in line]
    assert using
    for line in using:
        assert re.fullmatch(r"CHECK_[A-Z_]+: \$\{\{ inputs\.[a-z-]+ \}\}", line)
    inputs = lines[: lines.index("runs:")]
    declared = {match[1] for line in inputs if (match := re.fullmatch(r"  ([a-z-]+):", line))}
    used = {name for line in using for name in re.findall(r"inputs\.([a-z-]+)", line)}
    assert declared == used
    script = (checkout / "action.sh").read_text()
    assert {line.split(":")[0] for line in using} == set(re.findall(r"CHECK_[A-Z_]+", script))
