"""Rows as text: the terminal, Markdown, LaTeX, HTML, CSV, JSON. Nothing is computed here; rounding happens here alone.

Results of a run (`results`) and comparisons: `layout` lays one out as sheets, and a file a format writes these down.
"""

from __future__ import annotations

from camp_bench.report.comparison import comparison_sheets
from camp_bench.report.formats import FORMATS, format_of, render, render_sheet
from camp_bench.report.listings import published_sheet, queries_sheet
from camp_bench.report.prose import explain, verdict
from camp_bench.report.results import format_duration, results_table, results_title
from camp_bench.report.writers.terminal import draw_comparisons, draw_sheet, terminal_tables

__all__ = [
    "FORMATS",
    "comparison_sheets",
    "draw_comparisons",
    "draw_sheet",
    "explain",
    "format_duration",
    "format_of",
    "published_sheet",
    "queries_sheet",
    "render",
    "render_sheet",
    "results_table",
    "results_title",
    "terminal_tables",
    "verdict",
]
