"""What all tests share: shapes checked at every call, one thread, fixtures for what a machine may lack."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import jaxtyping
import pytest
from hypothesis import settings

# Float sums depend on the thread count in their last bits. Set before torch is imported, and inherited by the
# processes that tests start; under xdist it also keeps the workers out of each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# From here on every annotated function of the package checks its arguments and result, shapes included. That works
# only on modules that are yet to be imported.
# pytest itself loads the package's plugin, and with it the package, which has nothing in it.
if early := [name for name in sys.modules if name.startswith("camp_bench.") and name != "camp_bench.pytest_plugin"]:
    raise RuntimeError(f"imported before the shape checks were installed: {', '.join(early)}")
jaxtyping.install_import_hook("camp_bench", "beartype.beartype")

# A busy machine is no failure; in CI the same examples run every time.
settings.register_profile("camp-bench", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("camp-bench")

REAL_DATA = "CAMP_BENCH_REAL_DATA"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine can't run."""
    needs_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if needs_gpu:
        import torch  # 2 s, so only where a test asks for it

        if not torch.cuda.is_available():
            for item in needs_gpu:
                item.add_marker(pytest.mark.skip(reason="no CUDA device here"))
    if REAL_DATA not in os.environ:
        for item in items:
            if item.get_closest_marker("real"):
                item.add_marker(pytest.mark.skip(reason=f"no real dataset: {REAL_DATA} is not set"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real data in SCAN's layout; a test that uses it is marked `real` and skipped without it."""
    if REAL_DATA not in os.environ:
        pytest.skip(f"no real dataset: {REAL_DATA} is not set")
    folder = Path(os.environ[REAL_DATA])
    if not (folder / "test_ims.npy").is_file():  # a wrong path must not pass as "skipped"
        pytest.fail(f"{REAL_DATA}={folder}: no test_ims.npy there; give a folder with train, dev and test or unset it")
    return folder


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Return the repository's root; skip where the tests run on an installed wheel, away from it."""
    root = Path(__file__).resolve().parent.parent
    if not (root / "camp_bench").is_dir():
        pytest.skip("runs on the installed wheel, without a checkout")
    return root
