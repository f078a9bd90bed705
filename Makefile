# make demo   train, score and picture a small model (about five minutes on two cores)
# make test   lint, types and the test suite
# make fuzz   50,000 damaged and random files on every reader (about ten minutes on one core)
# Both make .venv and install what they need on the first call; later calls install nothing.

PYTHON ?= python3
WORKERS ?= 2
PIP := .venv/bin/python -m pip install --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test fuzz lint results clean

help:
	@sed -n '1,4s/^# //p' Makefile

demo: .venv/unbraid-installed
	.venv/bin/unbraid demo

test: lint
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n $(WORKERS)

fuzz: .venv/tests-installed
	OMP_NUM_THREADS=1 .venv/bin/python tests/helpers/fuzzing.py --inputs 50000

lint: .venv/tests-installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

results: .venv/unbraid-installed
	.venv/bin/unbraid record

clean:
	rm -rf .venv build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "unbraid needs Python 3.11 or newer; '$(PYTHON)' is not. Name one: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv

# torch goes first, alone: a plain request for it takes the build without CUDA where one is offered.
.venv/unbraid-installed: pyproject.toml constraints.txt | .venv/bin/python
	@echo "Installing unbraid into .venv; this takes a few minutes, once."
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	$(PIP) --constraint constraints.txt --editable '.[video,audio,series,page]'
	@touch $@

.venv/tests-installed: .venv/unbraid-installed
	$(PIP) --constraint constraints.txt --group test 'opencv-python-headless<5'
	@touch $@
