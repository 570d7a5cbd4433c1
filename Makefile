# The only entry. Needs Python 3.11 or newer and make; everything else is fetched into .venv/, with hashes.
# The first of these that runs: a version manager's python3.11 may be there and not run.
PYTHONS := python3.11 python3 python3.14 python3.13 python3.12
PYTHON ?= $(shell for python in $(PYTHONS); do \
  $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
TOOLS := .venv/tools
UV := $(TOOLS)/bin/uv
LOCAL := .venv/dev/bin/python -m infra.local
# By its path: make looks a command up on its own PATH, where another SAM CLI or none may be.
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
setup: .venv/dev/.stamp .venv/stack/.stamp .venv/sam/.stamp ## Make the environments below .venv/ (the other targets do it by themselves)

.PHONY: run
run: setup ## Start everything, export some 200 sample messages, show the events, stop everything
	@$(LOCAL) run

.PHONY: up
up: setup ## Start the local stack and leave it running
	@$(LOCAL) up

.PHONY: down
down: .venv/dev/.stamp ## Stop the local stack
	@$(LOCAL) down

.PHONY: test
test: setup ## Run every test (ARGS="-k name" for some of them)
	@.venv/dev/bin/python -m pytest --numprocesses 2 --no-loadscope-reorder $(ARGS)

.PHONY: simulate
simulate: .venv/dev/.stamp ## Simulate 10,000 days with faults (SEED=7 for one, COUNT=100 for fewer)
	@PYTHONPATH=functions .venv/dev/bin/python -m tests.simulation.runner $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT))

.PHONY: mutants
mutants: .venv/dev/.stamp ## Break the core in some thousand ways, and see that tests notice (20 minutes)
	@rm -rf .cache/mutants && mkdir -p .cache/mutants
	@cp -R functions/. infra tests template.yaml pyproject.toml .cache/mutants/
	@cd .cache/mutants && "$(CURDIR)/.venv/dev/bin/mutmut" run --max-children 2
	@.venv/dev/bin/python -m tests.support.mutants .cache/mutants

.PHONY: bench
bench: setup .venv/bench/.stamp ## Measure requests, polls, start-up and cents beside what others do (5 minutes)
	$(build)
	@PYTHONPATH=functions .venv/bench/bin/python -m tests.bench

.PHONY: dashboard
dashboard: setup .venv/bench/.stamp ## Draw the dashboard (infra/dashboard.png) from what a stack of its own counts (7 minutes)
	@.venv/bench/bin/python -m infra.local dashboard

.PHONY: check
check: setup .venv/checks/.stamp ## Check format, lint, types, template, policies and state machine
	.venv/dev/bin/ruff format --check
	.venv/dev/bin/ruff check
	.venv/dev/bin/mypy
	.venv/dev/bin/cfn-lint
	$(SAM) validate --lint --template template.yaml --region us-east-1
	.venv/dev/bin/python -m infra.checks.state_machine
	.venv/checks/bin/checkov
	.venv/checks/bin/python -m infra.checks.policies

.PHONY: format
format: .venv/dev/.stamp ## Format the code, and repair what ruff can repair
	.venv/dev/bin/ruff format
	.venv/dev/bin/ruff check --fix

.PHONY: deploy
deploy: .venv/sam/.stamp ## Build, and deploy into an AWS account (ARGS="--profile NAME --parameter-overrides NAME=VALUE")
	@echo "Building the functions ..."
	$(build)
	@.venv/sam/bin/python -m infra.deploy $(ARGS)

REQUIREMENTS := functions/requirements infra/local/requirements/tools infra/local/requirements/stack \
  infra/local/requirements/sam infra/local/requirements/checks tests/requirements tests/bench/requirements

.PHONY: lock
lock: $(TOOLS)/.stamp ## Write the requirements.txt files anew (LOCK=--upgrade for the newest versions)
	@set -e; for name in $(REQUIREMENTS); do \
	  $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes $(LOCK) \
	    --custom-compile-command 'make lock' --output-file $$name.txt $$name.in; \
	done

.PHONY: clean
clean: ## Remove everything that was made here (stop the local stack first)
	rm -rf .venv .aws-sam .local .cache

# SAM's hints of what to do next would stand before the questions of `make deploy`.
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
