# `make run`, `make test` and `make check` each work on a fresh checkout that has Python 3.11 or later: they make
# .venv first. `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
WHEEL_VENV := .venv-wheel
BIN := $(VENV)/bin
RUN_INSTALLED := $(VENV)/.run-installed
INSTALLED := $(VENV)/.installed
ARGS ?=
WORKERS ?= 2
MARKERS ?= not slow
# Another machine's floats make another run, as another seed does, and always the same one: so a false alarm would come to
# stay there, and its chance is kept at 1 in 100.
GATE := --tolerance 10 --alpha 0.01
SLOWER ?= 5%

# Idle OpenMP threads wait asleep: spinning ones starve the other processes of a shared machine.
export OMP_WAIT_POLICY := PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install run test check gate test-wheel bench bench-compare clean python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile
	@echo '  e.g.: make run ARGS="--help"; make test ARGS="-k ranking" WORKERS=0; make test MARKERS=slow'

python:
	@command -v "$(PYTHON)" >/dev/null || { echo "error: no '$(PYTHON)' here; camp-bench needs Python 3.11 or later; name one with: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("error: $(PYTHON) is Python " + sys.version.split()[0] + "; camp-bench needs 3.11 or later; name one with: make PYTHON=/path/to/python3.11")'
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "error: $(PYTHON) lacks the venv module; on Debian and Ubuntu install the package python3-venv" >&2; exit 2; }

# A .venv made by hand has no stamp: it is kept and installed into. Running needs a part of what the tests need.
$(RUN_INSTALLED): pyproject.toml constraints.txt | python
	@test -x $(BIN)/python || "$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e . -c constraints.txt
	@touch $@

$(INSTALLED): $(RUN_INSTALLED)
	$(BIN)/python -m pip install --quiet -e '.[dev]' -c constraints.txt
	@touch $@

install: $(INSTALLED) ## make .venv with everything in it (the targets below do so too)

run: $(RUN_INSTALLED) ## run the benchmark, and write its page; pass options as ARGS="..."
	$(BIN)/camp-bench run $(ARGS)
	@test -n "$(ARGS)" || $(BIN)/camp-bench report results -o results/report.html

test: $(INSTALLED) ## run the tests but the slow ones
	$(BIN)/python -m pytest -n $(WORKERS) -m "$(MARKERS)" $(ARGS)

check: $(INSTALLED) ## what CI runs: format, lint, types, layers, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -n $(WORKERS) -m "$(MARKERS)"

gate: $(RUN_INSTALLED) ## train small models on toy data and hold them against baselines/gate-*.json
	@set -eu; away=$$(mktemp -d); trap 'rm -rf "$$away"' EXIT; \
	$(BIN)/camp-bench run baselines/gate.toml --results "$$away"; \
	for baseline in baselines/gate-*.json; do \
	  $(BIN)/camp-bench check "$$away" --baseline "$$baseline" $(GATE); \
	done

# The tests run in an empty folder against the installed wheel: a file missing from the wheel shows here only.
test-wheel: | python ## build the wheel, install it into a clean venv, test it there
	rm -rf $(WHEEL_VENV)
	"$(PYTHON)" -m venv $(WHEEL_VENV)
	@set -eu; away=$$(mktemp -d); trap 'rm -rf "$$away"' EXIT; root=$$(pwd); \
	"$$root/$(WHEEL_VENV)/bin/pip" wheel --quiet --no-deps --wheel-dir "$$away/dist" .; \
	cp constraints.txt pyproject.toml "$$away"; cp -R tests "$$away/tests"; \
	cd "$$away"; wheel=$$(echo dist/*.whl); echo "testing $$wheel"; \
	"$$root/$(WHEEL_VENV)/bin/pip" install --quiet "$$wheel[test]" -c constraints.txt; \
	CAMP_BENCH_TEST_WHEEL=1 "$$root/$(WHEEL_VENV)/bin/pytest" -n $(WORKERS) -m "$(MARKERS)" $(ARGS)

# Alone and in one process: beside other work, or in parallel, seconds say nothing. (-v brings the table, which -q hides.)
BENCH := $(BIN)/python -m pytest -v -p no:xdist -o python_files='bench_*.py' --confcutdir=tests/benchmarks tests/benchmarks
BENCH_COLUMNS := --benchmark-columns=min,median,iqr,rounds --benchmark-sort=fullname

bench: $(INSTALLED) ## time scoring, ranking and training steps, and save the result in .benchmarks
	$(BENCH) $(BENCH_COLUMNS) --benchmark-autosave $(ARGS)

bench-compare: $(INSTALLED) ## time them again; fail where the best time is worse than the last saved one
	@ls .benchmarks/*/*.json >/dev/null 2>&1 || { echo "error: no saved run in .benchmarks to compare with; make one with: make bench" >&2; exit 2; }
	$(BENCH) $(BENCH_COLUMNS) --benchmark-compare --benchmark-compare-fail=min:$(SLOWER) $(ARGS)

clean: ## remove what make made; results/ stays
	rm -rf $(VENV) $(WHEEL_VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .benchmarks
	find camp_bench tests -type d -name __pycache__ -prune -exec rm -rf {} +
