# SPDX-License-Identifier: GPL-2.0-or-later
# The house's commands. Everything runs in .venv, which setup makes.

VENV := .venv/bin
RUN  := runs/$(shell date +%Y%m%d-%H%M%S)
BENCH = runs/bench/$(notdir $(RUN)).json
# What pytest tells of its slowest tests, to see where the time of `make test` goes.
SLOWEST = --durations=30 --durations-min=5
# Without hypothesis, which the kernel tests do not use, and which takes long to load there.
GUEST_TESTS = $(VENV)/tracer lab --timeout 4800 -- \
	pytest -p no:cacheprovider -p no:hypothesispytest $(SLOWEST)
RECORD_TESTS = $(wildcard tests/kernel/test_record_*.py)

.DEFAULT_GOAL := help
.PHONY: help setup run test test-host test-guest test-module test-record bench lint lab kmod docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install what is missing: Debian packages and .venv
	@scripts/setup

run: setup ## boot the lab, record a workload on every channel, report as text and HTML
	$(VENV)/tracer lab -- tracer record -o $(RUN) -- tracer drive --channel all --count 500
	@$(VENV)/tracer report $(RUN) --html $(RUN)/report.html >/dev/null
	@$(VENV)/tracer report $(RUN)

test: lint ## lint; then the tests of this machine and those of two guests, two at once
	$(MAKE) -j2 -k --no-print-directory test-record test-host test-module

test-host: setup ## unit, lab, browser, notebook and docs tests
	@scripts/prefixed host $(VENV)/pytest $(SLOWEST)

test-guest: test-module test-record ## the kernel tests, in the lab

test-module: setup ## the kernel tests that record nothing: msgchan and the clients
	@scripts/prefixed module $(GUEST_TESTS) $(filter-out $(RECORD_TESTS),$(wildcard tests/kernel/test_*.py))

test-record: setup ## the kernel tests that record
	@scripts/prefixed record $(VENV)/python -m tracer.lab.compiled
	@scripts/prefixed record $(GUEST_TESTS) $(RECORD_TESTS)

bench: setup ## what tracing costs, beside other tools: a table, and docs/benchmarks.md
	@scripts/setup bench
	@$(VENV)/tracer lab --deterministic --timeout 3600 -- python -m bench.measure $(BENCH)
	@$(VENV)/python -m bench.page $(BENCH)

lint: setup ## ruff, mypy, import-linter and checkpatch, as CI runs them
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports --no-logo --no-cache
	$(MAKE) -s -C kmod check CHECKPATCH="$$(scripts/checkpatch)"

lab: setup ## a root shell in the guest (COMMAND='...' runs that instead)
	$(VENV)/tracer lab -- sh -c '$(or $(COMMAND),exec sh -i)'

kmod: setup ## build the module for the newest installed kernel
	$(VENV)/tracer kmod build --kernel \
		$$($(VENV)/python -c 'from tracer.lab.kernels import choose; print(choose(None))')

docs: setup ## build the site in runs/docs/html; a warning is an error
	$(VENV)/python -m sphinx -W --keep-going -q -b html -d runs/docs/doctrees docs runs/docs/html
	@echo runs/docs/html/index.html

clean: ## remove builds, caches and .venv (runs/ stays)
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache docs/_generated docs/notebooks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find kmod -name '*.ko' -o -name '*.o' -o -name '*.mod' -o -name '*.mod.c' -o -name '.*.cmd' \
		-o -name Module.symvers -o -name modules.order | xargs -r rm -f
