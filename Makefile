PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_ARGS ?= -n 2 --dist worksteal
DEMO_ARGS ?=

.PHONY: help setup demo test test-newest test-oldest lint format doctor docs adapt-support clean

help:
	@echo 'make demo    seal synthetic images, train a detector on them, attack them'
	@echo 'make test    run the test suite'
	@echo 'make test-newest, make test-oldest    a smoke test with the newest, the oldest versions'
	@echo 'make lint    run the linter          make format  let it fix what it can'
	@echo 'make adapt-support  run a config of each of MMDetection'"'"'s folders, adapted; writes docs/adapt-support.md'
	@echo 'make docs    build the documentation into docs/_build/html, warnings are errors'
	@echo 'make doctor  show what is installed, and what is broken'
	@echo 'make setup   only install, into $(VENV); the other targets do so when needed'

setup: $(READY)

$(READY): requirements.txt pyproject.toml tools/setup_venv.sh
	@PYTHON='$(PYTHON)' VENV='$(VENV)' bash tools/setup_venv.sh
	@touch $@

demo: $(READY)
	@$(BIN)/python tools/demo.py $(DEMO_ARGS)

test: $(READY)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# Each installs into an environment of its own, which takes minutes and up to 7 GB for the time.
test-newest test-oldest:
	@PYTHON='$(PYTHON)' bash tools/smoke_env.sh $(@:test-%=%)

lint: $(READY)
	$(BIN)/ruff check .

format: $(READY)
	$(BIN)/ruff check --fix .

doctor: $(READY)
	@$(BIN)/python tools/doctor.py

adapt-support: $(READY)
	$(BIN)/python tools/adapt_support.py

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

$(VENV)/.docs: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .ruff_cache
