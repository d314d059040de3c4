"""Measurements on items so small that only their counts and their bookkeeping mean anything."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest
import torch
from examples import TINY

from camp_bench.errors import ConfigError, DeviceError
from camp_bench.records.throughput import Workload
from camp_bench.throughput import measure as measuring
from camp_bench.throughput import measure_throughput, products, sampling
from camp_bench.throughput.memory import require_memory
from camp_bench.throughput.products import make_product

CPU = torch.device("cpu")
SMALL = Workload(images=6, captions=10, regions=3, words=4.0, dim=8, feature_size=8)


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let samples be too short to mean anything."""
    monkeypatch.setattr(sampling, "SAMPLE_SECONDS", 1e-4)
    monkeypatch.setitem(products.SIDE, "cpu", 64)


@pytest.mark.parametrize("model", ["vsepp", "vsepp:order", "scan", "scan:i2t-avg", "scan:ensemble", "camp"])
def test_every_kind_of_model_is_measured(model: str) -> None:
    report = measure_throughput([model], SMALL, turns=3)
    (found,) = report.models
    assert report.environment.device == "cpu"
    for part in (found.score, found.evaluate, found.encode_images, found.encode_captions, found.product):
        assert len(part.samples) == 3
        assert min(part.samples) > 0
    assert found.workload.pairs == 60
    assert found.baselines[0].padded_words is None
    assert found.baselines[0].max_difference is not None
    assert found.baselines[0].max_difference < 1e-5
    assert len(found.baselines[0].speed_ups) == 3
    assert found.useful_flops <= found.flops
    assert [item.padded_words for item in found.baselines[1:]] == ([50] if model == "camp" else [])


def test_counts_are_those_of_the_formulas() -> None:
    report = measure_throughput(["vsepp", "scan", "camp"], SMALL, turns=2)
    vsepp, scan, camp = report.models
    assert vsepp.flops_per_pair == vsepp.useful_flops_per_pair == vsepp.baselines[0].flops_per_pair == 2 * 8
    # the product of regions and words is in every form; beyond it the plain form makes contexts, L D R multiplications
    table = 2 * 3 * scan.workload.words * 8
    assert table <= scan.useful_flops_per_pair <= scan.flops_per_pair
    assert scan.baselines[0].flops_per_pair == pytest.approx(2 * table, rel=0.2)  # its captions are a part
    assert camp.baselines[1].flops > camp.baselines[0].flops * 50 / 7


def test_counts_do_not_depend_on_the_run_or_its_threads() -> None:
    first, second = (measure_throughput(["scan"], SMALL, turns=2, threads=n).models[0] for n in (1, 2))
    assert (first.flops, first.useful_flops, first.traffic_bytes) == (
        second.flops,
        second.useful_flops,
        second.traffic_bytes,
    )


def test_speed_ups_are_per_pair_and_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    def take_turns(jobs: dict[str, object], turns: int, *_rest: object) -> dict[str, list[float]]:
        return {name: [3.0] * turns if name == "plain" else [0.5, 2.0] for name in jobs}  # seconds

    monkeypatch.setattr(measuring, "take_turns", take_turns)
    (found,) = measure_throughput(["vsepp"], SMALL, turns=2).models
    (plain,) = found.baselines
    share = plain.pairs / 60
    assert plain.speed_ups == pytest.approx((3 / share / 0.5, 3 / share / 2))
    assert found.product.samples == (2 * 64 * 64 * 8 / 0.5, 2 * 64 * 64 * 8 / 2)


def test_a_sweep_times_more_and_more_pairs() -> None:
    (found,) = measure_throughput(["vsepp"], SMALL, turns=2, scaling=True).models
    assert [point.pairs for point in found.scaling] == [60, 120, 240, 480]
    assert found.growth_exponent is not None


def test_a_dataset_gives_the_workload() -> None:
    stages: list[str] = []
    asked = Workload(images=3, dim=8, data=TINY)
    (found,) = measure_throughput(["scan"], asked, turns=2, on_stage=stages.append).models
    assert msgspec.structs.replace(found.workload, words=0.0) == Workload(
        images=3, captions=15, regions=8, words=0.0, dim=8, feature_size=16, data=TINY
    )
    assert stages[0] == f"reading {TINY}"
    assert "scan:t2i-lse: timing, turn 2 of 2" in stages


def test_threads_and_gradients_are_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    measure_throughput(["vsepp"], SMALL, turns=2, threads=before + 1)
    assert torch.get_num_threads() == before
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("models", "changes", "message"),
    [
        (["scna"], {}, "unknown model 'scna' .did you mean 'scan'"),
        (["scan", "scan:t2i-lse"], {}, "each once"),
        ([], {}, "got none"),
        (["scan"], {"turns": 1}, "turns: got 1, expected 2"),
        (["scan"], {"threads": -1}, "threads: got -1, expected 0"),
    ],
)
def test_what_makes_no_sense_is_refused(models: list[str], changes: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        measure_throughput(models, SMALL, **changes)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError, match="device 'cuda:7' is not there"):
        measure_throughput(["scan"], SMALL, device="cuda:7")


@pytest.mark.parametrize(
    "huge", [{"dim": 2**16}, {"images": 10**7, "dim": 2**10}, {"regions": 10**4, "feature_size": 2**20}]
)
def test_sizes_beyond_the_memory_are_refused_before_any_work(huge: dict[str, int]) -> None:
    with pytest.raises(DeviceError, match=r"would need .* GB or more, and cpu has .* GB free; lower --images"):
        measure_throughput(["camp"], msgspec.structs.replace(SMALL, **huge))


def test_memory_is_required_in_words_of_the_user() -> None:
    require_memory(1000, CPU, "this", "ask for less")
    with pytest.raises(DeviceError, match=r"this would need 1,000,000\.0 GB or more, and cpu has .* ask for less"):
        require_memory(10**15, CPU, "this", "ask for less")


HOLD = """
import torch
from camp_bench.throughput.memory import peak_bytes

def hold():
    for _ in range(3):
        torch.ones(50 << 20, dtype=torch.uint8)

print(peak_bytes(torch.device("cpu"), hold))
"""


def test_peak_is_what_was_held_at_once() -> None:
    """In a process of its own: what other tests have left in the allocator may be handed out again unseen."""
    size = 50 << 20
    done = subprocess.run([sys.executable, "-c", HOLD], capture_output=True, text=True, check=True)
    peak = None if done.stdout.strip() == "None" else int(done.stdout)
    assert peak is None or size * 0.9 < peak < size * 1.5


def test_all_ways_of_a_product_give_the_same() -> None:
    product = make_product(8, CPU)
    assert product.shape == (64, 8, 64)
    assert product.flops == 2 * 64 * 8 * 64
    found = [way() for way in product.ways.values()]
    whole = [torch.cat(part) if isinstance(part, list) else part for part in found]
    for other in whole[1:]:
        torch.testing.assert_close(other, whole[0])
