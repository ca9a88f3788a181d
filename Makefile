# `make run` and `make test` do all their own set-up. PYTHON=... names another Python; ARGS=... goes to `pq up`.
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
N ?= 20
# Test files are shared out to so many processes; many tests wait for processes and servers, so two cores keep three busy.
WORKERS ?= 3

.PHONY: run test setup lint types imports unit bench prove crash coverage lock clean help

help:
	@echo "make run      start the desk and watch it live (ARGS='--feed kraken --symbol KRAKEN:BTCUSD')"
	@echo "make test     lint, types, import contracts, tests"
	@echo "make setup    only create the environment"
	@echo "make bench    the benchmarks, a JSON line each"
	@echo "make prove    100,000 random journals, kernel against oracle (half an hour)"
	@echo "make crash    the crash suite with N=$(N) kills"
	@echo "make coverage the tests with branch coverage"
	@echo "make lock     resolve the dependencies anew (needs uv)"
	@echo "make clean    remove the environment and caches; data stays"

run:
	@sh infra/setup.sh run
	@$(BIN)/pq up $(ARGS)

setup:
	@sh infra/setup.sh dev

test: setup lint types imports unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

unit: setup
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder

bench:
	@sh infra/setup.sh bench
	@for file in benchmarks/*.py; do echo "== $$file"; .venv-bench/bin/python $$file || exit 1; done

prove: setup
	POCKETQUANT_TEST_PROFILE=prove $(PYTEST) tests/operators --timeout 0

crash: setup
	POCKETQUANT_TEST_KILLS=$(N) $(PYTEST) -m crash -s --timeout 0

coverage: setup
	$(BIN)/coverage run -m pytest -m "not crash"
	$(BIN)/coverage report

# Without index annotations, so that the locks name no host.
LOCK := uv pip compile pyproject.toml --python-version 3.11 --universal --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-find-links --quiet
lock:
	$(LOCK) --group build -o requirements.lock
	$(LOCK) --group build --group dev -o requirements-dev.lock
	$(LOCK) --group build --group bench -o requirements-bench.lock

clean:
	rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
