# make demo: install, train on the bundled articles, evaluate, label the examples.
# make test: install, run all tests.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Of the tests: one more than there are cores, since many wait for a process that they start.
PROCESSES = $(shell $(PYTHON) -c 'import os; print(min(4, 1 + (os.cpu_count() or 1)))')
STAMP := $(VENV)/installed
MODEL := outputs/starter/model

.PHONY: help install demo train evaluate examples test lint types check format docs wheel clean

help:
	@grep -E '^# make|^[a-z]+:.*##' Makefile | sed 's/:.*## /: /'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(None if ok else "stance needs Python 3.11 to 3.13: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps label-studio-sdk
	touch $(STAMP)

install: $(STAMP) ## everything into .venv

demo: train examples ## install, train, evaluate, label the example articles

train: $(STAMP) ## fine-tune on the bundled corpus and evaluate
	$(BIN)/python scripts/train.py experiment=starter

evaluate: $(STAMP) ## evaluate the trained model again
	$(BIN)/python scripts/evaluate.py model=$(MODEL)

examples: $(STAMP) ## label the example articles with the trained model
	$(BIN)/stance tag data/examples/harbour.txt --model $(MODEL) --format table \
		--target "Port Authority of Kelm" --target "Ilse Maarn" \
		--claim "The port authority hid the results of the water tests."
	$(BIN)/python scripts/tag.py model=$(MODEL) input=data/examples output=outputs/examples.jsonl
	$(BIN)/stance tag data/examples/ceasefire.jsonl --model $(MODEL) --format html --output outputs/pages
	$(BIN)/stance tag data/examples/harbour.txt --model $(MODEL) --output outputs/pages/harbour.html \
		--target "Port Authority of Kelm" --target "Ilse Maarn" \
		--claim "The port authority hid the results of the water tests."
	@echo "pages: outputs/pages"

test: $(STAMP) ## all tests
	$(BIN)/python -m pytest --numprocesses $(PROCESSES) --dist worksteal

lint: $(STAMP) ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## mypy, strict
	$(BIN)/mypy

check: lint types test ## lint, types, tests

format: $(STAMP) ## let ruff format everything
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(STAMP) ## build the documentation site into build/site
	$(BIN)/mkdocs build --quiet

wheel: $(STAMP) ## build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## remove what was built and trained
	rm -rf outputs build dist .pytest_cache .mypy_cache .ruff_cache
