# Two commands do everything: `make demo` and `make test`. See README.md.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROFILE := --profile lab-agents
# Tests look at what stubs leave open, and use what lambdas return.
TESTS_MAY := $(addprefix --disable-error-code=,func-returns-value union-attr comparison-overlap misc)

.PHONY: demo demo-down on-lab test suite virtual coverage lint bench binary dist docs screenshots golden clean

# From nothing to an answer that the agents' supervisor routed, on two simulated Sparks; `make demo-down` takes them away.
demo: $(READY)
	@tests/engine.sh $(MAKE) --no-print-directory on-lab

on-lab:
	$(BIN)/sparkctl lab up
	$(BIN)/sparkctl up $(PROFILE) --yes --timings
	$(BIN)/sparkctl test $(PROFILE)
	@eval "$$($(BIN)/sparkctl credentials $(PROFILE) --env)" && \
	echo "endpoint: $$OPENAI_BASE_URL (key: $(BIN)/sparkctl credentials $(PROFILE))" && \
	$(BIN)/python tests/ask.py "Write a Python function that adds two numbers."
	@printf '%s\n' "To go on, from this folder:" \
	"  source $(BIN)/activate" \
	"  sparkctl status $(PROFILE)    # or plan, logs, doctor, stop: sparkctl --help" \
	"  make demo-down                   # takes the two Sparks away"

demo-down: $(READY)
	@tests/engine.sh --as-is $(BIN)/sparkctl lab down

# Everything that a change must pass. `pytest` alone runs what is named: .venv/bin/pytest tests/unit
test: $(READY) lint
	@tests/engine.sh $(MAKE) --no-print-directory suite

suite:
	tests/prepare.sh
	$(BIN)/python tests/lanes.py $(UNDER)

# The lab of virtual machines by itself, which `make test` leaves out on a slow machine.
virtual: $(READY)
	tests/prepare.sh
	@tests/engine.sh $(BIN)/pytest tests/lab/test_nfs_vm.py tests/lab/test_vm_driver.py

# The same tests under coverage, which takes three quarters more of processor time, and what they leave uncovered.
coverage: $(READY)
	$(BIN)/coverage erase
	@tests/engine.sh $(MAKE) --no-print-directory suite UNDER="-m coverage run"
	$(BIN)/coverage combine --quiet && $(BIN)/coverage report

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@for room in unit package lab agents; do MYPYPATH=tests:tests/$$room $(BIN)/mypy $(TESTS_MAY) tests/$$room/*.py || exit 1; done
	$(BIN)/mypy --explicit-package-bases tests/bench/*.py
	$(BIN)/lint-imports
	@twice=$$(find tests -name 'test_*.py' -printf '%f\n' | sort | uniq -d); \
	[ -z "$$twice" ] || { echo "two files of tests have one name, which pytest does not take: $$twice"; exit 1; }

bench: $(READY)
	tests/prepare.sh
	$(BIN)/python -m tests.bench

# dist/sparkctl: one file that needs no Python.
binary: $(READY)
	tests/prepare.sh binary
	$(BIN)/pyinstaller --clean --noconfirm --log-level WARN sparkctl.spec
	dist/sparkctl --version

# dist/*.whl and dist/*.tar.gz.
dist: $(READY)
	$(BIN)/python -m hatchling build

# The generated parts of docs/*.md.
docs: $(READY)
	$(BIN)/python -m sparkctl.config.reference docs

# The pictures of docs/ui.md: a real UI in the system's Chromium, a scripted model, stand-in nodes.
screenshots: $(READY)
	PYTHONPATH=tests $(BIN)/python tests/agents/screenshots.py

# The containers of every engine, as they are now: tests/golden.
golden: $(READY)
	SPARKCTL_GOLDEN=write $(BIN)/pytest tests/unit/test_engine_golden.py

clean:
	rm -rf $(VENV) build dist

$(READY): pyproject.toml tests/venv.sh
	tests/venv.sh $(VENV)
	touch $@
