# The front doors. `make run` and `make test` need Python 3.11 or later; the rest is installed by them.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
LINTERS := .venv-containers/bin
URL ?= http://127.0.0.1:5000
CLUSTER := */stores/redis/cluster.py,*/stores/redis/replication.py,*/stores/redis/sentinel.py,*/stores/redis/topology.py
# Folders of tests/ that have a target of their own.
OWN_TARGET := attack cluster browser operations containers

.PHONY: help install run test test-cluster failover bench bench-cluster test-browser pictures test-operations lint contract lock
.PHONY: clean

help: ## Show this.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

install: $(BIN)/messaging-api ## Make .venv with the command messaging-api in it.

run: install ## Serve on port 5000; STORE=redis://… for another store, ARGS="…" for further options.
	@exec $(BIN)/messaging-api serve $(if $(STORE),--store '$(STORE)') $(ARGS)

test: $(BIN)/pytest servers ## Run the tests; they start the servers they need. TESTS="…" for some of them.
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(or $(TESTS),tests $(OWN_TARGET:%=--ignore=tests/%))
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report $(if $(TESTS),--fail-under=0) --omit='$(CLUSTER)'

test-cluster: $(BIN)/pytest servers ## Run what every store promises on a Redis Cluster and behind sentinels, with failovers.
	$(BIN)/coverage erase
	STORES='cluster,cluster#1,sentinel,sentinel#1' $(BIN)/coverage run -m pytest tests/contract/test_stores.py \
	  tests/contract/test_counters.py tests/cluster
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include='$(CLUSTER)'

failover: $(BIN)/pytest servers ## Kill masters under load, for some minutes; writes docs/scaling/failover.md.
	$(BIN)/python -m tests.cluster

bench-cluster: $(BIN)/pytest servers ## Measure a request on a cluster against one Redis; writes docs/scaling/cluster.md.
	@command -v wrk >/dev/null || scripts/need wrk
	$(BIN)/python -m benchmarks.cluster

test-browser: $(BIN)/playwright servers chromium ## Run the tests of the pages, in Chromium.
	$(BIN)/pytest tests/browser $(TESTS)

pictures: $(BIN)/playwright chromium ## Take the pictures in docs/images anew.
	PICTURES=docs/images $(BIN)/pytest tests/browser/test_pictures.py

test-operations: $(BIN)/pytest servers ## Run what operators count on: rolling restarts behind HAProxy, alerts, the dashboard.
	$(BIN)/pytest tests/operations

.PHONY: test-containers bench-edge lint-containers
test-containers: $(BIN)/pytest ## Run the container tests on the Docker engine that is there; they build what they need.
	@docker info >/dev/null 2>&1 || { echo "No Docker engine answers: the container tests cannot run here." >&2; exit 1; }
	$(BIN)/pytest $(or $(TESTS),tests/containers)

bench-edge: $(BIN)/pytest ## Measure what the edge costs; needs a Docker engine and wrk.
	$(BIN)/python -m benchmarks.edge

lint-containers: $(LINTERS)/checkov ## Check Dockerfiles, compose files and the Kubernetes manifests.
	$(LINTERS)/hadolint Dockerfile deploy/*/Dockerfile
	$(LINTERS)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml docker-compose.dev.yml
	$(LINTERS)/checkov --quiet --compact --skip-download --framework dockerfile -d .
# Not checked of Kubernetes: pull policy and digests (versions are pinned), user ids above 10,000 (431 is the image's user).
	@command -v kubectl >/dev/null || scripts/need kubernetes-client
	kubectl kustomize deploy/kubernetes > .venv-containers/kubernetes.yaml
	$(LINTERS)/checkov --quiet --compact --skip-download --framework kubernetes \
	  --skip-check CKV_K8S_15,CKV_K8S_40,CKV_K8S_43 -f .venv-containers/kubernetes.yaml

.PHONY: attack audit
attack: $(BIN)/pytest servers ## Attack a running service for some minutes; prints the figures of docs/security.md.
	$(BIN)/pytest -s -q tests/attack $(TESTS)

audit: .venv-audit/bin/pip-audit ## Ask osv.dev about known vulnerabilities of every package that is pinned.
	scripts/audit .venv-audit/bin/pip-audit

.venv-audit/bin/pip-audit: requirements-audit.lock
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-audit.lock
	@touch $@

bench: .venv/bench servers meters ## Measure what a request costs; ARGS="growth" and ARGS="endurance" take long, ARGS=--help.
	@$(BIN)/python -m benchmarks $(ARGS)

lint: $(BIN)/pytest ## Check style, types and shape.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

contract: $(BIN)/pytest ## Run the HTTP contract against a running service: URL=http://…
	CONTRACT_URL='$(URL)' $(BIN)/pytest tests/contract/test_http.py

.PHONY: settings-docs
settings-docs: install ## Write the table in docs/settings.md from the settings in the code.
	$(BIN)/python -m scripts.settings_docs

lock: ## Write the lock files anew from pyproject.toml (needs uv).
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --extra tracing --group dev pyproject.toml -o requirements-dev.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --group browser -c requirements-dev.lock -o requirements-browser.lock
	for group in audit containers reload; do uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-annotate --group $$group -o requirements-$$group.lock; done
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --group bench -c requirements-dev.lock -o requirements-bench.lock

clean: ## Remove what the targets above made.
	rm -rf .venv .venv-audit .venv-containers dist build src/messaging_api/web/pages/generated .coverage* .mypy_cache .ruff_cache .hypothesis

.PHONY: servers chromium meters
meters:
	@command -v wrk >/dev/null || scripts/need wrk
	@command -v valgrind >/dev/null || scripts/need valgrind
servers:
	@command -v redis-server >/dev/null || scripts/need redis-server
	@command -v openssl >/dev/null || scripts/need openssl
	@command -v haproxy >/dev/null || scripts/need haproxy
	@command -v kubectl >/dev/null || scripts/need kubernetes-client
	@command -v promtool >/dev/null || scripts/need prometheus

chromium:
	@command -v chromium >/dev/null || scripts/need chromium

.venv/made: scripts/make-venv
	@scripts/make-venv '$(PYTHON)'

# What scripts/build_hook.py reads.
PAGES := $(shell find src/messaging_api/web/pages/static -type f) $(wildcard src/messaging_api/web/pages/*.py scripts/*.py) \
  $(addprefix src/messaging_api/,web/openapi.yaml web/schemas.py web/problems.py core/message.py errors.py)
$(BIN)/messaging-api: .venv/made requirements.lock pyproject.toml $(PAGES)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

$(BIN)/pytest: $(BIN)/messaging-api requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

.venv/bench: $(BIN)/pytest requirements-bench.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bench.lock
	@touch $@

$(BIN)/playwright: $(BIN)/pytest requirements-browser.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-browser.lock
	@touch $@

$(LINTERS)/checkov: requirements-containers.lock
	$(PYTHON) -m venv .venv-containers
	$(LINTERS)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-containers.lock
	@touch $@
