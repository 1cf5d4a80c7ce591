# The menu of the house: `make` prints it. Every target sets up what it needs, once.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
ARGS ?=

.DEFAULT_GOAL := menu
.PHONY: menu setup demo test test-long lint format golden bench docs lock services clean

menu: ## print this menu
	@echo "microgate: a microgateway for APIs"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("microgate needs Python 3.11 or later; this is " + sys.version.split()[0] + " (set PYTHON=...)" if sys.version_info < (3, 11) else 0)'
	@echo "setting up .venv (once) ..."
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

setup: $(STAMP) ## install everything into .venv (all other targets do it when needed)

demo: $(STAMP) ## build the petstore example, serve it and call it (ARGS=--once to exit at the end)
	@$(BIN)/python examples/petstore/demo.py $(ARGS)

test: $(STAMP) ## run the whole suite
	@$(BIN)/python -m pytest -m "not long" $(ARGS)

services: ## install the services that tests start: slapd, RabbitMQ, etcd, Redis (apt, as root; none is started)
	@tests/harness/services/install.sh

test-long: $(STAMP) ## run the long tests: soak, fuzz, floods
	@$(BIN)/python -m pytest -m long $(ARGS)

lint: $(STAMP) ## format check, linter, types and import arrows
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

format: $(STAMP) ## let the formatter decide
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

golden: $(STAMP) ## write the golden files anew; review them as a diff
	@MICROGATE_GOLDEN=write $(BIN)/python -m pytest tests/compile tests/cli $(ARGS)

bench: $(STAMP) ## measure against nginx, HAProxy and Envoy where installed
	@$(BIN)/python benchmarks/run.py $(ARGS)

docs: $(STAMP) ## write the generated pages anew
	@$(BIN)/python docs/generate.py

lock: $(STAMP) ## pin the dependencies of pyproject.toml anew
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements/run.txt
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --group dev -o requirements/dev.txt

clean: ## remove what was set up and built
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
