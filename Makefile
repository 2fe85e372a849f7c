# The project's commands. `make help` lists them.
PYTHON ?= python3
VENV := $(or $(MLP_VENV),.venv)
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: setup workbook lab test test-fast test-browser lint bench clean help lock

setup: ## Create the environment that requirements.lock describes (.venv)
	@$(PYTHON) tools/create_environment.py

workbook: setup ## Run every notebook to the end in the sandbox; the report is in runs/
	@$(BIN)/mlp run --stop

lab: setup ## Open the notebooks in JupyterLab
	@$(BIN)/mlp lab

test: setup ## All tests but those in a browser
	@$(BIN)/python -m pytest -m "not browser"

test-browser: setup ## JupyterLab in Chromium; screenshots go to docs/images
	@$(BIN)/python -m pytest -m browser

test-fast: setup ## The tests of the inner loop: no Ray, no whole notebooks
	@$(BIN)/python -m pytest -m "not ray and not workbook and not browser" -q

lint: setup ## Style, types, layers, Terraform's format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports
	@if command -v terraform >/dev/null; then terraform fmt -check -recursive terraform; fi

bench: setup ## Time the workbook against its floor: the same work, started by hand
	@$(BIN)/python -m benchmarks.workbook

lock: setup ## Resolve the versions anew
	@$(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--all-extras -q pyproject.toml -o requirements.lock

clean: ## Stop the sandbox and remove what the commands created
	@if [ -x $(BIN)/mlp ]; then $(BIN)/mlp sandbox reset --yes; fi
	@rm -rf .mlp runs $(VENV) $(VENV)-uv

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
