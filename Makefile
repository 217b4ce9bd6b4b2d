# Two commands do everything: `make lab` opens the course, `make test` tests it.
# Both set up first: an environment of its own in .venv, made anew when the pinned requirements change.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.complete
UV := $(shell sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements.txt)

.PHONY: help lab setup check test test-slow clean

# An environment knows its own path: in a folder that was moved or copied it is made anew.
ifneq "$(shell cat $(STAMP) 2>/dev/null)" "$(CURDIR)"
.PHONY: $(STAMP)
endif

help:
	@echo "make lab    set everything up and open JupyterLab on the course"
	@echo "make test   set everything up and run the tests (make test-slow: the long proofs)"
	@echo "make check  lint, format and types"
	@echo "make clean  remove the environment and everything built"

lab: setup
	@$(BIN)/course lab

# What measures nothing shares the cores; what measures has them to itself. Both halves run, whatever the first one finds.
PYTEST := $(BIN)/python -m pytest
halves = $(PYTEST) -n logical -m '$(1) and not measures'; shared=$$?; $(PYTEST) -m '$(1) and measures' && exit $$shared

test: setup
	@$(call halves,not slow)

test-slow: setup
	@$(call halves,slow)

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

setup: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@echo "Setting up .venv (about a minute the first time) ..."
	@"$(PYTHON)" -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python -r requirements.txt
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@printf '%s\n' "$(CURDIR)" > $(STAMP)

clean:
	rm -rf .venv build
