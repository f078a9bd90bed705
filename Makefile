# make demo   train, score and picture a small model (about five minutes on two cores)
# make test   lint, types and the test suite
# make site   build docs/ into build/site, a site of plain files
# make fuzz   50,000 damaged and random files on every reader (about ten minutes on one core)
# Both make .venv and install what they need on the first call; later calls install nothing.

PYTHON ?= python3
WORKERS ?= 2
PIP := .venv/bin/python -m pip install --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test test-oldest test-newest fuzz lint results site release clean

help:
	@sed -n '1,5s/^# //p' Makefile

demo: .venv/unbraid-installed
	.venv/bin/unbraid demo

test: lint
	OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n $(WORKERS)

# The whole suite with the lower bounds of pyproject.toml, and with the newest versions that they allow. TORCH names another torch
# where the oldest has no build for the machine.
test-oldest:
	$(call suite-in,.venv-oldest,--constraint .venv-oldest/constraints.txt,$(TORCH))

test-newest:
	$(call suite-in,.venv-newest,--upgrade,$(TORCH))

fuzz: .venv/tests-installed
	OMP_NUM_THREADS=1 .venv/bin/python tests/helpers/fuzzing.py --inputs 50000

lint: .venv/tests-installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

results: .venv/unbraid-installed
	.venv/bin/unbraid record

site: .venv-site/installed
	.venv-site/bin/python website/build.py

release: .venv/release-installed
	rm -rf dist
	.venv/bin/python -m build
	.venv/bin/python -m twine check --strict dist/*

clean:
	rm -rf .venv .venv-oldest .venv-newest .venv-site build dist .pytest_cache .ruff_cache .mypy_cache .hypothesis

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
	$(PIP) --constraint constraints.txt --editable '.[search,tb,ray,hub,export]' --group test 'opencv-python-headless<5'
	@touch $@

.venv/release-installed: .venv/bin/python pyproject.toml
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) --group release
	@touch $@

.venv-site/installed: pyproject.toml
	$(PYTHON) -m venv .venv-site
	.venv-site/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	.venv-site/bin/python -m pip install --quiet --group site
	@touch $@

# An environment of its own, with torch first and alone, then the suite in it.
define suite-in
	$(PYTHON) -m venv $(1)
	sed 's/^torch==.*/torch==$(or $(3),2.6)/' constraints-oldest.txt > $(1)/constraints.txt
	$(1)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(1)/bin/python -m pip install --quiet $(2) 'torch$(if $(3),==$(3),>=2.6)'
	$(1)/bin/python -m pip install --quiet $(2) --editable '.[video,audio,series,faces]' --group test
	OMP_NUM_THREADS=1 $(1)/bin/python -m pytest -n $(WORKERS)
endef
