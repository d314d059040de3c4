"""camp-bench trains CAMP, SCAN and VSE++ on identical splits, evaluates them exactly and compares them."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
