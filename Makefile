# Two commands, each enough on a fresh clone:
#   make demo VIDEO=clip.mp4   installs Handloom into .venv and tracks the hands in a video
#   make test                  installs the development tools and runs lint, types and all tests
# What is installed already is not installed again; PYTHON=python3.12 chooses the interpreter.

PYTHON ?= python3
VIDEO ?=
OUT ?= demo/$(basename $(notdir $(VIDEO)))
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test clean

demo: .venv/installed
	@test -n "$(VIDEO)" || { echo 'usage: make demo VIDEO=clip.mp4'; exit 2; }
	$(BIN)/handloom track "$(VIDEO)" --out "$(OUT)" --overwrite
	@echo 'Open $(OUT)/report.html and $(OUT)/overlay.mp4, or run: $(BIN)/handloom view "$(OUT)"'

test: .venv/installed-dev
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/python -m pytest

.venv/created:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else \
	  f"Handloom needs Python 3.11, 3.12 or 3.13, found {v[0]}.{v[1]}; choose one with PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/created pyproject.toml constraints.txt
	$(INSTALL) --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv demo
