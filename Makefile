# Every target creates its environment. `make demo` needs only make and Python 3.11 or newer with venv.

# The newest Python that works. PYTHON=… selects another.
PYTHON ?= $(shell for v in python3.13 python3.12 python3.11 python3.14 python3; do \
	$$v -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$v; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test test-one lint bench plots soak proof lock docs clean

help:
	@sed -n 's/^## //p' Makefile

$(READY): locks/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv was found; install one, or set PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

## make demo    every kind of payment against a sandbox; exits 1 if the ledgers differ
demo: $(READY)
	$(BIN)/gatewaypy demo --payouts examples/payouts.csv

# Tests with many processes run later and fewer at a time, because they use real deadlines.
## make test    the suite with its coverage gate, then the light tests on every other Python
test: $(READY)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 4 -m "not heavy"
	$(BIN)/coverage run -m pytest -n 2 -m heavy
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	@sh tools/other-pythons.sh $(BIN)/python

# The light tests without coverage; tools/other-pythons.sh calls it for each Python.
test-one: $(READY)
	$(BIN)/python -m pytest -n 4 -q -m "not heavy"

## make lint    ruff, mypy, pyright, import contracts, bandit, the word list; generated docs are up to date
lint: $(READY)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	cd tests && $(abspath $(BIN))/mypy --config-file ../pyproject.toml --explicit-package-bases support
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml gatewaypy
	$(BIN)/python tools/protocol_docs.py --check
	$(BIN)/python tools/coverage_table.py --check
	$(BIN)/python tools/check_words.py

# The peers have a separate environment.
PEERS := .venv-peers
$(PEERS)/.ready: locks/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/peers.txt
	@touch $@

## make bench   costs compared with peers: `name ratio target ok|short`; takes half an hour
bench: $(READY)
	@$(MAKE) --no-print-directory $(PEERS)/.ready || echo "# the peers could not be installed"
	$(BIN)/python benchmarks/cost.py --peers $(PEERS)/bin/python
	$(BIN)/python benchmarks/payouts.py
	$(BIN)/python benchmarks/receiver.py
	$(BIN)/python benchmarks/imports.py

## make plots   draw the costs against calls in flight and payouts in a job, into docs/images
plots: $(READY) $(PEERS)/.ready
	$(BIN)/python benchmarks/growth.py --peers $(PEERS)/bin/python

## make soak    20,000 payouts, killed 20 times on each store; takes ten minutes
soak: $(READY)
	GATEWAYPY_SOAK_PAYOUTS=20000 GATEWAYPY_SOAK_KILLS=20 GATEWAYPY_SOAK_HITS=5 \
		$(BIN)/python -m pytest tests/payouts/test_crash_recovery.py -n 2 --timeout 3600

## make proof   200,000 simulated payout jobs (SEEDS=…); takes some hours
SEEDS ?= 200000
proof: $(READY)
	$(BIN)/python tools/simulate.py --seeds $(SEEDS)

## make docs    update the generated tables in docs/
docs: $(READY)
	$(BIN)/python tools/protocol_docs.py
	$(BIN)/python tools/coverage_table.py

## make lock    update the locked dependencies, for every Python and platform, with hashes
lock: $(READY)
	$(BIN)/uv pip compile --quiet pyproject.toml --extra all --group dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --output-file locks/dev.txt
	$(BIN)/uv pip compile --quiet benchmarks/peers.in --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --output-file locks/peers.txt

clean:
	rm -rf .venv .venv-3.* .venv-peers .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
