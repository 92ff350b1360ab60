# The doors of the project. Everything happens in .venv; the first call of any of them makes it.
#
#   make demo       the bundled study, from text to scored explanations
#   make view       look at neurons in a browser, http://127.0.0.1:8787
#   make dev        the Dagster UI on the same data, http://127.0.0.1:3000
#   make test       formatting, lint, types, import contracts and all tests
#   make test-fast  the quick tests only
#   make check      formatting, lint, types, import contracts
#   make bench      speed and memory, as ratios taken in one run
#   make bench-peers  the harvest beside other tools, on one model in one run (installs them)
#   make report     all neurons of the bundled study, and its control

PYTHON ?= python3
PORT ?= 3000
BIN := .venv/bin
export DAGSTER_HOME := $(CURDIR)/dagster_home

.PHONY: demo view dev test test-fast check format bench bench-peers report clean
.DEFAULT_GOAL := demo

demo: .venv/base
	$(BIN)/neuron-assets demo

report: .venv/base
	$(BIN)/neuron-assets report

view: .venv/base
	$(BIN)/neuron-assets view

dev: .venv/base
	$(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1 -p $(PORT)

# Two workers share two processors: a thread each.
test test-fast: export OMP_NUM_THREADS := 1

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-fast: .venv/dev
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/dev
	$(BIN)/python -m benchmarks

bench-peers: .venv/dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[peers]"
	$(BIN)/python -m benchmarks.peers

.venv/base: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

.venv/dev: .venv/base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev,postgres]"
	@touch $@

clean:
	rm -rf .venv data .pytest_cache .mypy_cache .ruff_cache
