# Everything here works on a machine that has only Python >= 3.11 with pip and venv: each target makes the environment it needs.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready
DEMO_DATA ?= .spanhouse/demo
HTTP ?= 127.0.0.1:4318

.PHONY: demo test check lint types format cover bench clean help

help: ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

# uv comes from the package index into a small environment of its own, and installs exactly what uv.lock pins.
$(STAMP): pyproject.toml uv.lock
	@echo "Setting up the environment (once; about a minute) …"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Spanhouse needs Python 3.11 or newer; name one with PYTHON=python3.12" >&2; exit 1; }
	@test -x .venv-uv/bin/uv || { $(PYTHON) -m venv .venv-uv && .venv-uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'; }
	@UV_PROJECT_ENVIRONMENT=.venv .venv-uv/bin/uv sync --quiet --frozen --all-extras --compile-bytecode --python $(PYTHON)
	@touch $(STAMP)

demo: $(STAMP) ## Start Spanhouse with sample runs and live demo agents
	@$(BIN)/spanhouse demo --data $(DEMO_DATA) --http $(HTTP)

test: $(STAMP) ## Run the whole test suite
	$(BIN)/python -m pytest -n auto --dist loadfile

check: lint types ## Style, types and layers

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP) ## Put the code in its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

cover: $(STAMP) ## Run the tests with branch coverage
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine -q || true
	$(BIN)/coverage report --skip-covered --skip-empty

bench: $(STAMP) ## Measure ingest and queries; results belong in docs/benchmarks.md
	$(BIN)/python -m benchmarks.ingest
	$(BIN)/python -m benchmarks.query

clean: ## Remove the environments and the demo's data
	rm -rf .venv .venv-uv .spanhouse
