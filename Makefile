# Two commands do everything: `make demo` and `make test`. See README.md.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test lint bench binary docs clean

demo: $(READY)
	$(BIN)/sparkctl lab up
	$(BIN)/sparkctl up --profile lab --timings
	$(BIN)/sparkctl test --profile lab

test: $(READY) lint
	tests/prepare.sh
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(READY)
	tests/prepare.sh
	$(BIN)/python -m tests.bench

binary: $(READY)
	$(BIN)/pyinstaller --clean --noconfirm --log-level WARN sparkctl.spec
	dist/sparkctl --version

docs: $(READY)
	$(BIN)/python -m sparkctl.config.reference

clean:
	rm -rf $(VENV) build dist

$(READY): pyproject.toml tests/venv.sh
	tests/venv.sh $(VENV)
	touch $@
