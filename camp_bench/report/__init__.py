"""What readers see. Builders lay results out as a `Document`; writers write it down, a format a file.

    comparison results throughput gate dataset listings -> document -> writers/{terminal,markdown,latex,html,csv,json}
                                                                       writers/{junit,github} for verdicts

Nothing is computed here; rounding happens here alone.
"""

from __future__ import annotations

from camp_bench.report.comparison import comparison_document
from camp_bench.report.document import Document
from camp_bench.report.prose import explain, verdict
from camp_bench.report.results import format_duration
from camp_bench.report.writers import FORMATS, WRITERS, format_of

__all__ = [
    "FORMATS",
    "WRITERS",
    "Document",
    "comparison_document",
    "explain",
    "format_duration",
    "format_of",
    "verdict",
]
