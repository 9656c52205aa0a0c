# `make run`, `make check` and `make test` need Python 3.11 or later; they install the rest.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
URL ?= http://127.0.0.1:5000
JOBS ?= auto
PYTEST := -m pytest --numprocesses $(JOBS) --maxprocesses 4
CLUSTER := */stores/redis/cluster.py,*/stores/redis/replication.py,*/stores/redis/router.py,*/stores/redis/sentinel.py,*/stores/redis/topology.py

.PHONY: help install run check lint test test-cluster test-browser test-operations test-containers
.PHONY: contract failover attack pictures bench bench-cluster bench-edge audit settings-docs lock clean

help: ## Show this.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

install: $(BIN)/messaging-api ## Make .venv with the command messaging-api in it.

run: install ## Serve on port 5000; STORE=redis://… for another store, ARGS="…" for further options.
	@exec $(BIN)/messaging-api serve $(if $(STORE),--store '$(STORE)') $(ARGS)

check: lint ## Check style and types, run the unit tests: under a minute, and no server is needed.
	$(BIN)/pytest --quiet tests/unit

lint: $(BIN)/pytest ## Check style and types, Dockerfiles and compose files.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile deploy/*/Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml docker-compose.dev.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

test: $(BIN)/pytest ## Run the tests; they install and start the servers that they need. TESTS="…" for some of them.
	$(BIN)/coverage erase --data-file=.coverage.test
	$(BIN)/coverage run --data-file=.coverage.test $(PYTEST) $(or $(TESTS),tests/unit tests/contract tests/integration tests/faults)
	$(BIN)/coverage combine --quiet --data-file=.coverage.test
	$(BIN)/coverage report --data-file=.coverage.test $(if $(TESTS),--fail-under=0) --omit='$(CLUSTER)'

test-cluster: $(BIN)/pytest ## Run the store tests on a Redis Cluster and behind sentinels, with failovers.
	$(BIN)/coverage erase --data-file=.coverage.cluster
	STORES='cluster,cluster#1,sentinel,sentinel#1' $(BIN)/coverage run --data-file=.coverage.cluster -m pytest \
	  tests/contract/test_stores.py tests/contract/test_counters.py tests/cluster
	$(BIN)/coverage combine --quiet --data-file=.coverage.cluster
	$(BIN)/coverage report --data-file=.coverage.cluster --include='$(CLUSTER)'

test-browser: $(BIN)/pytest ## Run the tests of the pages, in Chromium.
	$(BIN)/pytest $(or $(TESTS),tests/browser)

test-operations: $(BIN)/pytest ## Run what operators count on: rolling restarts behind HAProxy, alerts, the dashboard.
	$(BIN)/pytest $(or $(TESTS),tests/operations)

test-containers: $(BIN)/pytest ## Run the container tests on the Docker engine that is there; they build what they need.
	@docker info >/dev/null 2>&1 || { echo "No Docker engine answers: the container tests cannot run here." >&2; exit 1; }
	$(BIN)/pytest $(or $(TESTS),tests/containers)

contract: $(BIN)/pytest ## Run the HTTP contract against a running service: URL=http://…
	CONTRACT_URL='$(URL)' $(BIN)/pytest tests/contract/test_http.py

failover: $(BIN)/pytest ## Kill masters under load, for some minutes; writes docs/scaling/failover.md.
	$(BIN)/python -m tests.cluster

attack: $(BIN)/pytest ## Attack a running service for some minutes; prints the figures of docs/security.md.
	$(BIN)/pytest -s -q $(or $(TESTS),tests/attack)

pictures: $(BIN)/pytest ## Take the pictures in docs/images again.
	PICTURES=docs/images $(BIN)/pytest tests/browser/test_pictures.py

bench: $(BIN)/pytest ## Compare the cost of a request with version 0.1.0 and baselines, in 12 minutes; ARGS=--help.
	@scripts/need redis-server openssl wrk valgrind
	@$(BIN)/python -m benchmarks $(ARGS)

bench-cluster: $(BIN)/pytest ## Measure a request on a cluster against one Redis; writes docs/scaling/cluster.md.
	@scripts/need redis-server wrk
	$(BIN)/python -m benchmarks.cluster

bench-edge: $(BIN)/pytest ## Measure what the edge costs; needs a Docker engine.
	@scripts/need wrk
	$(BIN)/python -m benchmarks.edge

audit: $(BIN)/pytest ## Ask osv.dev about known vulnerabilities of every package that is pinned.
	scripts/audit $(BIN)/pip-audit

settings-docs: install ## Write the table in docs/settings.md from the settings in the code.
	$(BIN)/python -m scripts.settings_docs

EXPORT := --frozen --quiet --no-header --no-annotate --no-emit-project
lock: $(BIN)/pytest ## Update uv.lock and the files exported from it to match pyproject.toml.
	$(BIN)/uv lock --default-index https://pypi.org/simple
	$(BIN)/uv export $(EXPORT) --no-default-groups --output-file requirements.lock
	$(BIN)/uv export $(EXPORT) --only-group build --output-file requirements-build.lock
	$(BIN)/uv export $(EXPORT) --all-extras --output-file requirements-dev.lock

clean: ## Remove what the targets above made.
	rm -rf .cache .venv dist src/messaging_api/web/pages/generated .coverage* .mypy_cache .ruff_cache .hypothesis
	find src tests benchmarks scripts -name __pycache__ -prune -exec rm -rf {} +

.venv/made: scripts/make-venv
	@scripts/make-venv '$(PYTHON)'

# What scripts/build_hook.py reads.
PAGES := $(shell find src/messaging_api/web/pages/static -type f) $(wildcard src/messaging_api/web/pages/*.py scripts/*.py) \
  $(addprefix src/messaging_api/,web/openapi.yaml web/schemas.py web/problems.py core/message.py errors.py)
$(BIN)/messaging-api: .venv/made requirements.lock requirements-build.lock pyproject.toml $(PAGES)
	$(PIP) --require-hashes -r requirements.lock -r requirements-build.lock
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(BIN)/pytest: $(BIN)/messaging-api requirements-dev.lock
	$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@
