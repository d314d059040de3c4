"""Run camp-bench from a checkout: `python cli.py run ...` is `camp-bench run ...`."""

from camp_bench.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
