"""`python -m camp_bench` is `camp-bench`."""

from __future__ import annotations

from camp_bench.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    raise SystemExit(main())
