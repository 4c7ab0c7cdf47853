# Two commands, each enough on a fresh clone:
#   make demo VIDEO=clip.mp4   installs Handloom into .venv and tracks the hands in a video;
#                              without VIDEO in a recording that it simulates first
#   make test                  installs the development tools and runs lint, types and all tests
# What is installed already is not installed again; PYTHON=python3.12 chooses the interpreter.

PYTHON ?= python3
CAPTURE := demo/capture
VIDEO ?= $(CAPTURE)/videos/observation.images.cam4/chunk-000/file-000.mp4
OUT ?= demo/$(if $(findstring $(CAPTURE),$(VIDEO)),simulated,$(basename $(notdir $(VIDEO))))
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test clean

demo: .venv/installed
	@case "$(VIDEO)" in $(CAPTURE)/*) set -x; $(BIN)/handloom simulate h2o --out $(CAPTURE) --subjects 1 --repetitions 1 \
	  --seconds 6 --size 640 360;; esac
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
