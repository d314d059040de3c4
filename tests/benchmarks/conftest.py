"""What all benchmarks share. They run by `make bench`, on all cores and without the shape checks of the tests.

`camp-bench throughput` compares a model with its plain form; these compare today's program with that of before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from camp_bench.machine.process import prepare_process

prepare_process()  # as the command line does; it has to come before torch

import msgspec  # noqa: E402 (after the process is prepared)
import torch  # noqa: E402

from camp_bench.machine.devices import strict_numerics  # noqa: E402
from camp_bench.models.base import PairModel, Shape  # noqa: E402
from camp_bench.models.registry import build_model, find_variant  # noqa: E402
from camp_bench.throughput.workload import VOCABULARY_SIZE  # noqa: E402

FEATURE_SIZE = 2048
CPU = torch.device("cpu")


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Let a saved run say what else has to be equal before seconds can be compared."""
    machine_info["torch"] = torch.__version__
    machine_info["threads"] = torch.get_num_threads()


@pytest.fixture(autouse=True)
def as_in_a_run() -> Iterator[None]:
    """Compute in float32 and deterministically, as every run does."""
    with strict_numerics(CPU):
        yield


@pytest.fixture
def model() -> Callable[[str, int], PairModel]:
    """Return a function from a name and a D to a model with random weights in the published settings."""

    def build(name: str, dim: int) -> PairModel:
        variant = find_variant(name)
        settings = msgspec.structs.replace(variant.settings["paper-f30k"], dim=dim)
        return build_model(variant, settings, variant.options, Shape(VOCABULARY_SIZE, FEATURE_SIZE), seed=0)

    return build
