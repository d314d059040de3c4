"""From records to what may stand side by side: grouped by what was asked, with every difference named and tested.

`group_results` is what a run prints at its end. `compare` reads the per-query results too and says how sure each figure
and each difference is.
"""

from __future__ import annotations

from camp_bench.comparison.analysis import compare, compare_groups
from camp_bench.comparison.groups import ModelRow, ResultGroup, group_results, run_seconds
from camp_bench.comparison.loading import BadRecord, FinishedRun, load_runs
from camp_bench.comparison.options import CompareOptions
from camp_bench.comparison.published import PublishedRow, read_published
from camp_bench.comparison.queries import QueryDifference, QueryDifferences, query_differences
from camp_bench.comparison.rows import Comparison, Estimate, PairRow, PairTest, ScoredRow

__all__ = [
    "BadRecord",
    "CompareOptions",
    "Comparison",
    "Estimate",
    "FinishedRun",
    "ModelRow",
    "PairRow",
    "PairTest",
    "PublishedRow",
    "QueryDifference",
    "QueryDifferences",
    "ResultGroup",
    "ScoredRow",
    "compare",
    "compare_groups",
    "group_results",
    "load_runs",
    "query_differences",
    "read_published",
    "run_seconds",
]
