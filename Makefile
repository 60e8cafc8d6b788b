# make up     a tracking server for this folder; make test    the whole suite; make quick    the inner loop
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv
JUDGES := .venv-judges

# Without it, every start of a program compiles what it imports again.
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: up down check test quick capabilities faults findings lint judges bench lock wheel clean help

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

up: $(VENV)/.runtime ## build the environment, bring a server up, print its tracking URI
	@$(BIN)/provision up

down: $(VENV)/.runtime ## stop that server; the data stays
	@$(BIN)/provision down

check: $(VENV)/.runtime ## try everything that a client does
	@$(BIN)/provision check

test: $(VENV)/.dev ## lint, types and the whole test suite
	@$(MAKE) --no-print-directory judges || echo "note: their tests are left out" >&2
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -n 4 --dist loadgroup --no-loadscope-reorder

quick: $(VENV)/.dev ## the inner loop: lint, types and the tests that start no server
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadgroup

capabilities: $(VENV)/.dev ## run the examples on every rung; rewrites the README's table
	@PROVISION_RENEW_CAPABILITIES=1 $(BIN)/python -m pytest tests/examples

faults: $(VENV)/.dev ## injure a rehearsed machine in every way we know, an hour; rewrites the table
	@$(BIN)/python -m tests.lab.faults

findings: $(VENV)/.dev ## write the pages that are made from the table of findings
	@$(BIN)/python -m tests.findings

lint: $(VENV)/.dev ## ruff and mypy --strict
	@$(BIN)/ruff check -q . && $(BIN)/ruff format -q --check . && $(BIN)/mypy

judges: $(JUDGES)/.done ## install the programs that judge the Terraform code from outside

bench: $(VENV)/.dev ## measure, side by side; rewrites the tables in bench/results
	@$(BIN)/python bench/cli.py && $(BIN)/python bench/start.py && $(BIN)/python bench/server.py && $(BIN)/python bench/archive.py && $(BIN)/python bench/check.py && $(BIN)/python bench/readme.py

wheel: $(VENV)/.dev ## build the wheel into dist/
	@$(BIN)/python -m build --wheel --no-isolation -o dist .

lock: $(VENV)/.dev ## renew the lock files from pyproject.toml
	@for extra in runtime dev; do \
	  $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-annotate --no-emit-index-url $$([ $$extra = dev ] && echo "--extra dev -c requirements/runtime.lock") \
	    pyproject.toml -o requirements/$$extra.lock; done
	@$(BIN)/python requirements/host_locks.py
	@$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --no-emit-index-url requirements/judges.in -o requirements/judges.lock

clean: ## remove the environment and what was built (never a stack's data)
	rm -rf $(VENV) $(JUDGES) dist build .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.uv: requirements/bootstrap.lock
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not installed"; \
	  echo "next step: install Python 3.11, or make PYTHON=python3.12 up"; exit 5; }
	@echo "building the environment in $(VENV) ..." >&2
	@$(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) has no venv module"; \
	  echo "next step: install it (Debian, Ubuntu: apt-get install python3.11-venv)"; exit 5; }
	@$(BIN)/pip install -q --require-hashes -r requirements/bootstrap.lock
	@touch $@

# uv installs ten times faster than pip; where it cannot reach an index that pip is configured for,
# pip does the same work from the same lock.
define install
	@$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements/$(1).lock \
	  || $(BIN)/pip install -q --require-hashes -r requirements/$(1).lock
	@$(UV) pip install -q --python $(BIN)/python --no-deps --no-build-isolation --offline -e . \
	  || $(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@
endef

$(VENV)/.runtime: $(VENV)/.uv requirements/runtime.lock pyproject.toml
	$(if $(wildcard $(VENV)/.dev),@touch $@,$(call install,runtime))

$(VENV)/.dev: $(VENV)/.uv requirements/dev.lock pyproject.toml
	$(call install,dev)
	@touch $(VENV)/.runtime

# They want other versions of the same libraries than the product does.
$(JUDGES)/.done: $(VENV)/.uv requirements/judges.lock
	@$(BIN)/python -m venv --clear $(JUDGES)
	@$(UV) pip install -q --python $(JUDGES)/bin/python --require-hashes -r requirements/judges.lock \
	  || $(JUDGES)/bin/pip install -q --require-hashes -r requirements/judges.lock
	@touch $@
