# Everything here sets itself up: a first `make demo` needs only Python 3.11 or newer with venv, and make.

# The newest of these that is there and works; PYTHON=… takes another.
PYTHON ?= $(shell for v in python3.13 python3.12 python3.11 python3.14 python3; do \
	$$v -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$v; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test test-one lint bench plots soak proof lock docs clean

help:
	@sed -n 's/^## //p' Makefile

$(READY): locks/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with venv was found: install one, or name it with PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

## make demo    every kind of payment against the sandbox on a real socket; exits 1 if the books disagree
demo: $(READY)
	$(BIN)/gatewaypy demo --payouts examples/payouts.csv

# What starts many processes runs after the rest, and fewer at a time: its deadlines are those that users have.
## make test    the whole suite with its coverage gate, then all but its heavy tests on every other Python from 3.11 to 3.14 that is here
test: $(READY)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 4 -m "not heavy"
	$(BIN)/coverage run -m pytest -n 2 -m heavy
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	@sh tools/other-pythons.sh $(BIN)/python

# One more interpreter's run, without coverage and without what takes minutes; tools/other-pythons.sh calls it.
test-one: $(READY)
	$(BIN)/python -m pytest -n 4 -q -m "not heavy"

## make lint    ruff, mypy, pyright, import contracts, bandit, the word list; generated docs are up to date
lint: $(READY)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml gatewaypy
	$(BIN)/python tools/protocol_docs.py --check
	$(BIN)/python tools/coverage_table.py --check
	$(BIN)/python tools/check_words.py

# The peers have an environment of their own: nothing of theirs gets into the library's.
PEERS := .venv-peers
$(PEERS)/.ready: locks/peers.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/peers.txt
	@touch $@

## make bench   what a payment costs, each figure against a peer in the same run: `name ratio target ok|short`; half an hour
bench: $(READY)
	@$(MAKE) --no-print-directory $(PEERS)/.ready || echo "# the peers could not be installed"
	$(BIN)/python benchmarks/cost.py --peers $(PEERS)/bin/python
	$(BIN)/python benchmarks/payouts.py
	$(BIN)/python benchmarks/receiver.py
	$(BIN)/python benchmarks/imports.py

## make plots   draw what a call costs against calls in flight and payouts in a job, into docs/images
plots: $(READY) $(PEERS)/.ready
	$(BIN)/python benchmarks/growth.py --peers $(PEERS)/bin/python

## make soak    20,000 payouts killed 20 times on each store, every named moment five times: about ten minutes
soak: $(READY)
	GATEWAYPY_SOAK_PAYOUTS=20000 GATEWAYPY_SOAK_KILLS=20 GATEWAYPY_SOAK_HITS=5 \
		$(BIN)/python -m pytest tests/payouts/test_crash_recovery.py -n 2 --timeout 3600

## make proof   200,000 simulated lives of payout jobs: some hours; SEEDS=… runs another number
SEEDS ?= 200000
proof: $(READY)
	$(BIN)/python tools/simulate.py --seeds $(SEEDS)

## make docs    write docs/wire-protocol.md, states.md, sandbox-tables.md and coverage.md from the tables in the code
docs: $(READY)
	$(BIN)/python tools/protocol_docs.py
	$(BIN)/python tools/coverage_table.py

## make lock    resolve the dependencies anew, for every Python and platform, with hashes
lock: $(READY)
	$(BIN)/uv pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --output-file locks/dev.txt
	$(BIN)/uv pip compile --quiet benchmarks/peers.in --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-annotate --no-emit-index-url --output-file locks/peers.txt

clean:
	rm -rf .venv .venv-3.* .venv-peers .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
