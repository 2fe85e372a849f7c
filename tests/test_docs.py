"""The documents keep up with the code: every error, command and key has its place."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from typer.main import get_command

import mlp_helpers
from mlp_helpers.config_file import TEMPLATE
from mlp_helpers.errors import MlpError
from mlp_helpers.folders import PROJECT_FOLDER

DOCS = PROJECT_FOLDER / "docs"


def errors() -> set[str]:
    """Names of all errors that a person can meet."""
    for module in pkgutil.walk_packages(mlp_helpers.__path__, "mlp_helpers."):
        if ".sandbox" not in module.name and not module.name.endswith(("__main__", "core")):
            importlib.import_module(module.name)
    found, queue = set(), [MlpError]
    while queue:
        for each in queue.pop().__subclasses__():
            if ".sandbox" not in each.__module__:
                found.add(each.__name__)
            queue.append(each)
    return found


def test_every_error_has_its_entry_in_the_troubleshooting_page() -> None:
    headings = set(re.findall(r"^## (\w+)$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE))
    assert errors() == headings


def test_every_command_that_the_documents_name_exists() -> None:
    from mlp_helpers.cli import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    text = "\n".join(path.read_text() for path in [PROJECT_FOLDER / "README.md", *DOCS.glob("*.md")])
    for name, sub in re.findall(r"`?mlp (\w+)(?: (\w+))?", text):
        if name in ("yaml",):
            continue
        assert name in commands, name
        if name in ("sandbox", "job") and sub:
            assert sub in commands[name].commands, f"{name} {sub}"


def test_every_make_target_that_the_documents_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT_FOLDER / "Makefile").read_text(), re.MULTILINE))
    for path in [PROJECT_FOLDER / "README.md", PROJECT_FOLDER / "CONTRIBUTING.md", *DOCS.glob("*.md")]:
        named = set(re.findall(r"(?:^    |`)make ([a-z-]+)", path.read_text(), re.MULTILINE))
        assert named <= targets, path


@pytest.mark.parametrize("path", [PROJECT_FOLDER / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda path: path.name)
def test_every_file_that_a_document_names_exists(path: Path) -> None:
    for name in re.findall(r"`(docs/[\w.-]+\.md)`", path.read_text()):
        assert (PROJECT_FOLDER / name).exists(), name


def test_the_template_explains_every_top_level_key() -> None:
    from mlp_helpers.config import PlatformConfig

    for key in set(PlatformConfig.model_fields) - {"buckets"}:
        assert re.search(rf"^{key}:", TEMPLATE, re.MULTILINE), key
