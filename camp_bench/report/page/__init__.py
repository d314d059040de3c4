"""A report as one HTML page that needs nothing beside itself: no network, no script but a few lines of its own."""

from __future__ import annotations

from camp_bench.report.page.build import report_page

__all__ = ["report_page"]
