"""Run the notebooks in order, headless: parameters checked first, a limit per notebook, a summary and a report."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlp_helpers.display import Progress
from mlp_helpers.errors import ConfigError
from mlp_helpers.folders import PROJECT_FOLDER
from mlp_helpers.workbook_report import write_report
from mlp_helpers.workbook_run import NotebookRun, WorkbookRun

NOTEBOOKS = PROJECT_FOLDER / "notebooks"
CELL_SECONDS = 3600  # one cell: building a cluster in Google Cloud takes a quarter of an hour, and sometimes more


@dataclass(frozen=True)
class Parameter:
    """One name in a notebook's `parameters` cell."""

    name: str
    type: str
    default: object
    help: str


def select_notebooks(*, first: str = "", last: str = "", only: Sequence[str] = ()) -> list[Path]:
    """The notebooks in their order, from one to another or only some; each is named by its number or its name.

    Raises:
        ConfigError: A name fits no notebook.
    """
    every = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))

    def find(name: str) -> int:
        fits = [index for index, path in enumerate(every) if path.stem == name or path.stem.startswith(f"{name}_")]
        if not fits:
            known = ", ".join(path.stem for path in every)
            raise ConfigError(f"There is no notebook {name!r}.", why=f"There are: {known}.", fix="mlp run --from 04")
        return fits[0]

    if only:
        return [every[find(name)] for name in only]
    return every[find(first) if first else 0 : (find(last) + 1) if last else None]


def read_parameters(notebook: Path) -> dict[str, Parameter]:
    """The names, types and defaults in a notebook's `parameters` cell, read without running it."""
    cells = json.loads(notebook.read_text())["cells"]
    source = next(
        ("".join(cell["source"]) for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", [])), ""
    )
    comments = [line.partition("#")[2].strip() for line in source.splitlines()]
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            name = node.target.id
            found[name] = Parameter(
                name, ast.unparse(node.annotation), ast.literal_eval(node.value), comments[node.lineno - 1]
            )
    return found


def check_parameters(notebooks: Sequence[Path], given: Mapping[str, str]) -> dict[Path, dict[str, object]]:
    """Give each notebook the parameters that it knows, in the types it asks for; before any kernel starts.

    Raises:
        ConfigError: No selected notebook knows a name, or a value has the wrong type.
    """
    known = {path: read_parameters(path) for path in notebooks}
    for name in given:
        if not any(name in parameters for parameters in known.values()):
            names = sorted({each for parameters in known.values() for each in parameters})
            raise ConfigError(
                f"No selected notebook has a parameter {name!r}.",
                why=f"They have: {', '.join(names)}.",
                fix="-p workers=2",
            )
    return {
        path: {name: _typed(parameters[name], value) for name, value in given.items() if name in parameters}
        for path, parameters in known.items()
    }


def _typed(parameter: Parameter, value: str) -> object:
    try:
        match parameter.type:
            case "int":
                return int(value)
            case "float":
                return float(value)
            case "bool":
                return {"true": True, "false": False}[value.lower()]
    except (ValueError, KeyError):
        raise ConfigError(
            f"The parameter {parameter.name} = {value!r} is no {parameter.type}.",
            why=parameter.help or "Its notebook annotates it so.",
            fix=f"-p {parameter.name}={str(parameter.default).lower()}",
        ) from None
    return value


def run_workbook(
    notebooks: Sequence[Path], out: Path, parameters: Mapping[Path, Mapping[str, object]], *, keep_going: bool = False
) -> WorkbookRun:
    """Execute notebooks one after another, each in a kernel of its own.

    Args:
        out: Folder for the executed notebooks, `summary.json` and `report.html`; created.
        parameters: What `check_parameters` returned.
        keep_going: Whether to run the rest after one failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    shown = {name: value for each in parameters.values() for name, value in each.items()}
    run = WorkbookRun(out, time.strftime("%Y-%m-%dT%H:%M:%S%z"), shown)
    run.notebooks = [NotebookRun(path.stem) for path in notebooks]
    try:
        for path, result in zip(notebooks, run.notebooks, strict=True):
            with Progress(path.stem) as progress:
                _execute(path, out / path.name, dict(parameters.get(path, {})), result, progress)
                progress.state = "ok" if result.status == "passed" else "failed"
            if result.error:
                print(result.error, flush=True)
            run.write()
            if result.status == "failed" and not keep_going:
                break
    finally:
        run.write()
        write_report(run)
    return run


def _execute(
    source: Path, target: Path, parameters: dict[str, object], result: NotebookRun, progress: Progress
) -> None:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from mlp_helpers import workbook_engine

    workbook_engine.register()
    started = time.monotonic()
    progress.update("starting its kernel")
    try:
        papermill.execute_notebook(
            str(source),
            str(target),
            parameters=parameters,
            engine_name=workbook_engine.NAME,
            kernel_name="python3",
            progress_bar=False,
            execution_timeout=CELL_SECONDS,
            cwd=str(source.parent.parent),
            watcher=progress,
        )
        result.status = "passed"
    except PapermillExecutionError as error:
        result.status, result.error = "failed", f"{error.ename}: {error.evalue}"
    except KeyboardInterrupt:
        result.status, result.error = "stopped", "Stopped by you."
        raise
    except Exception as error:  # a dead kernel, a cell over its limit: the next notebooks and the report go on
        result.status, result.error = "failed", f"{type(error).__name__}: {error}"
    finally:
        result.seconds = round(time.monotonic() - started, 1)
