# `make lab` opens the course, `make test` tests it, `make instructor` adds what grades a class.
# Each sets up first: an environment of its own in .venv, made anew when the pinned requirements
# change. Learners' packages come first; the others are added to the same environment and stay there.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.complete
UV := $(shell sed -n 's/^\(uv==[^ ]*\).*/\1/p' requirements-test.txt)
FETCH := install --quiet --disable-pip-version-check $(UV)
# Compiled now: where Python may not write beside its packages (another user's folder, a container's
# PYTHONDONTWRITEBYTECODE, the process of an answer) each start would compile them anew: 3.7 s for a lab, not 1.2.
INSTALL := $(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python
COMPILE := $(BIN)/python -m uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate $(NEWER)

.PHONY: help lab setup instructor site check test test-slow pins clean

# A folder that was moved or copied: its `course` still works, but `activate` knows its first path.
ifneq "$(shell cat $(STAMP) 2>/dev/null)" "$(CURDIR)"
.PHONY: $(STAMP)
endif

help:
	@echo "make lab         set everything up and open JupyterLab on the course"
	@echo "make instructor  add what grades a class: nbgrader, a Dask cluster, JupyterHub"
	@echo "make test        add what the tests need and run them (make test-slow: the long proofs)"
	@echo "make site        add what the site needs and build it in build/site"
	@echo "make check       lint, format and types"
	@echo "make clean       remove the environment and everything built"

lab: $(STAMP)
	@$(BIN)/course lab

# What measures nothing shares the cores; what measures has them to itself. Both halves run, whatever the first one finds.
# The tests' modules stay compiled from the first half to the second one, whatever the environment says.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --durations 12 --durations-min 5
halves = $(PYTEST) -n logical $(2) -m '$(1) and not measures'; shared=$$?; $(PYTEST) $(TURN) -m '$(1) and measures' && exit $$shared
# Long ones are handed out one by one, in their order. `make test-slow TURN="--turn 7 --minutes 20"`: see tests/conftest.py.
TURN =

test: .venv/.test
	@$(call halves,not slow,--dist worksteal)

test-slow: .venv/.test
	@$(call halves,slow,--maxschedchunk 1 $(TURN))

check: .venv/.test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

setup: $(STAMP) .venv/.trusted
	@:

instructor: .venv/.instructor
	@:

site: .venv/.site
	@$(BIN)/course site

$(STAMP): requirements.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] <= (3, 14) else "Python 3.11 to 3.14 is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 $(or $(MAKECMDGOALS),lab)")'
	@echo "Setting up .venv (about a minute the first time) ..."
	@"$(PYTHON)" -m venv --clear --without-pip .venv
# The pip at hand fetches uv, which is three seconds faster than to make one here; Debian's Python may have none.
	@"$(PYTHON)" -m pip --python $(BIN)/python $(FETCH) 2>/dev/null || { $(BIN)/python -m ensurepip >/dev/null && $(BIN)/python -m pip $(FETCH); } || { echo "Is there a network? On Debian, Ubuntu and WSL 2: sudo apt install $(notdir $(PYTHON))-venv"; exit 1; }
	@echo "relocatable = true" >> .venv/pyvenv.cfg
	@$(INSTALL) -r requirements.txt
	@$(INSTALL) --no-deps --editable .
	@$(BIN)/python -m compileall -q course_app
# Where the course is, as a path from there: a folder that is moved still works.
	@for pth in .venv/lib/python*/site-packages/fastapi_performance_course.pth; do echo ../../../.. > "$$pth"; done
	@printf '%s\n' "$(CURDIR)" > $(STAMP)

# Figures of notebooks that are not trusted stay blank; `course lab` trusts them by itself.
.venv/.trusted: $(STAMP)
	@$(BIN)/jupyter trust --log-level=ERROR notebooks/*.ipynb exercises/*.ipynb solutions/*.ipynb >/dev/null || true
	@touch $@

.venv/.test: $(STAMP) requirements-test.txt
	@echo "Adding what the tests need ..."
	@$(INSTALL) -r requirements-test.txt
	@touch $@

.venv/.instructor: $(STAMP) requirements-test.txt
	@echo "Adding what grades a class ..."
	@$(INSTALL) -c requirements-test.txt -r pyproject.toml --extra instructor
	@touch $@

.venv/.site: $(STAMP) requirements-test.txt
	@echo "Adding what the site needs ..."
	@$(INSTALL) -c requirements-test.txt -r pyproject.toml --extra site
	@touch $@

# Both for every platform and Python; what learners install decides.
pins: $(STAMP)
	@$(COMPILE) pyproject.toml -o requirements.txt
	@$(COMPILE) pyproject.toml --all-extras -c requirements.txt -o requirements-test.txt

clean:
	rm -rf .venv build
