"""The runner: which notebooks, which parameters; refused before any kernel starts. And the notebooks' own hygiene."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mlp_helpers.errors import ConfigError
from mlp_helpers.workbook import NOTEBOOKS, check_parameters, read_parameters, select_notebooks

EVERY = sorted(NOTEBOOKS.glob("*.ipynb"))


def names(paths: list[Path]) -> list[str]:
    return [path.stem[:2] for path in paths]


def test_notebooks_are_selected_by_number_from_and_to() -> None:
    assert names(select_notebooks(first="02", last="04_team_space")) == ["02", "03", "04"]
    assert names(select_notebooks(only=["05", "00"])) == ["05", "00"]
    assert names(select_notebooks())[-1] == "99"


def test_an_unknown_notebook_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="00_start_here"):
        select_notebooks(first="42")


def test_a_parameter_goes_to_the_notebooks_that_know_it_in_their_type() -> None:
    given = check_parameters(select_notebooks(first="03", last="05"), {"workers": "2", "team": "ml-team"})
    assert {path.stem: parameters for path, parameters in given.items()} == {
        "03_gitops": {},
        "04_team_space": {"workers": 2, "team": "ml-team"},
        "05_ray_job": {"team": "ml-team"},
    }


@pytest.mark.parametrize(("given", "says"), [({"wrkers": "2"}, "They have: .*workers"), ({"workers": "two"}, "no int")])
def test_a_wrong_name_or_type_is_refused_before_anything_runs(given: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_parameters(select_notebooks(), given)


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs_and_reads_well(path: Path) -> None:
    notebook = json.loads(path.read_text())
    cells = notebook["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    for cell in code:
        lines = [line for line in "".join(cell["source"]).splitlines() if line.strip()]
        assert len(lines) <= 10
        assert all(len(line) <= 88 for line in lines)
        assert not any(re.match(r"\s*(def|class|for|while|if)\b|[!%]", line) for line in lines)
    assert [cell["metadata"].get("tags") for cell in code].count(["parameters"]) == 1


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_every_parameter_is_annotated_and_explained(path: Path) -> None:
    parameters = read_parameters(path)
    source = next(
        "".join(cell["source"])
        for cell in json.loads(path.read_text())["cells"]
        if cell["metadata"].get("tags") == ["parameters"]
    )
    assert len(parameters) == len(source.splitlines())
    assert all(each.help for each in parameters.values())
