# make book · make test · make smoke · make gpu · make floors · make newest · make constraints · make serve · make clean
# Settings: PROFILE (smoke, cpu, gpu, paper), VENV (the environment to make and use), PYTHON (3.11 or later), PORT.

PYTHON ?= python3
VENV ?= .venv
PROFILE ?= cpu
PORT ?= 8000
PY = $(VENV)/bin/python
READY = $(VENV)/.agentprm-ready

export PROFILE
# Set on some CI machines; it makes every kernel compile all it imports.
unexport PYTHONDONTWRITEBYTECODE
MAKEFLAGS += --no-print-directory

.PHONY: book test lint smoke gpu serve clean floors constraints newest

book: $(READY)
	$(PY) scripts/book.py book

smoke: $(READY)
	PROFILE=smoke $(PY) scripts/book.py run

gpu: $(READY)
	PROFILE=gpu $(PY) scripts/book.py book

test: lint
	$(PY) -m pytest -v --durations=10 -n 2 --dist loadfile --no-loadscope-reorder

lint: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check agentprm_lite benchmarks scripts tests
	$(PY) -m ruff check --config 'exclude=["notebooks/*.py"]' --line-length 79 notebooks
	$(PY) -m mypy
	$(PY) -m pydoclint.main -q agentprm_lite

# tests/core, tests/files, tests/hub and tests/fast with other releases; TORCH=2.13.0 chooses another torch
floors newest:
	$(PYTHON) -m venv .venv-$@
	.venv-$@/bin/python -m pip install --disable-pip-version-check $$($(PYTHON) scripts/releases.py $@ --pins) \
		'.[worlds]' filelock hypothesis pytest
	.venv-$@/bin/python scripts/releases.py $@

constraints: $(READY)
	$(PY) scripts/releases.py $@

serve:
	@test -d _build/html || { echo "No book yet: make book"; exit 1; }
	@echo "http://127.0.0.1:$(PORT)/"
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

clean:
	rm -rf _build artifacts .pytest_cache .mypy_cache .ruff_cache

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.11 ..."; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --disable-pip-version-check -c constraints.txt --upgrade pip
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt torch
	$(PY) -m pip install --disable-pip-version-check -c constraints.txt -e '.[book,dev]'
	@touch $(READY)
