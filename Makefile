# `make demo` and `make test` need only make and Python 3.11 or newer; everything else is installed into $(VENV).
# Another interpreter: `make test PYTHON=python3.13`. Fewer tests: `make test ARGS='-k archive'`.

PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
ARGS ?=
SCALE ?= 0.1
RUNS ?= 3

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# The long tests are at the end of the list: a worker that has nothing left takes half of what another still has.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
SOURCES := pyproject.toml README.md $(shell find runner schema -type f ! -name '*.pyc')

# Stamps: an install is repeated only when what it was made from has changed.
MADE := $(VENV)/.made
INSTALLED := $(VENV)/.installed
INSTALLED_FOR_TESTS := $(VENV)/.installed-for-tests
INSTALLED_FOR_BENCH := $(VENV)/.installed-for-bench
# With an editable install in place the demo runs from the sources; nothing needs to be installed over it.
INSTALLED_FOR_DEMO := $(if $(wildcard $(INSTALLED_FOR_TESTS)),$(INSTALLED_FOR_TESTS),$(INSTALLED))

.DEFAULT_GOAL := help
.PHONY: help demo test slow lint format catalog site bench clean

help:
	@echo 'make demo    install runner into $(VENV) and run its demonstration'
	@echo 'make test    lint, then the tests'
	@echo 'make slow    the long lists of tests: every system call, large files, every PostgreSQL'
	@echo 'make lint    ruff, mypy, import-linter, codespell'
	@echo 'make format  mend what ruff can mend'
	@echo 'make catalog bring the translations up to date with the texts'
	@echo 'make site    build the documentation as a site, into site/'
	@echo 'make bench   measure, beside other tools: SCALE=0.1 RUNS=3 PART=comparison TOOLS=runner,naive WRITE=1'
	@echo 'make clean   delete $(VENV), caches and builds'

# The folder is this target's own, ignored by git, and made anew each time.
demo: $(INSTALLED_FOR_DEMO)
	rm -rf runner-demo
	$(BIN)/runner demo runner-demo

test: lint
	$(PYTEST) -m 'not slow' $(ARGS)

slow: $(INSTALLED_FOR_TESTS)
	$(PYTEST) -m slow $(ARGS)

lint: $(INSTALLED_FOR_TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

format: $(INSTALLED_FOR_TESTS)
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

catalog: $(INSTALLED_FOR_TESTS)
	$(BIN)/python docs/make_catalog.py

site: $(INSTALLED_FOR_TESTS)
	$(BIN)/python -m mkdocs build --strict

# PART: some of startup, comparison, sweep and page; `page` measures nothing and works on what the last runs found.
bench: $(INSTALLED_FOR_BENCH)
	$(BIN)/python -m benchmarks $(PART) --scale $(SCALE) --runs $(RUNS) $(if $(TOOLS),--tools $(TOOLS)) $(if $(WRITE),--write)

clean:
	rm -rf $(VENV) site .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find runner tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): $(MADE) $(SOURCES)
	$(PIP) .
	@touch $@

$(INSTALLED_FOR_TESTS): $(MADE) pyproject.toml
	$(PIP) -e '.[test,lint]'
	@touch $@

$(INSTALLED_FOR_BENCH): $(INSTALLED_FOR_TESTS)
	$(PIP) -e '.[bench]'
	@touch $@

$(MADE):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo 'error: `$(PYTHON)` is not Python 3.11 or newer'; \
	  echo '  hint: install one and name it, for example: make $(MAKECMDGOALS) PYTHON=python3.13'; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'error: `$(PYTHON)` cannot make virtual environments: `venv` or `ensurepip` is missing'; \
	  echo '  hint: on Debian and Ubuntu they are in the package python3-venv; or name another: PYTHON=python3.13'; \
	  exit 1; } >&2
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@
