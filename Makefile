# Every target sets up what it needs, once, in .venv; a second run goes straight to work.
#   make aver                    the audio-video emotion system on movies drawn by code
#   make aver DATA=folder        the same on real data
#   make test                    the tests
# On another interpreter: make test PYTHON=python3.12

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

PYTHON ?= python3
DATA   ?=
ARGS   ?=
BIN    := .venv/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check install

# One worker a core, each with one thread: more threads than cores only wait for each other.
TEST_ENV := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false MPLBACKEND=Agg
TYPED    := $(foreach room,mrpnkit examples benchmarks tests,$(if $(shell find $(room) -name '*.py' 2>/dev/null | head -n 1),$(room)))

.PHONY: help aver test lint format types imports docs check setup clean

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/^([a-z]+):[^#]*## (.*)/  make \1@\2/' | column -t -s @
	@echo "  DATA=folder chooses real data for 'aver'; ARGS='...' goes on to 'aver' and 'test'."

aver: .venv/ready-to-run ## train and evaluate the audio-video emotion system; DATA=folder for real data
	$(BIN)/python -m examples.aver demo $(if $(DATA),--data "$(DATA)") $(ARGS)

test: .venv/ready-to-develop ## all tests, on all cores
	$(TEST_ENV) $(BIN)/python -m pytest -n auto --maxprocesses 16 $(ARGS)

lint: .venv/ready-to-develop ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/ready-to-develop ## mend style and format where a program can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/ready-to-develop ## mypy, strict
	$(BIN)/mypy $(TYPED)

imports: .venv/ready-to-develop ## the rules of who may import whom
	$(BIN)/lint-imports

docs: .venv/ready-to-develop ## the documentation, in docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

check: test lint types imports docs ## everything but the long runs

setup: .venv/ready-to-develop ## only the set-up

clean: ## remove what was built; .venv stays
	rm -rf build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

# A marker is written only after pip has finished, so that an interrupted set-up is taken up again.
.venv/ready-to-run: pyproject.toml | .venv/bin/pip
	@echo "Installing mrpnkit with its audio, video and report parts into .venv (some minutes, once) ..."
	$(PIP) --editable '.[av,report]'
	@touch $@

.venv/ready-to-develop: pyproject.toml | .venv/bin/pip
	@echo "Installing mrpnkit with everything for development into .venv (some minutes, once) ..."
	$(PIP) --editable '.[av,hub,report,docs,dev]'
	@touch $@ .venv/ready-to-run

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "mrpnkit needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>&1 || echo missing)." >&2; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv || { \
	  echo "No virtual environment could be made; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
