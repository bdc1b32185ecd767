# Every target creates or refreshes .venv first when it is missing or stale. `make` alone lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

BIN := .venv/bin
PACKAGES := lab feature_store live_bridge
CRITICAL := lab/risk/*,lab/backtest/*,live_bridge/orders.py,live_bridge/order_ids.py,live_bridge/gate.py,live_bridge/planning.py,live_bridge/sending.py,live_bridge/settling.py,live_bridge/wishes.py,live_bridge/reconciling.py,live_bridge/journal.py
WORKERS ?= 2
ARGS ?=

PYTEST := TZ=UTC $(BIN)/pytest
PARALLEL := -n $(WORKERS) --dist loadgroup

export MLFLOW_DISABLE_TELEMETRY := true
unexport PYTHONDONTWRITEBYTECODE VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: help setup demo test test-all check lint types imports doctests security readme audit bench notebooks screenshots lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  ARGS="..." is passed on to demo, test, test-all, audit and bench; WORKERS=2 is the number of test processes.'

setup: ## Create or refresh .venv from requirements.lock (other targets do it as needed)
	@.ci/setup

demo: setup ## The whole way on bundled data: bars, features, walk-forward, MLflow, tearsheet, rehearsal
	$(BIN)/mnemo demo $(ARGS)

test: setup ## Run the tests that are not marked slow
	$(PYTEST) $(PARALLEL) -m "not slow" $(ARGS)

test-all: setup ## Run every test and measure coverage (80 %; 95 % with branches where money is at stake)
	$(PYTEST) $(PARALLEL) --cov --cov-report=term --cov-report=html --cov-fail-under=80 $(ARGS)
	$(BIN)/coverage report --include="$(CRITICAL)" --fail-under=95

check: lint types imports doctests security readme ## Run the static checks (make -k check: all of them)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports --no-logo

doctests: setup
	$(PYTEST) -q --doctest-modules $(PACKAGES)

security: setup
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive $(PACKAGES)
	$(BIN)/python -m tests.audit --offline

readme: setup
	$(PYTEST) -q tests/unit/test_readme.py

audit: setup ## Audit dependencies: lock, licences, files, known vulnerabilities (exit 4: nobody could be asked)
	$(BIN)/python -m tests.audit $(ARGS)

bench: setup ## Measure speed and memory against vectorbt and other peers
	$(BIN)/mnemo bench $(ARGS)

# Not after setup, which refuses a pyproject.toml that asks for more than is locked.
notebooks: setup ## JupyterLab on 127.0.0.1, with research/notebooks opened as notebooks
	@mkdir -p .venv/etc/jupyter/labconfig
	@echo '{"@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"python": "Jupytext Notebook"}}}' \
		> .venv/etc/jupyter/labconfig/default_setting_overrides.json
	$(BIN)/python -m jupyterlab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=research/notebooks $(ARGS)

screenshots: setup ## Take pictures of reports, MLflow and JupyterLab into reports/screenshots (needs chromium)
	$(BIN)/python -m tests.screenshots $(ARGS)

lock: ## Resolve pyproject.toml into requirements.lock (make lock ARGS=--upgrade for newer versions)
	@[[ -x $(BIN)/uv ]] || .ci/setup
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
		--only-binary :all: --no-emit-index-url --custom-compile-command "make lock" --quiet \
		--output-file requirements.lock $(ARGS)
	@.ci/setup

clean: ## Remove the environment and all caches; data/, mlruns/ and reports/ stay
	rm -rf .venv build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache *.egg-info
	find $(PACKAGES) tests research -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
