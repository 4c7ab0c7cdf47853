# Two commands, each enough on a fresh clone:
#   make demo                  installs Handloom into .venv, simulates a recording and tracks it with HTT beside the truth
#   make demo VIDEO=clip.mp4   tracks the hands in a video
#   make test                  installs the development tools and runs lint, types and all tests
# What is installed already is not installed again; PYTHON=python3.12 chooses the interpreter.

PYTHON ?= python3
CAPTURE := demo/head-camera
OUT ?= demo/$(if $(VIDEO),$(basename $(notdir $(VIDEO))),simulated)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test clean

# Another seed than that of the recordings that the weights were trained on: another person, another scene.
demo: .venv/installed
ifdef VIDEO
	$(BIN)/handloom track "$(VIDEO)" --out "$(OUT)" --overwrite
else
	$(BIN)/handloom simulate h2o --out $(CAPTURE) --cameras cam4 --subjects 1 --repetitions 1 --seconds 12 --seed 3
	$(BIN)/handloom track $(CAPTURE)/videos/observation.images.cam4/chunk-000/file-000.mp4 --out "$(OUT)" --overwrite \
	  --estimator htt --camera $(CAPTURE) --truth $(CAPTURE)
endif
	@echo 'Open $(OUT)/report.html and $(OUT)/overlay.mp4, or run: $(BIN)/handloom view "$(OUT)"'

test: .venv/installed-dev
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile

.venv/created:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else \
	  f"Handloom needs Python 3.11, 3.12 or 3.13, found {v[0]}.{v[1]}; choose one with PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/created pyproject.toml constraints.txt
	$(INSTALL) --editable '.[torch]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(INSTALL) --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv demo
