# Two commands matter: `make demo` and `make test`. Both prepare this machine themselves and are free to repeat.
SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
READY := $(VENV)/.ready
WORKSTATION := firmware_scripts/workstation.sh

.PHONY: demo test check bench fuzz chaos models format clean help

help: ## say what can be made
	@grep -hE '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

$(READY): setup.cfg pyproject.toml $(WORKSTATION)
	@$(WORKSTATION) python $(VENV)
	@touch $@

demo: ## one patrol car end to end on this machine
	@$(WORKSTATION) packages demo
	@$(MAKE) --no-print-directory $(READY)
	@$(VENV)/bin/vedette sim demo $(DEMO)

test: ## everything that can be tested here, on as many cores as there are, at most four (TESTS=… CORES=…)
	@$(WORKSTATION) packages test
	@$(MAKE) --no-print-directory $(READY)
	@$(PYTHON) -m pytest -n $(or $(CORES),auto) --maxprocesses 4 --dist worksteal $(TESTS)

check: ## format, lint, types, import rules
	@$(WORKSTATION) packages demo
	@$(MAKE) --no-print-directory $(READY)
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

bench: ## the table of speed and memory, against named references in the same run
	@$(WORKSTATION) packages test
	@$(MAKE) --no-print-directory $(READY)
	@$(PYTHON) -m bench

fuzz: ## an hour of damaged evidence and hostile input against verifiers and parsers (SECONDS=…)
	@$(MAKE) --no-print-directory $(READY)
	@tests/fuzz.sh $(VENV) $(or $(SECONDS),3600) tests/vedette/test_hostile_input.py \
		tests/vedette/test_hostile_boxes.py tests/vedette/test_verifiers_agree.py \
		tests/edge/redact/test_hostile_copy.py tests/sync/transfer/test_fuzz.py tests/sync/test_hostile_broker.py \
		tests/sync/central/test_fuzz_ingest.py tests/sync/central/depot/test_fuzz_door.py

chaos: ## a thousand kill -9 of uplinks, broker, ingest workers, depot, keepers, as many with PostgreSQL, forty thousand power cuts (SEED=… KILLS=… CUTS=…)
	@$(WORKSTATION) packages test
	@$(MAKE) --no-print-directory $(READY)
	@$(VENV)/bin/vedette sim chaos --seed $(or $(SEED),1) --kills $(or $(KILLS),1000)
	@$(VENV)/bin/vedette sim chaos --seed $(or $(SEED),1) --kills $(or $(KILLS),1000) --postgres
	@POWER_CUTS=$(or $(CUTS),10000) $(PYTHON) -m pytest -q -o timeout=0 tests/sync/central/test_power_cut.py \
		tests/sync/central/test_sqlite_cut.py

models: ## train, quantise and measure the two models from the photographs in VEDETTE_DATA
	@$(WORKSTATION) packages train
	@$(WORKSTATION) training $(VENV)-train
	@$(VENV)-train/bin/python -m models.train

format: ## put the code into the form `make check` wants
	@$(VENV)/bin/ruff format .
	@$(VENV)/bin/ruff check --fix .

clean: ## remove what was made here
	rm -rf $(VENV) $(VENV)-train build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
