# The two commands of a newcomer are `make demo` and `make test`; both set up what they need.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
SERVICES := sandbox retriever teacher trainer evaluator
STAMP := $(VENV)/.installed

.PHONY: help setup demo demo-full demo-seeds test test-unit test-integration lint types imports proto proto-check lock up down status bench clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 20

setup: $(STAMP)  ## one environment with everything local mode needs

# torch is pinned: unpinned, another package would pull a CUDA build of several gigabytes.
$(STAMP): requirements/local.lock requirements/dev.lock pyproject.toml $(wildcard services/*/pyproject.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps -r requirements/local.lock
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps -r requirements/dev.lock
	$(BIN)/pip install --disable-pip-version-check --quiet --no-build-isolation --no-deps -e . $(foreach s,$(SERVICES),-e services/$(s))
	touch $(STAMP)

demo: setup  ## the whole loop on the tiny world, with a report
	$(BIN)/mentor demo

demo-full: setup  ## as demo, with an SFT student and a sparse-reward student beside
	$(BIN)/mentor demo --full --output runs/demo-full

demo-seeds: setup  ## the demo with three seeds
	for seed in 0 1 2; do $(BIN)/mentor demo --seed $$seed --output runs/demo-seed-$$seed || exit 1; done

test: setup  ## all tests that need no GPU and no Docker
	$(BIN)/python -m pytest

test-unit: setup  ## unit tests alone
	$(BIN)/python -m pytest tests/unit

test-integration: setup  ## tests against real processes
	$(BIN)/python -m pytest tests/contract tests/integration tests/e2e

lint: setup  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup  ## mypy, strict
	$(BIN)/mypy mentor $(foreach s,$(SERVICES),services/$(s)/mentor_$(s))

imports: setup  ## who may import whom
	$(BIN)/lint-imports

proto: setup  ## regenerate the gRPC stubs
	scripts/proto.sh

proto-check: setup  ## buf lint, and the stubs match the protos
	scripts/proto.sh --check

lock: setup  ## pin every environment again
	scripts/lock.sh

up: setup  ## the five services, workers and Redis as local processes
	$(BIN)/mentor up

down:  ## stop them
	$(BIN)/mentor down

status:  ## how they are
	$(BIN)/mentor status

bench: setup  ## throughput of the services on this machine
	$(BIN)/python -m benchmarks

clean: down  ## forget local data and reports
	rm -rf .mentor runs
