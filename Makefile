# Two commands do everything: `make run` and `make test`. Both set the project up first.
# uv is used when it is on PATH, else Python's own venv and pip; both install the same locked versions.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OUT := out
PATIENTS ?= 1000
SEED ?= 1
YEAR ?= 2026

.PHONY: help
help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: setup ## Set up, then compute the shipped measures over synthetic patients
	$(BIN)/measurewise synthesize --patients $(PATIENTS) --seed $(SEED) --year $(YEAR) --output $(OUT)/patients.ndjson
	$(BIN)/measurewise evaluate --patients $(OUT)/patients.ndjson --period $(YEAR)

.PHONY: serve
serve: setup ## Set up, then serve measures and patients over FHIR on this machine
	$(BIN)/measurewise serve

.PHONY: test
test: check ## Set up, check the code, then run the tests
	$(BIN)/pytest

.PHONY: check
check: setup ## Format, lint, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: setup ## Format the code and sort its imports
	$(BIN)/ruff check --select I --fix .
	$(BIN)/ruff format .

.PHONY: setup
setup: $(READY) ## Make .venv with the locked versions and the project itself

# The interpreter is tried rather than looked up: a version manager's shim may be on PATH and still not run.
$(READY): requirements.lock pyproject.toml
	@uv=$$(command -v uv || true); \
	if [ ! -x $(BIN)/python ]; then \
	  if [ -n "$$uv" ]; then \
	    "$$uv" venv --python '>=3.11' $(VENV); \
	  else \
	    python=""; \
	    for candidate in python3 python3.13 python3.12 python3.11 python; do \
	      if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	        python=$$candidate; break; \
	      fi; \
	    done; \
	    if [ -z "$$python" ]; then \
	      echo "measurewise needs Python 3.11 or newer on PATH (or uv, which fetches one)" >&2; exit 1; \
	    fi; \
	    "$$python" -m venv $(VENV); \
	  fi; \
	fi; \
	if [ -n "$$uv" ]; then install() { "$$uv" pip install --quiet --python $(BIN)/python "$$@"; }; \
	else install() { $(BIN)/python -m pip install --quiet --disable-pip-version-check "$$@"; }; fi; \
	install --require-hashes --requirement requirements.lock; \
	install --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: lock
lock: ## Pin the newest versions again (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
	  --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet --output-file requirements.lock

.PHONY: clean
clean: ## Remove what the other commands made
	rm -rf $(VENV) $(OUT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
