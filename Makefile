# `make` alone says what there is. Every target sets up what it needs, in .venv, and finds it ready
# the second time. Needs Python 3.11 or later and make (GNU make 3.81, as on macOS, will do).
# stdout belongs to the command a target runs, so `make demo | jq` works; set-up talks on stderr.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt
# More than cores: half of the time a test waits for a process or a socket.
JOBS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2) + 2 )))
ARGS ?=
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal
PROPERTIES := tests/properties tests/unit/connectors tests/unit/outputs/test_views_lines.py
# Without its caches Python compiles all of wsfeeds at each start, and every worker all tests.
unexport PYTHONDONTWRITEBYTECODE

# The first of these that runs, is recent enough and can make an environment.
PYTHONS ?= python3.13 python3.12 python3.11 python3 python
SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))
FIND_PYTHON = for name in $(PYTHONS); do \
    if "$$name" -c '$(SUITABLE)' >/dev/null 2>&1; then echo "$$name"; break; fi; done

DEMO ?= cryptomus BTC_USDT --sim -c trade,ticker,depth,bbo -d 30s

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-slow check format-check lint types imports docs-check tests \
        fmt bench cov docs build lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

# The command ends with 130 on Ctrl-C, as it should; that is no error of this target.
demo: $(VENV)/.runtime ## stream a simulated market, live on a terminal, JSON lines in a pipe
	@echo "$$ wsfeeds subscribe $(DEMO)" >&2
	@trap : INT; $(BIN)/wsfeeds subscribe $(DEMO) || [ $$? -eq 130 ]

test: check ## the whole gate: the same as check

test-all: test test-slow ## the gate, then the slow tests, more examples and fresh starts

# The other tests fork a process that has imported everything (tests/forkserver.py); here each start
# of the command is a real one.
test-slow: export WSFEEDS_TESTS_FRESH = 1
test-slow: $(VENV)/.dev
	@$(PYTEST) -m slow $(ARGS)
	@$(PYTEST) $(PROPERTIES) --hypothesis-profile thorough $(ARGS)
	@$(PYTEST) tests/e2e $(ARGS)

check: format-check lint types imports docs-check tests ## format, lint, types, import layers, docs, tests

format-check: $(VENV)/.dev
	@$(BIN)/ruff format --check .

lint: $(VENV)/.dev
	@$(BIN)/ruff check .

types: $(VENV)/.dev
	@$(BIN)/mypy

imports: $(VENV)/.dev
	@$(BIN)/lint-imports

docs-check: $(VENV)/.dev
	@$(BIN)/python docs/generate.py --check

tests: $(VENV)/.dev
	@$(PYTEST) $(ARGS)

fmt: $(VENV)/.dev ## format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

bench: $(VENV)/.bench ## compare speed and latency with hand-written programs (ARGS=… is passed on)
	@$(BIN)/python -m benchmarks $(ARGS)

cov: export WSFEEDS_TESTS_FRESH = 1
cov: $(VENV)/.dev ## run the fast tests with branch coverage; the pages are in htmlcov/
	@$(PYTEST) --cov --cov-report term-missing:skip-covered \
	    --cov-report html $(ARGS)

docs: $(VENV)/.dev ## write the generated pages anew: docs/events.md, docs/cli.md
	@$(BIN)/python docs/generate.py

build: $(VENV)/.dev ## build the wheel and the sdist into dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation

# Locked with the oldest Python there is support for: what has versions for it has them for newer ones.
lock: SUITABLE := import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != (3, 11))
lock: ## rewrite constraints.txt with the newest versions that pyproject.toml allows
	@python=$$($(FIND_PYTHON)); \
	if [ -z "$$python" ]; then echo "make lock needs Python 3.11. Tried: $(PYTHONS)." >&2; exit 1; fi; \
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	"$$python" -m venv "$$folder/venv" && pip="$$folder/venv/bin/python -m pip" && \
	$$pip install --quiet --upgrade pip >&2 && \
	$$pip install --quiet --upgrade --editable '.[analysis]' --group dev --group bench >&2 && \
	{ echo "# Exact versions for development, tests and CI. Written by \`make lock\`; not to be edited." && \
	  $$pip freeze --all --exclude-editable --exclude setuptools --exclude wheel; \
	} >"$$folder/constraints.txt" && mv "$$folder/constraints.txt" constraints.txt

clean: ## remove everything the other targets made, .venv too; recordings stay
	rm -rf $(VENV) dist build htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
	    .hypothesis .import_linter_cache benchmarks/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is older than what it stands for: then that part is installed again.
$(VENV)/.runtime: pyproject.toml constraints.txt wsfeeds/_version.py
	@if ! $(PIP) --version >/dev/null 2>&1; then \
	    python=$$($(FIND_PYTHON)); \
	    if [ -z "$$python" ]; then \
	        echo "wsfeeds needs Python 3.11 or later with its venv module (Debian and Ubuntu:" \
	             "apt-get install python3-venv). Tried: $(PYTHONS)." \
	             "Name another one with: make PYTHONS=/path/to/python" >&2; exit 1; fi; \
	    echo "making $(VENV) with $$("$$python" --version)" >&2; \
	    "$$python" -m venv --clear $(VENV) >&2 || exit 1; fi
	@echo "installing wsfeeds into $(VENV) (once; takes a minute at most)" >&2
	@$(INSTALL) --editable . >&2
	@touch $@

# Dependency groups need pip 25.1, and a new environment has the pip its Python came with.
$(VENV)/.dev: $(VENV)/.runtime
	@echo "installing the development tools into $(VENV)" >&2
	@$(INSTALL) --upgrade pip >&2
	@$(INSTALL) --editable '.[analysis]' --group dev >&2
	@touch $@

# The benchmarks run without it where it cannot be installed.
$(VENV)/.bench: $(VENV)/.dev
	@$(INSTALL) --group bench >&2 || echo "cryptofeed is left out" >&2
	@touch $@
