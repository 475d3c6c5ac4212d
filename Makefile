# make book | check | offline | test | lab | bench | clean.   Nothing has to be installed first: Python and make.
#
#   make book PROFILE=smoke   sizes: smoke, quick (default), paper
#   make book RECOMPUTE=1     run every study again instead of loading recorded runs
#   make test PYTHON=python3.12   another interpreter for the environment
#   make oldest                   the library's tests with the oldest packages it names

PROFILE   ?= quick
RECOMPUTE ?= 0
PYTHON    ?= python3
VENV      ?= .venv
PY        := $(VENV)/bin/python
READY     := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help book check offline test oldest lab bench clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -6

book: $(READY)
	@$(PY) book/build.py --profile $(PROFILE) $(if $(filter 1 true yes,$(RECOMPUTE)),--recompute)

test: $(READY)
	$(PY) -m ruff check .
	$(PY) -m mypy
	OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --ignore=tests/browser

# The finished book in a browser: a book that is being written is not a fault of the code.
check: $(READY)
	$(PY) -m pytest -n 2 -rs tests/browser

# The book as one file, and a PDF printed from it where there is a Chromium.
offline: book
	@$(PY) book/offline.py

# Three gigabytes and a quarter of an hour, so not a part of `make test`. What warns in old packages
# is their own affair, so warnings are no errors here.
OLDEST := .venv-oldest
oldest: $(OLDEST)/.installed
	OMP_NUM_THREADS=1 PYTHONPATH=. $(OLDEST)/bin/python -m pytest -q -o filterwarnings=default \
	  $(foreach room,mixing data models training measures,mmlib/$(room) tests/$(room))

$(OLDEST)/.installed: requirements-oldest.txt
	@rm -rf $(OLDEST)
	@$(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip install --quiet --no-input -r requirements-oldest.txt
	@touch $@

lab: $(READY)
	$(PY) -m jupyter lab --notebook-dir=notebooks

bench: $(READY)
	$(PY) book/bench.py

clean:
	rm -rf _build build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# The environment is built again from scratch whenever the lock changes, so that it holds exactly
# what the lock names. A stamp is written last: an interrupted installation is not mistaken for a
# finished one.
$(READY): $(VENV)/.locked pyproject.toml
	@$(PY) -m pip install --quiet --no-input --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.locked: requirements.lock
	@command -v $(PYTHON) >/dev/null || { \
	  echo "make: no '$(PYTHON)' found. Install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11, 5) <= sys.version_info < (3, 14))' || { \
	  echo "make: the pinned environment needs Python 3.11.5 to 3.13, but '$(PYTHON)' is $$($(PYTHON) -V 2>&1)."; \
	  echo "      Name another one: make PYTHON=python3.12 ...   (the library alone also runs on 3.10: pip install -e .)"; exit 1; }
	@echo "Installing the pinned environment into $(VENV) (about 3 minutes and 6 GB, once)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "make: '$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(PY) -m pip install --quiet --no-input -r requirements.lock
	@touch $@
