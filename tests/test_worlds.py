"""Only config.py and endpoints.py know which world it is: no other helper and no notebook asks."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlp_helpers.config import load_config
from mlp_helpers.endpoints import GoogleCloudEndpoints, SandboxEndpoints
from mlp_helpers.errors import MixedWorldsError, SandboxError
from mlp_helpers.folders import PROJECT_FOLDER

KNOWING = {"config", "endpoints", "config_file"}  # config_file writes the key, it decides nothing
PACKAGE = PROJECT_FOLDER / "mlp_helpers"


def helper_modules() -> list[Path]:
    return [
        path
        for path in PACKAGE.rglob("*.py")
        if "sandbox" not in path.relative_to(PACKAGE).parts and path.stem not in KNOWING
    ]


@pytest.mark.parametrize("path", helper_modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_other_helper_asks_for_the_world(path: Path) -> None:
    tree = ast.parse(path.read_text())
    asked = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "world"]
    named = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare)
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and each.value in ("sandbox", "google-cloud")
    ]
    assert not asked + named


def test_no_notebook_cell_asks_for_the_world() -> None:
    for path in (PROJECT_FOLDER / "notebooks").glob("*.ipynb"):
        code = ["".join(c["source"]) for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
        assert not any(word in cell for cell in code for word in ("world", "sandbox", "google-cloud"))


def test_real_credentials_are_refused_in_the_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "real.json"))
    with pytest.raises(MixedWorldsError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        SandboxEndpoints(tmp_path / "sandbox")


def test_sandbox_addresses_are_refused_for_google_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    with pytest.raises(MixedWorldsError, match="STORAGE_EMULATOR_HOST"):
        GoogleCloudEndpoints(load_config(tmp_path / "none", variables={}))


def test_a_sandbox_that_does_not_run_is_said_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with pytest.raises(SandboxError, match="mlp sandbox start"):
        SandboxEndpoints(tmp_path)


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "('pydantic', 'kubernetes', 'google', 'ray', 'yaml')"
    code = f"import mlp_helpers, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
