# The project's commands. Each sets up what it needs first; a set-up that is already right takes no time.
.DEFAULT_GOAL := help
.PHONY: help setup run test mutants chaos takeover bench check format lock package clean
PY := .venv/bin/python

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' Makefile | expand -t 18

setup: ## make .venv with the pinned dependencies; uv is fetched into .tools/ where it is missing
	@sh tools/setup.sh

run: setup ## serve everything on this machine: PORT=8000, GENERATOR=my_agent:generate
	@PORT='$(PORT)' GENERATOR='$(GENERATOR)' exec $(PY) -m standins.local

test: setup ## every test: ARGS='-k name' chooses
	@$(PY) -m pytest $(ARGS)

mutants: setup ## break one rule at a time, and show the test that goes red: ARGS=rescue chooses
	@$(PY) -m tests.mutants $(ARGS)

chaos: setup ## many answers under every fault at once: ANSWERS=1000 SEED=7 MINUTES=40
	@$(PY) -m tests.chaos $(if $(ANSWERS),--answers $(ANSWERS)) $(if $(SEED),--seed $(SEED)) \
		$(if $(MINUTES),--minutes $(MINUTES))

takeover: setup ## how long readers wait when a publisher is killed: TIMES=25
	@$(PY) -m tests.chaos.takeover $(if $(TIMES),--times $(TIMES)) $(if $(SEED),--seed $(SEED))

bench: setup ## what a long answer costs: Redis commands as billed, and how soon a reader has each token
	@$(PY) -m benchmarks.commands

check: setup ## lint, format, strict types, static security, what no file may contain, known vulnerabilities
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@$(PY) -m tools.check_tree
	@$(PY) -m tools.audit

format: setup ## put the code into shape
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

lock: setup ## write the pins anew after a change to the dependencies: UPGRADE=1 moves them all
	@$(PY) -m tools.lock $(if $(UPGRADE),--upgrade)

package: setup ## build the AWS Lambda artifacts into build/lambda: PLATFORM=aarch64-manylinux_2_28
	@$(PY) -m tools.package $(if $(PLATFORM),--platform $(PLATFORM))

clean: ## remove everything that can be made again; .holdfast/ and .env stay
	@rm -rf .venv .tools .vercel .serverless build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
