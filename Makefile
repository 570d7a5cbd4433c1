# The entry point for every task. Needs Python 3.11 or newer and make; everything else is installed into .venv/, pinned by hash.
# The first of these that works is used: a version manager may provide a python3.11 that does not run.
PYTHONS := python3.11 python3 python3.14 python3.13 python3.12
PYTHON ?= $(shell for python in $(PYTHONS); do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
TOOLS := .venv/tools
UV := $(TOOLS)/bin/uv
LOCAL := .venv/dev/bin/python -m infra.local
# By path: make looks up commands on its own PATH, which may have another SAM CLI or none.
SAM := .venv/sam/bin/sam
export UV_PYTHON_DOWNLOADS := never
export UV_SYSTEM_CERTS := true
export SAM_CLI_TELEMETRY := 0
export __SAM_CLI_APP_DIR := $(CURDIR)/.cache/sam
export CKV_SKIP_PACKAGE_UPDATE_CHECK := true
# `sam build` calls functions/Makefile, which needs a python3 with pip.
export PATH := $(CURDIR)/$(TOOLS)/bin:$(PATH)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1#\2/p' $(MAKEFILE_LIST) | awk -F'#' '{ printf "%-17s %s\n", $$1, $$2 }'

.PHONY: setup
setup: .venv/dev/.stamp .venv/stack/.stamp .venv/sam/.stamp ## Create the environments below .venv/ (the other targets do this when needed)

.PHONY: run
run: setup ## Start a local stack, export some 200 sample messages, show the events, stop everything
	@$(LOCAL) run

.PHONY: screenshot
screenshot: setup ## Run the demo and save the README's pictures: the terminal, and the status page in Chromium
	@$(LOCAL) run --picture infra/make-run.svg
	@PICTURES=infra .venv/dev/bin/python -m pytest --numprocesses 0 -q -k picture tests/integration/test_page_in_browser.py

# Without a browser, the tests that need one are skipped (tests/support/browser.py).
.PHONY: browser
browser: ## Install Chromium for the tests of the status page with apt-get, unless it or Chrome is there
	@command -v chromium google-chrome >/dev/null || { \
	  sudo=$$(command -v sudo || :); $$sudo apt-get update -qq && $$sudo apt-get install -qq --no-install-recommends chromium; }

.PHONY: up
up: setup ## Start the local stack and leave it running
	@$(LOCAL) up

.PHONY: down
down: .venv/dev/.stamp ## Stop the local stack
	@$(LOCAL) down

.PHONY: status
status: .venv/dev/.stamp ## Show whether the local stack works, and why or why not (arena-exports status)
	@$(LOCAL) operate status $(ARGS)

.PHONY: why
why: .venv/dev/.stamp ## Explain why nothing moves on the local stack, or why ID is not exported yet (ID=…)
	@$(LOCAL) operate why $(ID) $(ARGS)

.PHONY: find
find: .venv/dev/.stamp ## Show what the local stack knows of a message, item, run or file (ID=…)
	@$(LOCAL) operate find $(ID) $(ARGS)

.PHONY: operate
operate: .venv/dev/.stamp ## Run any command of arena-exports against the local stack (ARGS="runs --limit 5")
	@$(LOCAL) operate $(ARGS)

PYTEST := .venv/dev/bin/python -m pytest --numprocesses 2 --no-loadscope-reorder
# Of the folders in tests/conftest.py. Functions on the local stack are other processes, and are not measured.
COVER := --cov --cov-report=
IN_CI := $(if $(ARGS),,$(filter true,$(CI)))

.PHONY: test
test: setup ## Run every test (ARGS=tests/unit or ARGS="-k name" for some of them; PROFILE=full for as many examples as in CI)
	@PROFILE=$(PROFILE) $(PYTEST) $(if $(IN_CI),$(COVER)) $(ARGS)
	$(if $(IN_CI),$(coverage-gate))

.PHONY: coverage
coverage: setup ## Measure what the tests cover of functions/, and fail below the gate, as CI does (3 minutes)
	@PROFILE=quick $(PYTEST) $(COVER) tests/unit tests/functional tests/integration
	$(coverage-gate)

define coverage-gate
@.venv/dev/bin/coverage report --include='functions/arena_exports/domain/*' --fail-under=100
@.venv/dev/bin/coverage report
endef

.PHONY: simulate
simulate: .venv/dev/.stamp ## Run 10,000 simulated days with faults (SEED=7 for one of them, COUNT=100 for fewer)
	@PYTHONPATH=functions .venv/dev/bin/python -m tests.simulation.runner $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT))

.PHONY: proofs
proofs: .venv/dev/.stamp ## Run the bounded proofs: planted bugs, schedules, states reached, models (an hour)
	@PYTHONPATH=functions .venv/dev/bin/python -m tests.simulation.proofs $(ARGS)

.PHONY: mutants
mutants: .venv/dev/.stamp ## Test the tests: put some 3,000 defects into the core, one at a time (20 minutes)
	@rm -rf .cache/mutants && mkdir -p .cache/mutants
	@cp -R functions/. infra tests template.yaml pyproject.toml .cache/mutants/
	@cd .cache/mutants && "$(CURDIR)/.venv/dev/bin/mutmut" run --max-children 2
	@.venv/dev/bin/python -m tests.support.mutants .cache/mutants

.PHONY: bench
bench: setup .venv/bench/.stamp ## Measure requests, polls, start-up and cost, and compare them with what others do (5 minutes)
	$(build)
	@PYTHONPATH=functions .venv/bench/bin/python -m tests.bench

.PHONY: schemas
schemas: .venv/dev/.stamp ## Capture the examples in infra/schemas from a small simulated world
	@PYTHONPATH=functions .venv/dev/bin/python -m tests.support.schema_examples

.PHONY: check
check: setup .venv/checks/.stamp ## Check format, lint, types, spelling, template, policies and state machine (1 minute)
	.venv/dev/bin/ruff format --check
	.venv/dev/bin/ruff check
	.venv/dev/bin/mypy
	.venv/dev/bin/codespell
	.venv/dev/bin/cfn-lint
	$(SAM) validate --lint --template template.yaml --region us-east-1
	.venv/dev/bin/python -m infra.checks.state_machine
	.venv/checks/bin/checkov
	.venv/checks/bin/python -m infra.checks.policies

.PHONY: format
format: .venv/dev/.stamp ## Format the code, and fix what ruff can fix
	.venv/dev/bin/ruff format
	.venv/dev/bin/ruff check --fix

.PHONY: deploy
deploy: .venv/sam/.stamp ## Build and deploy into an AWS account (ARGS="--profile NAME --parameter-overrides NAME=VALUE")
	@echo "Building the functions ..."
	$(build)
	@.venv/sam/bin/python -m infra.deploy $(ARGS)

REQUIREMENTS := functions/requirements infra/local/requirements/tools infra/local/requirements/stack \
  infra/local/requirements/sam infra/local/requirements/checks tests/requirements tests/bench/requirements \
  infra/examples/subscriber/functions/requirements

.PHONY: lock
lock: $(TOOLS)/.stamp ## Rewrite the locked requirements (LOCK=--upgrade for the newest versions)
	@set -e; for name in $(REQUIREMENTS); do \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes $(LOCK) \
	    --custom-compile-command 'make lock' --output-file $$name.txt $$name.in; \
	done

.PHONY: clean
clean: ## Remove everything that make has created here (stop the local stack first)
	rm -rf .venv .aws-sam .local .cache

# SAM's hints about next steps would appear before the questions of `make deploy`.
define build
@mkdir -p .cache && $(SAM) build >.cache/build.log 2>&1 || { cat .cache/build.log; exit 1; }
endef

# Once made, .venv/ keeps its Python, whatever PYTHON names.
VERSION := import sys; print("%d.%d" % sys.version_info[:2])
.PHONY: .same-python
.same-python:
	@$(if $(filter command environment,$(origin PYTHON)), \
	  made=$$($(TOOLS)/bin/python -c '$(VERSION)' 2>/dev/null); named=$$($(PYTHON) -c '$(VERSION)') || exit 1; \
	  [ "$${made:-$$named}" = "$$named" ] || \
	  { echo ".venv/ was made with Python $$made. To use $(PYTHON) run this first: make clean"; exit 1; })

$(TOOLS)/.stamp: infra/local/requirements/tools.txt | .same-python
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=..."; exit 1; }
	@echo "Setting up .venv/ (once) ..."
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv/dev/.stamp: tests/requirements.txt $(TOOLS)/.stamp
	$(make-environment)

.venv/bench/.stamp: tests/bench/requirements.txt $(TOOLS)/.stamp
	$(make-environment)

.venv/stack/.stamp .venv/sam/.stamp .venv/checks/.stamp: .venv/%/.stamp: infra/local/requirements/%.txt $(TOOLS)/.stamp
	$(make-environment)

define make-environment
@$(UV) venv --quiet --allow-existing --python $(TOOLS)/bin/python $(@D)
@$(UV) pip sync --quiet --require-hashes --python $(@D) $<
@touch $@
endef
