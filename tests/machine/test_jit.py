"""Compiled loops: the same results as Python's, with or without a folder that the machine code can be kept in."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pytest

from camp_bench.machine.jit import compiled


def count_above(values: npt.NDArray[np.float32], threshold: float) -> int:
    count = 0
    for value in values:
        count += value > threshold
    return count


def test_a_compiled_loop_returns_what_python_does() -> None:
    values = np.array([0.0, 2.0, np.nan, 3.0], dtype=np.float32)
    assert compiled(count_above)(values, 1.0) == count_above(values, 1.0) == 2


def test_without_a_folder_for_machine_code_it_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    njit = numba.njit

    def refusing(**options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(numba, "njit", refusing)
    assert compiled(count_above)(np.ones(3, np.float32), 0.0) == 3
