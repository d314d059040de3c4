"""Devices by name, strict numerics and their way back, and errors that say what to do."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from camp_bench.errors import DeviceError
from camp_bench.machine.devices import (
    DEVICES,
    autocast,
    describe_device,
    explained_memory,
    nondeterminism,
    peak_device_bytes,
    resolve_device,
    strict_numerics,
)

CPU = torch.device("cpu")


def machine(monkeypatch: pytest.MonkeyPatch, *, gpus: int = 0, mps: bool = False) -> None:
    """Pretend to be a machine with so many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


MEMORY: Any = torch.utils.deterministic
BACKENDS: Any = torch.backends  # torch declares no types for these attributes
PARTS = {
    "general": BACKENDS,
    "cudnn": BACKENDS.cudnn,
    "cudnn.conv": BACKENDS.cudnn.conv,
    "cudnn.rnn": BACKENDS.cudnn.rnn,
    "cuda.matmul": BACKENDS.cuda.matmul,
    "mkldnn": BACKENDS.mkldnn,
    "mkldnn.conv": BACKENDS.mkldnn.conv,
    "mkldnn.rnn": BACKENDS.mkldnn.rnn,
    "mkldnn.matmul": BACKENDS.mkldnn.matmul,
}


def precisions() -> dict[str, str]:
    return {name: part.fp32_precision for name, part in PARTS.items()}


@pytest.fixture
def untouched() -> Iterator[None]:
    """Undo what a test sets in torch."""
    before = precisions()
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    yield
    for name, part in PARTS.items():
        part.fp32_precision = before[name]
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    assert precisions() == before


class TestNames:
    def test_cpu_is_always_there(self) -> None:
        assert resolve_device("cpu") == CPU

    @pytest.mark.parametrize(
        ("gpus", "mps", "best"), [(0, False, "cpu"), (2, False, "cuda"), (0, True, "mps"), (1, True, "cuda")]
    )
    def test_auto_is_the_best_there_is(self, monkeypatch: pytest.MonkeyPatch, gpus: int, mps: bool, best: str) -> None:
        machine(monkeypatch, gpus=gpus, mps=mps)
        assert resolve_device("auto") == torch.device(best)

    def test_a_gpu_by_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine(monkeypatch, gpus=2, mps=True)
        assert resolve_device("cuda:1") == torch.device("cuda", 1)
        assert resolve_device("cuda") == torch.device("cuda")
        assert resolve_device("mps") == torch.device("mps")

    @pytest.mark.parametrize(
        ("name", "gpus", "mps", "there"),
        [
            ("cuda", 0, False, "cpu"),
            ("mps", 0, False, "cpu"),
            ("cuda:2", 2, False, "cpu, cuda:0, cuda:1"),
            ("gpu", 1, True, "cpu, cuda:0, mps"),
            ("cpu:0", 0, False, "cpu"),
            ("", 0, False, "cpu"),
            ("CPU", 0, False, "cpu"),
        ],
    )
    def test_one_that_is_not_there_is_refused_with_those_that_are(
        self, monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, mps: bool, there: str
    ) -> None:
        machine(monkeypatch, gpus=gpus, mps=mps)
        with pytest.raises(DeviceError) as caught:
            resolve_device(name)
        assert str(caught.value) == f"device '{name}' is not there; this machine has {there} (or pass --device auto)"

    def test_every_name_offered_is_understood(self, monkeypatch: pytest.MonkeyPatch) -> None:
        machine(monkeypatch, gpus=1, mps=True)
        assert [resolve_device(name).type for name in DEVICES] == ["cuda", "cpu", "cuda", "mps"]

    def test_only_a_gpu_has_a_name_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
        assert describe_device(torch.device("cuda", 3)) == "GPU 3"
        assert describe_device(CPU) == describe_device(torch.device("mps")) == ""


@pytest.mark.usefixtures("untouched")
class TestStrictNumerics:
    @pytest.mark.parametrize("outside", ["highest", "high", "medium"])
    def test_no_tf32_inside_and_all_as_before_outside(self, outside: str) -> None:
        torch.set_float32_matmul_precision(outside)
        before = precisions()
        with strict_numerics(CPU):
            assert set(precisions().values()) == {"ieee"}
        assert precisions() == before
        assert torch.get_float32_matmul_precision() == outside

    @pytest.mark.parametrize("precision", ["none", "ieee", "tf32"])
    @pytest.mark.parametrize("name", PARTS)
    def test_a_precision_that_the_user_set_is_overruled_and_comes_back(self, name: str, precision: str) -> None:
        PARTS[name].fp32_precision = precision
        before = precisions()
        with strict_numerics(CPU):
            assert set(precisions().values()) == {"ieee"}
        assert precisions() == before

    @pytest.mark.parametrize(("enabled", "warn_only"), [(False, False), (True, False), (True, True)])
    def test_kernels_are_deterministic_inside_only(self, enabled: bool, warn_only: bool) -> None:
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        with strict_numerics(CPU):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled()
            assert not MEMORY.fill_uninitialized_memory
        assert MEMORY.fill_uninitialized_memory
        assert torch.are_deterministic_algorithms_enabled() == enabled
        assert torch.is_deterministic_algorithms_warn_only_enabled() == warn_only

    @pytest.mark.parametrize("filled", [False, True])
    def test_new_tensors_are_not_filled_inside(self, filled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        """torch's deterministic mode does so by default, in a pass over each tensor before the one that computes it."""
        monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", filled)
        with strict_numerics(CPU):
            assert not torch.utils.deterministic.fill_uninitialized_memory
        assert torch.utils.deterministic.fill_uninitialized_memory == filled

    def test_mps_has_no_deterministic_kernels_to_ask_for(self) -> None:
        with strict_numerics(torch.device("mps")):
            assert not torch.are_deterministic_algorithms_enabled()
            assert set(precisions().values()) == {"ieee"}

    def test_an_error_inside_restores_too(self) -> None:
        before = precisions()
        with pytest.raises(KeyError), strict_numerics(CPU):
            raise KeyError
        assert precisions() == before
        assert not torch.are_deterministic_algorithms_enabled()

    def test_one_inside_the_other(self) -> None:
        before = precisions()
        with strict_numerics(CPU):
            with strict_numerics(CPU):
                pass
            assert set(precisions().values()) == {"ieee"}
            assert torch.are_deterministic_algorithms_enabled()
        assert precisions() == before

    def test_cublas_gets_its_workspace_unless_the_user_chose_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
        with strict_numerics(CPU):
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
        with strict_numerics(CPU):
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


class TestNondeterminism:
    def test_what_torch_says_about_kernels_is_collected(self) -> None:
        with nondeterminism() as reasons:
            warnings.warn(
                "put_ does not have a deterministic implementation\nsee the manual", UserWarning, stacklevel=1
            )
            assert reasons == []
        assert reasons == ["put_ does not have a deterministic implementation"]

    def test_repeated_warnings_are_not_lost(self) -> None:
        for _ in range(2):
            with nondeterminism() as reasons:
                warnings.warn("x is not deterministic", UserWarning, stacklevel=1)
            assert len(reasons) == 1

    def test_quiet_kernels_give_nothing(self) -> None:
        with nondeterminism() as reasons:
            torch.ones(2, 2) @ torch.ones(2, 2)
        assert reasons == []

    def test_other_warnings_are_passed_on(self) -> None:
        with pytest.warns(RuntimeWarning, match="lazy") as caught, nondeterminism() as reasons:
            warnings.warn("lazy modules are new", RuntimeWarning, stacklevel=1)
        assert reasons == []
        assert caught[0].filename == __file__

    def test_an_error_inside_passes_through(self) -> None:
        with pytest.raises(KeyError), nondeterminism():
            raise KeyError


class TestPrecision:
    def test_bf16_computes_products_in_bf16(self) -> None:
        with autocast(CPU, "bf16"):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16

    def test_fp32_changes_nothing(self) -> None:
        with autocast(CPU, "fp32"):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


class TestMemory:
    def test_only_a_gpu_counts_its_memory(self) -> None:
        assert peak_device_bytes(CPU) is None

    def test_a_peak_is_reported_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        peaks = {"now": 700}
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: peaks["now"])
        monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: peaks.update(now=0))
        assert peak_device_bytes(torch.device("cuda")) == 700
        assert peak_device_bytes(torch.device("cuda")) == 0

    @pytest.mark.parametrize(
        "error",
        [
            MemoryError(),
            MemoryError("Unable to allocate 9 GiB for an array"),
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nSee the manual"),
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        ],
    )
    def test_out_of_memory_becomes_one_line_with_a_remedy(self, error: Exception) -> None:
        said = r"^out of memory \(.+\); pass a smaller --batch$"
        with pytest.raises(DeviceError, match=said) as caught, explained_memory("pass a smaller --batch"):
            raise error
        assert "\n" not in str(caught.value)

    def test_a_real_allocation_that_fails(self) -> None:
        with pytest.raises(DeviceError, match="out of memory"), explained_memory("buy some"):
            torch.empty(2**60, dtype=torch.uint8)

    @pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("x"), KeyboardInterrupt()])
    def test_other_errors_stay_what_they_are(self, error: BaseException) -> None:
        with pytest.raises(type(error)) as caught, explained_memory("buy some"):
            raise error
        assert caught.value is error
