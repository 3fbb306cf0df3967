# Every target does its own set-up: a fresh machine needs git, make and Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := demandbase_api demandbase_sandbox tap_demandbase target_demandbase
READY := $(VENV)/.ready
# What only the benchmark needs stays out of the plugins' environment: it would slow their start.
BENCH := .bench/tools
BENCH_READY := $(BENCH)/.ready
ROWS ?= 200000

.PHONY: test lint types unit soak demo bench lock clean

test: lint
	@$(MAKE) --no-print-directory --jobs=2 types unit

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "singer-demandbase needs Python 3.11 or newer: $(PYTHON) is older. Say which to use: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@# Compiled once: where Python may not keep bytecode, each command would start a second later.
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[sandbox]' --group dev
	$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(READY)
	$(BIN)/mypy

unit: $(READY)
	@# All processes must see the tests in one order, those that come from sets, too.
	PYTHONHASHSEED=0 $(BIN)/pytest --numprocesses=auto --dist=worksteal

# The long form of the soaks, each with a seed of its own.
soak: $(READY)
	for api in v1 uapi; do \
	  $(BIN)/python -m tests.soak --rounds 300 --api $$api && \
	  $(BIN)/python -m tests.soak_target --rounds 200 --api $$api || exit 1; done

demo: $(READY)
	@$(BIN)/python demo/run.py

$(BENCH_READY): $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BENCH)/bin/python --constraint constraints.txt --editable . --group bench
	@touch $@

bench: $(BENCH_READY)
	@$(BIN)/python -m compileall -q $(PACKAGES) benchmarks
	$(BENCH)/bin/python -m benchmarks.run --rows $(ROWS) --bin $(BIN) \
	  --results benchmarks/results.json --picture docs/benchmark.svg

lock:
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.11 --no-header \
	  --no-annotate --all-extras --group dev --group bench pyproject.toml -o constraints.txt

clean:
	rm -rf $(VENV) .bench .meltano output
