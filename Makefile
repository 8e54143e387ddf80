# Hearthwatch on one machine. `make` alone prints the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit faults lint models train bench detection proto lock clean

PYTHON ?= python3
BIN := .venv/bin
UV := .cache/uv/bin/uv

help:  ## print the targets
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "make %-10s %s\n", $$1, $$2}'

setup: .venv/.fetched  ## install everything that is missing into .venv and the user's cache folder

demo: setup  ## start the whole system with simulated homes; Ctrl-C stops it
	@exec $(BIN)/hearthwatch demo $(ARGS)

test: setup lint  ## lint, then all tests: units first, then those that start parts of the system
	@$(BIN)/python -m local.install --browser
	@exec $(BIN)/pytest $(ARGS)

test-unit: setup  ## only the tests that start nothing
	@exec $(BIN)/pytest -n 2 --dist loadgroup --no-loadscope-reorder -m "not system" $(ARGS)

faults: setup  ## inject every fault for minutes; rows into run/faults, table into docs/no-loss.md
	@rm -rf run/faults && mkdir -p run/faults
	HEARTHWATCH_FAULTS=long HEARTHWATCH_FAULTS_OUT=$(CURDIR)/run/faults $(BIN)/pytest tests/faults $(ARGS); \
	  failed=$$?; $(BIN)/python -m tests.faults.report run/faults && exit $$failed

lint: setup  ## ruff, mypy, codespell
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy schemas transforms pipelines edge_client serving webapp local benchmarks
	$(BIN)/codespell

models: setup  ## train the models and write their weights and cards to serving/weights
	@exec $(BIN)/python -m local.train_models $(ARGS)

train: setup  ## train on the warehouse that the demo filled; a blessed model goes to the registry
	@exec $(BIN)/python -m local.train $(ARGS)

bench: setup  ## measure latency and cost; JSON in run/bench
	@mkdir -p run/bench
	$(BIN)/python -m benchmarks.latency --json run/bench/latency.json
	$(BIN)/python -m benchmarks.console --json run/bench/console.json
	$(BIN)/python -m benchmarks.pipeline --json run/bench/pipeline.json
	$(BIN)/python -m benchmarks.uplink --json run/bench/uplink.json
	$(BIN)/python -m benchmarks.models --json run/bench/models.json
	$(BIN)/python -m benchmarks.compression --json run/bench/compression.json
	$(BIN)/python -m benchmarks.outbox --json run/bench/outbox.json
	$(BIN)/python -m benchmarks.push --json run/bench/push.json

detection: setup  ## measure detection on the recordings of HEARTHWATCH_RECORDINGS; renews docs/detection
	@mkdir -p run/bench
	@$(BIN)/python -m benchmarks.detection --docs --json run/bench/detection.json $(ARGS) > /dev/null

proto: setup  ## generate the Python code of schemas/*.proto
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. schemas/hearthwatch_v1.proto

lock: .venv/.python  ## resolve all dependencies anew into the lock files
	$(UV) pip compile setup.py --extra dev --extra local -o requirements.lock --generate-hashes --universal --no-annotate --no-header --quiet --upgrade
	$(UV) pip compile local/warehouse/requirements.in -o local/warehouse/requirements.lock --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --quiet --upgrade
	$(UV) pip compile local/tfx/requirements.in --override local/tfx/overrides.txt -o local/tfx/requirements.lock --generate-hashes --universal --python-version 3.11 --no-annotate --no-header --quiet --upgrade
	echo uv | $(UV) pip compile - -o requirements-uv.lock --generate-hashes --universal --no-annotate --no-header --quiet --upgrade
	cd deploy/engine && ../../$(BIN)/jgo lock
	$(BIN)/python -m local.lock_node

clean:  ## remove what setup, tests and runs left in this folder
	rm -rf .venv .cache run build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# --- stamps: a repeat with nothing to do takes well under a second -------------------------------

.venv/bin/python:
	@found=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo none); \
	case $$found in 3.11|3.12) ;; *) \
	  echo "setup: $(PYTHON) is Python $$found, 3.11 or 3.12 is needed; install one and run: make setup PYTHON=python3.12" >&2; exit 1;; esac
	@echo "setup: virtual environment .venv"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "setup: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu install its python3-venv package" >&2; exit 1; }

$(UV): requirements-uv.lock | .venv/bin/python
	@echo "setup: uv"
	@rm -rf .cache/uv && $(BIN)/python -m ensurepip --default-pip >/dev/null && $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --target .cache/uv -r requirements-uv.lock
	@touch $@

.venv/.python: requirements.lock setup.py $(UV) | .venv/bin/python
	@echo "setup: Python packages"
	@$(UV) pip sync --require-hashes --python $(BIN)/python requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .
	@touch $@

.venv/.fetched: .venv/.python deploy/engine/jgo.lock.toml local/warehouse/requirements.lock $(wildcard local/auth/* local/broker/* local/firebase/*) local/install.py
	@echo "setup: Java, engine, emulators"
	@$(BIN)/python -m local.install
	@touch $@
