PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed

.PHONY: quickstart test check slow clean

quickstart: $(INSTALLED)
	$(BIN)/stillhouse quickstart --out quickstart --force

test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses logical --dist worksteal

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf $(VENV) quickstart quickstart.force build *.egg-info

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
