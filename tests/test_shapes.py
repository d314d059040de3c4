"""The shapes in signatures are checked in tests, and cost nothing outside them."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jaxtyping
import pytest
import torch

import camp_bench
from camp_bench.models.losses import same_image, triplet_loss
from camp_bench.models.norms import word_mask

ROOT = Path(camp_bench.__file__).parent

PROBE = """
    from __future__ import annotations

    from torch import Tensor

    from camp_bench.shapes import Float

    __all__ = ["times"]

    def times(a: Float[Tensor, "rows inner"], b: Float[Tensor, "inner columns"]) -> Float[Tensor, "rows columns"]:
        return a @ b if a.shape[1] > 1 else (b.T @ a.T)
"""


@pytest.fixture
def probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A package written as camp_bench's modules are, imported under the same hook."""
    (tmp_path / "shape_probe.py").write_text(textwrap.dedent(PROBE), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with jaxtyping.install_import_hook("shape_probe", "beartype.beartype"):
        yield importlib.import_module("shape_probe")
    del sys.modules["shape_probe"]


def test_right_shapes_pass(probe: ModuleType) -> None:
    assert probe.times(torch.ones(2, 3), torch.ones(3, 4)).shape == (2, 4)


def test_sizes_of_one_name_have_to_agree(probe: ModuleType) -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="'b'"):
        probe.times(torch.ones(2, 3), torch.ones(2, 4))


def test_wrong_number_type_is_caught(probe: ModuleType) -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="'a'"):
        probe.times(torch.ones(2, 3, dtype=torch.int64), torch.ones(3, 4))


def test_wrong_result_is_caught(probe: ModuleType) -> None:
    with pytest.raises(jaxtyping.TypeCheckError, match="return value"):
        probe.times(torch.ones(2, 1), torch.ones(1, 4))


def test_package_itself_is_under_the_hook() -> None:
    same = same_image(torch.arange(3))
    assert triplet_loss(torch.zeros(3, 3), same, margin=0.2, hardest=True).ndim == 0
    with pytest.raises(jaxtyping.TypeCheckError, match="'scores'"):
        triplet_loss(torch.zeros(3, 4), same, margin=0.2, hardest=True)
    with pytest.raises(jaxtyping.TypeCheckError, match="'same'"):
        triplet_loss(torch.zeros(3, 3), torch.ones(4, 4, dtype=torch.bool), margin=0.2, hardest=True)
    with pytest.raises(jaxtyping.TypeCheckError, match="'lengths'"):
        word_mask(torch.ones(2, 2, dtype=torch.int64), 3)


def test_every_function_with_shapes_is_checked() -> None:
    names = [".".join(("camp_bench", *file.relative_to(ROOT).with_suffix("").parts)) for file in ROOT.rglob("*.py")]
    checked, unchecked = 0, []
    for name in sorted(name.removesuffix(".__init__") for name in names):
        module = importlib.import_module(name)
        for label, function in functions_of(module):
            if any("Tensor, " in str(hint) for hint in inspect.get_annotations(inspect.unwrap(function)).values()):
                checked += 1
                if not hasattr(function, "__wrapped__"):
                    unchecked.append(f"{name}.{label}")
    assert unchecked == []
    assert checked > 10


def functions_of(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Yield the functions and methods that a module defines."""
    for label, value in vars(module).items():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(value):
            yield label, value
        elif inspect.isclass(value):
            yield from ((f"{label}.{inner}", it) for inner, it in vars(value).items() if inspect.isfunction(it))


def test_package_runs_without_jaxtyping(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import importlib.abc
        import sys

        class Absent(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in ("jaxtyping", "beartype"):
                    raise ImportError(f"{name} is a dependency of the tests only")

        sys.meta_path.insert(0, Absent())
        import torch
        from camp_bench.models.losses import same_image
        assert same_image(torch.tensor([0, 0, 1])).sum() == 5
        """
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
