"""camp-bench trains CAMP, SCAN and VSE++ on identical splits, evaluates them exactly and compares them.

What stands here is the library's front door; a name loads its module when it is first used, so importing the package
costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from camp_bench.comparison import CompareOptions, Comparison, compare, group_results
    from camp_bench.config import Experiment, read_experiment
    from camp_bench.data import open_dataset
    from camp_bench.errors import CampBenchError
    from camp_bench.gate import GateReport, check_runs, parse_limits
    from camp_bench.gate.baseline import read_baseline
    from camp_bench.models.base import PairModel
    from camp_bench.models.plugins import load_plugin
    from camp_bench.ranking.metrics import retrieval_metrics
    from camp_bench.ranking.tiles import rank_matrix
    from camp_bench.ranking.vectors import rank_embeddings
    from camp_bench.records import list_records, read_arrays, read_record
    from camp_bench.records.throughput import Workload, read_throughput
    from camp_bench.runs.checkpoint import convert_checkpoint
    from camp_bench.runs.experiment import run_experiment
    from camp_bench.throughput import measure_throughput

__all__ = [
    "CampBenchError",
    "CompareOptions",
    "Comparison",
    "Experiment",
    "GateReport",
    "PairModel",
    "Workload",
    "__version__",
    "check_runs",
    "compare",
    "convert_checkpoint",
    "group_results",
    "list_records",
    "load_plugin",
    "measure_throughput",
    "open_dataset",
    "parse_limits",
    "rank_embeddings",
    "rank_matrix",
    "read_arrays",
    "read_baseline",
    "read_experiment",
    "read_record",
    "read_throughput",
    "retrieval_metrics",
    "run_experiment",
]

__version__ = "0.1.0"

_HOMES = {
    "CampBenchError": "errors",
    "CompareOptions": "comparison",
    "Comparison": "comparison",
    "Experiment": "config",
    "GateReport": "gate",
    "PairModel": "models.base",
    "Workload": "records.throughput",
    "check_runs": "gate",
    "compare": "comparison",
    "convert_checkpoint": "runs.checkpoint",
    "group_results": "comparison",
    "list_records": "records",
    "load_plugin": "models.plugins",
    "measure_throughput": "throughput",
    "open_dataset": "data",
    "parse_limits": "gate",
    "rank_embeddings": "ranking.vectors",
    "rank_matrix": "ranking.tiles",
    "read_arrays": "records",
    "read_baseline": "gate.baseline",
    "read_experiment": "config",
    "read_record": "records",
    "read_throughput": "records.throughput",
    "retrieval_metrics": "ranking.metrics",
    "run_experiment": "runs.experiment",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'camp_bench' has no attribute '{name}'")
    return getattr(import_module(f"camp_bench.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
