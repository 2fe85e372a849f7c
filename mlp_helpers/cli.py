"""The command `mlp`: the sandbox, the workbook, the platform's steps and Ray jobs, from a terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mlp_helpers.display import Progress, card, table
from mlp_helpers.errors import ConfigError, MlpError
from mlp_helpers.folders import PROJECT_FOLDER
from mlp_helpers.waiting import Interrupted

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
sandbox = typer.Typer(no_args_is_help=True, help="The local world in which everything runs by default.")
job = typer.Typer(no_args_is_help=True, help="Ray jobs on the team's cluster.")
app.add_typer(sandbox, name="sandbox")
app.add_typer(job, name="job")

EnvironmentOption = Annotated[str, typer.Option("--environment", "-e", help="By default the first one in mlp.yaml.")]
TeamOption = Annotated[str, typer.Option("--team", "-t", help="By default the environment's first.")]


def main() -> None:
    """Run the command; an error that a person can act on is printed as it is, without a traceback."""
    try:
        app()
    except MlpError as error:
        sys.exit(f"✗ {error}")
    except KeyboardInterrupt as error:
        print(f"\n■ {error if isinstance(error, Interrupted) else 'Stopped by you.'}", file=sys.stderr)
        sys.exit(130)


@app.command()
def init() -> None:
    """Write a commented mlp.yaml; one that is there stays as it is."""
    from mlp_helpers.config_file import write_config

    print(f"✓ {write_config()}")


@app.command()
def doctor() -> None:
    """Say what is missing on this machine, and how to get it."""
    from mlp_helpers.doctor import diagnose, show_diagnosis
    from mlp_helpers.sandbox.state import sandbox_home

    home = sandbox_home()
    print(show_diagnosis(home))
    if any(each.level == "missing" for each in diagnose(home)):
        raise typer.Exit(1)


@app.command()
def env(
    environment: EnvironmentOption = "",
    as_member_of: Annotated[str, typer.Option("--as-member-of", help="kubectl as a member of this team.")] = "",
) -> None:
    """Print the exports that kubectl, terraform, git and gcloud need: eval "$(mlp env)"."""
    from mlp_helpers.shell import shell_environment

    for name, value in shell_environment(environment, as_member_of=as_member_of).items():
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def run(
    first: Annotated[str, typer.Option("--from", help="First notebook, by number or name.")] = "",
    last: Annotated[str, typer.Option("--to", help="Last notebook.")] = "",
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this one; may be repeated.")] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("--parameter", "-p", help="NAME=VALUE; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run; by default runs/<time>.")] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the sandbox at the end, if this run started it.")] = False,
) -> None:
    """Run the notebooks headless, in order; leaves the executed notebooks, summary.json and report.html."""
    from mlp_helpers.workbook import check_parameters, run_workbook, select_notebooks

    notebooks = select_notebooks(first=first, last=last, only=only or ())
    given = dict(_split(each) for each in parameter or ())
    parameters = check_parameters(notebooks, given)
    out = out or PROJECT_FOLDER / "runs" / time.strftime("%Y%m%d-%H%M%S")
    with _sandbox_for_a_while(stop):
        finished = run_workbook(notebooks, out, parameters)
    print(f"{'✓' if finished.is_passed else '✗'} {out / 'report.html'}")
    if not finished.is_passed:
        raise typer.Exit(1)


@app.command()
def lab(
    port: Annotated[int, typer.Option(help="By default a free one.")] = 0,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    expose_app: Annotated[bool, typer.Option(hidden=True, help="For tests that drive the page.")] = False,
) -> None:
    """Open the notebooks in JupyterLab, on this machine only and with a token."""
    from mlp_helpers.workbook import NOTEBOOKS

    settings = Path(__file__).parent / "lab"  # no news from outside
    environment = {**os.environ, "JUPYTER_CONFIG_PATH": str(settings)}
    command = [sys.executable, "-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    command += [f"--ServerApp.root_dir={PROJECT_FOLDER}"]
    command += ["--allow-root"] if os.geteuid() == 0 else []
    command += [] if browser else ["--no-browser"]
    command += ["--expose-app-in-browser"] if expose_app else []
    subprocess.run([*command, str(NOTEBOOKS / "00_start_here.ipynb")], env=environment)


@app.command()
def plan(layer: str, environment: EnvironmentOption = "") -> None:
    """Show what Terraform would change in a layer: project, repository or environment."""
    planned = _platform(environment).plan(layer)
    print(table(planned.rows(), caption=f"{layer}: {planned}"))


@app.command()
def apply(layer: str, environment: EnvironmentOption = "") -> None:
    """Plan a layer and make it so."""
    print(_platform(environment).apply(layer))


@app.command()
def destroy(
    layer: str,
    environment: EnvironmentOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove everything that a layer made."""
    platform = _platform(environment)
    print(table(platform.plan(layer, destroy=True).rows(), caption=f"Would be removed from {layer}"))
    if not yes:
        typer.confirm("Remove all of it?", abort=True)
    print(platform.destroy(layer))


@app.command()
def status(environment: EnvironmentOption = "", team: TeamOption = "") -> None:
    """Show where the platform stands: cluster, syncs, pods."""
    platform = _platform(environment, team)
    print(platform.describe())
    found = platform.cluster_info()
    print(
        card(
            f"Cluster {platform.cluster_name}",
            "ok" if found else "waiting",
            {"status": found.status if found else "absent"},
        )
    )
    if found:
        print(platform.show_syncs())
        print(platform.show_pods())


@sandbox.command("start")
def sandbox_start() -> None:
    """Start the sandbox; one that runs is left as it is."""
    from mlp_helpers.sandbox.lifecycle import start_sandbox
    from mlp_helpers.sandbox.state import sandbox_home

    with Progress("Sandbox") as progress:
        found = start_sandbox(sandbox_home(), watcher=progress)
    print(f"  process {found.pid}, Google {found.endpoints['google']}, GitHub {found.endpoints['github']}")


@sandbox.command("stop")
def sandbox_stop() -> None:
    """Stop the sandbox and every process it started; its state stays."""
    from mlp_helpers.sandbox.lifecycle import stop_sandbox
    from mlp_helpers.sandbox.state import sandbox_home

    with Progress("Stop the sandbox") as progress:
        was_running = stop_sandbox(sandbox_home(), watcher=progress)
    if not was_running:
        print("  None was running.")


@sandbox.command("status")
def sandbox_state() -> None:
    """Show whether the sandbox runs, where, and how large it is."""
    from mlp_helpers.sandbox.lifecycle import sandbox_status
    from mlp_helpers.sandbox.state import sandbox_home

    found = sandbox_status(sandbox_home())
    facts: dict[str, object] = {"directory": found.home}
    if found.pid:
        facts |= {
            "process": found.pid,
            "resident": f"{found.resident_megabytes} MB",
            "processes of its pods": found.children,
        }
        facts |= {name: found.endpoints.get(name, "") for name in ("google", "container", "github")}
    print(card("Sandbox", "ok" if found.is_ready else "running" if found.pid else "stopped", facts))


@sandbox.command("logs")
def sandbox_logs(lines: Annotated[int, typer.Option("--lines", "-n")] = 100) -> None:
    """Print the end of the sandbox's log."""
    from mlp_helpers.sandbox.lifecycle import log_file
    from mlp_helpers.sandbox.state import sandbox_home

    path = log_file(sandbox_home())
    if path.exists():
        print("\n".join(path.read_text(errors="replace").splitlines()[-lines:]))


@sandbox.command("reset")
def sandbox_reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop the sandbox and forget everything in it."""
    from mlp_helpers.provisioning import work_folder
    from mlp_helpers.sandbox.lifecycle import reset_sandbox
    from mlp_helpers.sandbox.state import sandbox_home

    home = sandbox_home()
    if not yes:
        typer.confirm(f"Forget everything in {home}?", abort=True)
    with Progress("Reset the sandbox") as progress:
        reset_sandbox(home, watcher=progress)
        shutil.rmtree(work_folder(), ignore_errors=True)


@job.command("submit")
def job_submit(
    script: Path,
    environment: EnvironmentOption = "",
    team: TeamOption = "",
    follow: Annotated[bool, typer.Option(help="Wait for its end and print its log.")] = True,
) -> None:
    """Submit a Python script with the folder it lies in."""
    if not script.is_file():
        raise ConfigError(f"There is no file {script}.", fix="mlp job submit my.py")
    platform = _platform(environment, team)
    submitted = platform.ray.submit(f"python {shlex.quote(script.name)}", folder=script.resolve().parent)
    print(f"✓ {submitted.submission_id}")
    if follow:
        print(platform.follow(submitted))


@job.command("list")
def job_list(environment: EnvironmentOption = "", team: TeamOption = "") -> None:
    """List the jobs that the head remembers."""
    print(_platform(environment, team).show_jobs())


@job.command("logs")
def job_logs(name: str, environment: EnvironmentOption = "", team: TeamOption = "") -> None:
    """Print what a job has printed so far."""
    print("\n".join(_platform(environment, team).ray.job(name).logs()))


@job.command("stop")
def job_stop(name: str, environment: EnvironmentOption = "", team: TeamOption = "") -> None:
    """Ask Ray to end a job."""
    found = _platform(environment, team).ray.job(name)
    found.status()
    found.stop()
    print(f"✓ {name} was asked to stop")


def _platform(environment: str = "", team: str = ""):  # type: ignore[no-untyped-def]
    from mlp_helpers.platform import Platform

    return Platform.load(environment=environment, team=team)


def _split(given: str) -> tuple[str, str]:
    name, sign, value = given.partition("=")
    if not sign or not name.isidentifier():
        raise ConfigError(f"The parameter {given!r} has no form NAME=VALUE.", fix="-p workers=2")
    return name, value


@contextmanager
def _sandbox_for_a_while(stop: bool) -> Iterator[None]:
    """Whatever the notebooks start, stop it again if nothing ran before and it is wanted."""
    from mlp_helpers.sandbox.lifecycle import sandbox_status, stop_sandbox
    from mlp_helpers.sandbox.state import sandbox_home

    home = sandbox_home()
    ran_before = sandbox_status(home).pid is not None
    try:
        yield
    finally:
        if stop and not ran_before and sandbox_status(home).pid is not None:
            with Progress("Stop the sandbox") as progress:
                stop_sandbox(home, watcher=progress)
