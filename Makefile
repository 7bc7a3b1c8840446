# `make book` builds the book, `make test` runs every test; each first sets up .venv if it is missing or out of date.

PYTHON  ?= python3
PROFILE ?= quick
DEVICE  ?= cpu
JOBS    ?= 2

VENV  := .venv
BIN   := $(VENV)/bin
STAMP := $(VENV)/.ready

.DEFAULT_GOAL := book
.PHONY: book test bench setup lint format sync serve clean

book: $(STAMP)
	@$(BIN)/robustmer book --profile $(PROFILE) --device $(DEVICE) --jobs $(JOBS)

# One thread a worker: two notebooks that each take all cores are slower than one after the other.
test: export OMP_NUM_THREADS = 1
test: lint
	$(BIN)/python -m pytest -n $(JOBS)

# Seconds of every system on this machine, as a table and as runs/bench.json. Best on an idle machine.
bench: $(STAMP)
	@$(BIN)/python bench/bench.py --device $(DEVICE)

setup: $(STAMP)

lint: $(STAMP)
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check .

format: $(STAMP)
	$(BIN)/ruff format .

# Writes the .ipynb of every notebook from its .py; cells that stay keep their ids.
sync: $(STAMP)
	$(BIN)/jupytext --quiet --to ipynb --update notebooks/*.py notebooks/*/*.py

serve: book
	$(BIN)/python -m http.server --directory _build/html 8000

clean:
	rm -rf _build book/executed book/index.ipynb runs

# Set-up holds a lock, a folder that only one make can create, so that two makes on a fresh clone build one .venv.
ifndef LOCKED
LOCK := .setup.lock.d
$(STAMP): requirements.txt constraints.txt pyproject.toml
	@until mkdir $(LOCK) 2>/dev/null; do \
		echo "another make sets up $(VENV); waiting (if none runs, remove the folder $(LOCK))"; sleep 5; done; \
	trap 'rmdir $(LOCK)' EXIT; trap 'exit 130' INT TERM; \
	$(MAKE) --no-print-directory LOCKED=1 $@
else
$(STAMP): requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; \
		v >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is %d.%d: make PYTHON=python3.12" % v[:2])'
	@echo "setting up $(VENV)"
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements.txt -c constraints.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
endif
