# Everything a newcomer needs: `make demo`, then `make ui`. Needs Python 3.11 and make.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

ifeq ($(origin PYTHON),undefined)
# The interpreter itself, also where a virtual environment is active.
PYTHON := $(shell for each in python3.11 python3 python; do \
	"$$each" -c 'import sys; print(sys._base_executable)' 2>/dev/null && break; done)
endif
PORT ?= 3000
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
LIBRARIES := $(VENV)/.libraries
PROJECT := $(VENV)/.project

# A folder of YAML documents to run instead of those that ship: make demo DEFS=examples/gold
DEFS ?= $(HF_DEFS)
ifneq ($(DEFS),)
export HF_DEFS := $(abspath $(DEFS))
endif
# All state of this installation; delete the folder to start afresh.
HF_HOME ?= $(CURDIR)/.hf$(if $(DEFS),/$(notdir $(abspath $(DEFS))))
DAGSTER_HOME := $(HF_HOME)/dagster
export HF_HOME DAGSTER_HOME
export PATH := $(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help venv deep demo ui test lint test-slow bench lock clean

help: ## Show these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' \
		| while IFS='|' read -r target text; do printf '  make %-10s %s\n' "$$target" "$$text"; done

venv: $(PROJECT) ## Set up .venv from the hashed lock (the other targets do it themselves)
	@:

$(LIBRARIES): requirements-dev.lock
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 is needed; no python was found" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "Python 3.11 is needed; $(PYTHON) is $$("$(PYTHON)" -V 2>&1)." \
			"Name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up .venv from requirements-dev.lock (once, a few minutes) ..."
	@"$(PYTHON)" -m venv --clear "$(VENV)"
	@python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@python -c 'import lightgbm' 2>/dev/null || echo "LightGBM does not load: it needs the OpenMP" \
		"runtime of the system (Debian: libgomp1, macOS: libomp)" >&2
	@touch "$@"

$(PROJECT): pyproject.toml $(LIBRARIES)
	@python -m pip install --quiet --no-build-isolation --no-deps --editable .
	@touch "$@"

deep: venv ## Add PyTorch, which FinBERT runs on
	@python -m pip install --quiet "torch==2.13.0"  # not in the lock: its builds differ by machine

demo: venv ## Run the whole chain on the sample data
	@hf demo

ui: venv ## Open the web UI on the same state (PORT=3000)
	@mkdir -p "$(DAGSTER_HOME)" && cp dagster.yaml "$(DAGSTER_HOME)/dagster.yaml"
	@dagster dev --workspace workspace.yaml --port "$(PORT)"

lint: venv ## Check style, types and layers
	@ruff check --quiet .
	@ruff format --quiet --check . || { echo "ruff format would change files" >&2; exit 1; }
	@basedpyright --pythonpath "$(BIN)/python"
	@report="$$(lint-imports --no-cache)" || { printf '%s\n' "$$report" >&2; exit 1; }

test: lint ## Check style, types and layers, and run the tests
	@pytest -n 3 --dist loadgroup

test-slow: venv ## Run the long suites
	@pytest -m slow -n 3 --dist loadgroup

bench: venv ## Run every benchmark; each ends with one JSON object
	@for each in benchmarks/*.py; do \
		case "$$each" in */_*) continue ;; esac; echo "== $$each"; python "$$each"; done

LOCK_OPTIONS := --python-version 3.11 --generate-hashes --no-strip-extras --no-annotate \
	--no-header --no-emit-index-url --no-emit-find-links --quiet

lock: venv ## Renew the lock files within pyproject.toml (installs uv in .venv)
	@python -m pip install --quiet uv
	@uv pip compile pyproject.toml --extra dev --upgrade $(LOCK_OPTIONS) -o requirements-dev.lock
	@uv pip compile pyproject.toml --constraint requirements-dev.lock $(LOCK_OPTIONS) \
		-o requirements.lock
	@uv pip compile pyproject.toml --extra aws --extra postgres --extra redis \
		--constraint requirements-dev.lock $(LOCK_OPTIONS) -o requirements-production.lock

clean: ## Remove .venv and caches; the state in HF_HOME stays
	@rm -rf "$(VENV)" build dist .pytest_cache .ruff_cache .hypothesis ./*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
