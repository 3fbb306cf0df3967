# Each target prepares what it needs: a fresh machine needs git, make and Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := demandbase_api demandbase_cli demandbase_sandbox tap_demandbase target_demandbase
READY := $(VENV)/.ready
# The benchmark's own packages have an environment of their own: they would slow the plugins' start.
BENCH := .bench/tools
BENCH_READY := $(BENCH)/.ready
# So does Airflow, whose packages are pinned in deploy/airflow/constraints.txt.
AIRFLOW := .airflow
AIRFLOW_READY := $(AIRFLOW)/.ready
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate
HASHES := $(COMPILE) --upgrade --generate-hashes --constraint constraints.txt
# All worker processes must collect the tests in the same order, also those parametrized from sets.
PYTEST := PYTHONHASHSEED=0 $(BIN)/pytest --numprocesses=auto --dist=worksteal

.DEFAULT_GOAL := help
.PHONY: help quick test test-slow test-airflow lint types unit soak demo bench bench-full record-path settings docs dist lock hashes clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

quick: lint ## Lint and the fast tests, in less than 30 seconds: use it while editing
	$(PYTEST) -m 'not slow and not thorough' --hypothesis-profile=quick

test: lint ## Lint, types and the tests, in less than 5 minutes: use it before a commit
	@$(MAKE) --no-print-directory --jobs=2 types unit

test-slow: $(READY) ## The tests that `make test` leaves out, and property-based ones with all examples
	EXAMPLES=1 $(PYTEST) -m '(slow or hypothesis) and not airflow'

$(AIRFLOW_READY): $(READY) deploy/airflow/constraints.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(AIRFLOW)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(AIRFLOW)/bin/python \
	  --constraint deploy/airflow/constraints.txt --group airflow
	@touch $@

test-airflow: $(AIRFLOW_READY) ## Run the DAG of deploy/airflow in a real Airflow, which it installs; takes minutes
	$(BIN)/pytest -m airflow tests/project/test_airflow.py

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "singer-demandbase needs Python 3.11 or newer, and $(PYTHON) is older. Set PYTHON, for example: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing the project into $(VENV), which takes a minute or two"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@# Compile once: if Python cannot write bytecode, each command starts a second later.
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[s3,sandbox]' --group dev
	$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

lint: $(READY) ## Check style, format and the rules for imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(READY) ## Check types
	$(BIN)/mypy

unit: $(READY) ## Run the tests without lint and types
	@# pytest rewrites each assert to show its values, which takes ten seconds: only tests that fail are run with it, again.
	$(PYTEST) -m 'not slow' --assert=plain || { $(PYTEST) --last-failed; exit 1; }

soak: $(READY) ## Run the soak tests for longer, each with a new seed
	for api in v1 uapi; do \
	  $(BIN)/python -m tests.soak --rounds 300 --api $$api && \
	  $(BIN)/python -m tests.soak_target --rounds 200 --api $$api && \
	  $(BIN)/python -m tests.soak_target --rounds 100 --api $$api --fresh-disk && \
	  $(BIN)/python -m tests.soak_machines --rounds 100 --api $$api || exit 1; done

demo: $(READY) ## Run Meltano in both directions against the sandbox
	@$(BIN)/python demo/run.py

$(BENCH_READY): $(READY)
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BENCH)/bin/python --constraint constraints.txt --editable . --group bench
	@touch $@

bench: $(BENCH_READY) ## Measure speed and memory, small and quick: five minutes
	@$(BIN)/python -m compileall -q $(PACKAGES) benchmarks
	$(BENCH)/bin/python -m benchmarks.run --no-peers --bin $(BIN) --results .bench/results.json

bench-full: $(BENCH_READY) ## Measure as the goals say, half an hour; writes the table and picture of docs/
	@$(BIN)/python -m compileall -q $(PACKAGES) benchmarks
	$(BENCH)/bin/python -m benchmarks.run --full --bin $(BIN) \
	  --results benchmarks/results.json --picture docs/benchmark.svg --page docs/performance.md

record-path: $(READY) ## List the source files that one record runs through
	@$(BIN)/python scripts/record_path.py

settings: $(READY) ## Write the settings into docs/settings.md, plugins/ and meltano.yml
	$(BIN)/python scripts/settings_docs.py

docs: $(READY) ## Build the documentation into site/; a broken link fails
	$(BIN)/uv tool run --quiet --python $(BIN)/python --constraints constraints.txt zensical build --clean --strict

dist: $(READY) ## Build the wheel and the source distribution into dist/, with Meltano's definitions
	$(BIN)/uv build --clear --out-dir dist
	cp plugins/*.yml dist/

lock: $(READY) ## Update the pinned versions in constraints.txt, and the hashes of the image
	$(COMPILE) --upgrade --all-extras --group dev --group build --group bench --group docs --group kubernetes pyproject.toml -o constraints.txt
	$(COMPILE) --upgrade --group airflow -o deploy/airflow/constraints.txt
	@$(MAKE) --no-print-directory hashes

hashes: $(READY) ## Write the hashes of the image's packages, with the versions of constraints.txt
	$(HASHES) --extra s3 pyproject.toml -o deploy/docker/requirements.txt
	$(HASHES) --group build -o deploy/docker/requirements-build.txt

clean: ## Remove the environments and everything that was built or written
	rm -rf $(VENV) .airflow .bench .meltano .cache dist output site
