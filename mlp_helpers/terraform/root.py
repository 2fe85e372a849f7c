"""A root module and its state: initialise, validate, plan, apply, destroy."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from mlp_helpers.errors import TerraformError
from mlp_helpers.terraform.diagnostics import Diagnostic, failure, read_diagnostics, read_event
from mlp_helpers.terraform.engine import Engine, find_engine
from mlp_helpers.terraform.locks import StateLock, StateLockedError, read_lock
from mlp_helpers.terraform.outputs import Outputs
from mlp_helpers.terraform.plan import Plan, read_plan
from mlp_helpers.terraform.process import Finished, last_line, read_running, run
from mlp_helpers.terraform.progress import Progress
from mlp_helpers.terraform.working_copy import WorkingCopy
from mlp_helpers.waiting import Interrupted, Ready, Waiting, Watcher, wait_for

_ALWAYS = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
_EARLIER_RUN_SECONDS = (
    2 * 3600.0
)  # a regional cluster and its pools take a quarter of an hour, a stuck deletion 90 minutes
_MEDDLING = ("TF_CLI_ARGS", "TF_WORKSPACE", "TF_DATA_DIR")  # of a person's shell; they would change what we ask for


class Terraform:
    """One root, run in a working copy of its own.

    Args:
        source: Folder of the root; its modules are in the folder `modules` beside it.
        work: Folder for the working copy, different for each state.
        backend: Settings of the root's backend; no secrets.
        environment: Variables for Terraform, its backend and its providers; secrets go here and nowhere else.
        engine: Which Terraform to run; by default the one of this machine.
        lock_timeout_seconds: How long to wait for another run to release the state.
    """

    def __init__(
        self,
        source: Path,
        work: Path,
        *,
        backend: Mapping[str, str],
        environment: Mapping[str, str],
        engine: Engine | None = None,
        lock_timeout_seconds: int = 60,
    ) -> None:
        self._copy = WorkingCopy(source, work)
        self._backend, self._given = dict(backend), dict(environment)
        self._chosen_engine = engine
        self._lock_timeout = f"-lock-timeout={lock_timeout_seconds}s"
        self._is_initialised = False

    @property
    def name(self) -> str:
        """Name of the root."""
        return self._copy.source.name

    @cached_property
    def engine(self) -> Engine:
        """The Terraform that runs; its note says so if it is not the program on the PATH."""
        return self._chosen_engine or find_engine({**os.environ, **self._given})

    def init(self, *, watcher: Watcher | None = None) -> None:
        """Copy the configuration, install the providers, connect the state.

        Raises:
            TerraformError: A provider cannot be installed, or the state cannot be reached.
        """
        progress = Progress(watcher)
        if self.engine.note:
            progress.say(self.engine.note)
        self._await_earlier_run(progress)  # its files must not change under it
        self._copy.refresh()
        # What an earlier run noted about the backend does not count: the caller says it anew, and nothing is migrated.
        settings = [f"-backend-config={key}={value}" for key, value in self._backend.items()]
        self._checked("init", ["-json", "-input=false", "-reconfigure", *settings], progress)
        self._is_initialised = True

    def validate(self) -> tuple[Diagnostic, ...]:
        """Check the configuration without a state or credentials.

        Returns:
            The warnings.

        Raises:
            TerraformError: The configuration is not valid.
        """
        self._copy.refresh()
        if not self._is_initialised:
            self._checked("init", ["-json", "-input=false", "-backend=false"], Progress(None))
        ended = self._run("validate", ["-json"], Progress(None))
        try:
            found = json.loads(ended.output)
        except ValueError:
            raise failure(f"Validating {self.name}", (), output=ended.output + ended.errors) from None
        diagnostics = tuple(Diagnostic.parse(each) for each in found["diagnostics"])
        if not found["valid"]:
            raise failure(f"Validating {self.name}", diagnostics)
        return diagnostics

    def plan(self, variables: Mapping[str, object], *, destroy: bool = False, watcher: Watcher | None = None) -> Plan:
        """Work out what an apply would do, and save it.

        Args:
            variables: Values of the root's variables; None means the default. No secrets: the state keeps them.
            destroy: Plan to destroy everything.
            watcher: Told what is read.

        Raises:
            StateLockedError: Another run holds the state.
            TerraformError: The configuration, a variable or a service is at fault.
            Interrupted: The person stopped it; nothing was changed.
        """
        self._make_ready(watcher)
        self._write_variables(variables)
        self._copy.plan.unlink(missing_ok=True)
        arguments = ["-json", "-input=false", self._lock_timeout, "-detailed-exitcode", f"-out={self._copy.plan}"]
        arguments += [f"-var-file={self._copy.variables}", *(["-destroy"] if destroy else [])]
        ended = self._checked("plan", arguments, Progress(watcher), passing=(0, 2))
        self._copy.plan.chmod(0o600)
        document = self._checked("show", ["-json", str(self._copy.plan)], Progress(None)).output
        return read_plan(document, file=self._copy.plan, digest=self._digest(), has_changes=ended.code == 2)

    def apply(self, plan: Plan, *, watcher: Watcher | None = None, allow_destroy: bool = False) -> Outputs:
        """Carry out a plan.

        Args:
            plan: The newest plan of this root.
            watcher: Told which resource is worked on, for how long, and how many are left.
            allow_destroy: Whether clusters, buckets and repositories may be destroyed or replaced.

        Returns:
            The root's outputs.

        Raises:
            StateLockedError: Another run holds the state.
            TerraformError: The plan would lose data, is not the newest, or failed; what was done stays done.
            Interrupted: The person stopped it; what was under way was finished and saved.
        """
        self._refuse_protected(plan)
        self._refuse_to_lose_data(plan, allow_destroy=allow_destroy)
        if plan.file != self._copy.plan or not self._copy.plan.exists() or self._digest() != plan.digest:
            raise TerraformError(
                f"This plan of {self.name} cannot be applied any more.",
                why="It was applied already, or a newer plan was made since.",
                fix="Plan again, look at the new plan, and apply that.",
            )
        progress = Progress(watcher, total=plan.steps)
        try:
            if plan.has_changes:
                arguments = ["-json", "-input=false", "-auto-approve", self._lock_timeout, str(self._copy.plan)]
                self._checked("apply", arguments, progress)
        finally:
            self._copy.plan.unlink(missing_ok=True)  # it holds every value in clear text
        return self.outputs()

    def destroy(self, variables: Mapping[str, object], *, watcher: Watcher | None = None) -> None:
        """Destroy everything that the state knows, data included.

        Raises:
            StateLockedError: Another run holds the state.
            TerraformError: Something is protected or in use; what was destroyed before stays destroyed.
            Interrupted: The person stopped it; what was under way was finished and saved.
        """
        self.apply(self.plan(variables, destroy=True, watcher=watcher), watcher=watcher, allow_destroy=True)

    def outputs(self) -> Outputs:
        """The outputs that the state holds; empty before the first apply."""
        self._make_ready(None)
        return Outputs.parse(self._checked("output", ["-json"], Progress(None)).output, root=self.name)

    def state_lock(self) -> StateLock | None:
        """The lock of the state, if someone holds it."""
        self._make_ready(None)
        # Terraform has no command that only looks. This one takes the lock, finds nothing to do, and gives it back.
        probe = ["-allow-missing", "-lock-timeout=0s", "-no-color", "terraform_data.lock_probe"]
        ended = self._run("untaint", probe, Progress(None))
        return read_lock(ended.errors + ended.output, backend=self._backend) if ended.code else None

    def force_unlock(self, lock_id: str) -> None:
        """Release a lock that a killed run left behind.

        Raises:
            StateLockedError: Its run may still be alive on this machine.
            TerraformError: There is no such lock.
        """
        lock = self.state_lock()
        if lock is None or lock.id != lock_id:
            why = f"It is held under {lock.id}." if lock else "Nobody holds it."
            raise TerraformError(f"The state of {self.name} is not locked under {lock_id}.", why=why, fix="Go on.")
        if lock.holder == "alive":
            raise StateLockedError(lock, root=self.name)
        self._checked("force-unlock", ["-force", lock_id], Progress(None))

    def _make_ready(self, watcher: Watcher | None) -> None:
        if not self._is_initialised or self._copy.refresh():
            self.init(watcher=watcher)
        unsaved = self._copy.root / "errored.tfstate"
        if unsaved.exists():
            raise TerraformError(
                f"The last apply of {self.name} could not save its state.",
                why=f"{unsaved} is the only record of what it made.",
                fix=f"In {self._copy.root} run: terraform state push errored.tfstate; then remove that file.",
            )

    def _checked(
        self, command: str, arguments: list[str], progress: Progress, *, passing: tuple[int, ...] = (0,)
    ) -> Finished:
        """Run a command; raise what its end means."""
        ended = self._run(command, arguments, progress)
        if ended.was_interrupted:
            raise Interrupted(self._explain_interruption(command, progress))
        if ended.code in passing:
            return ended
        diagnostics = read_diagnostics(ended.output)
        told = ended.output + ended.errors
        lock = read_lock("\n".join(each.detail for each in diagnostics) or told, backend=self._backend)
        if lock is not None:
            raise StateLockedError(lock, root=self.name)
        doing = {"init": "Initialising", "plan": "Planning", "apply": "Applying"}.get(
            command, f"terraform {command} of"
        )
        raise failure(f"{doing} {self.name}", diagnostics, output=told)

    def _run(self, command: str, arguments: list[str], progress: Progress) -> Finished:
        self._await_earlier_run(progress)  # never two in one working copy

        def hear(line: str) -> None:
            event = read_event(line)
            if event is not None:
                progress.hear(event)

        return run(
            command,
            [*self.engine.command, command, *arguments],
            folder=self._copy.root,
            environment=self._environment(),
            logs=self._copy.logs,
            on_line=hear,
            on_interrupt=lambda: progress.say("stopping: Terraform finishes what is under way and saves its state"),
        )

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_MEDDLING)}
        return {**kept, **self._given, **_ALWAYS, "TF_DATA_DIR": str(self._copy.data)}

    def _await_earlier_run(self, progress: Progress) -> None:
        """Wait for a run that outlived its notebook: its kernel was restarted, Terraform goes on."""

        def look() -> Ready[None] | Waiting:
            running = read_running(self._copy.logs)
            if running is None:
                return Ready(None)
            last = read_event(last_line(self._copy.logs, running.name)) or {}
            said = str(last.get("@message", "")).strip()
            return Waiting(f"terraform {running.name} from before, process {running.pid}, still runs: {said}")

        what = f"an earlier run of {self.name}"
        fix = f"Look at {self._copy.logs}; stop it gently with: kill -INT and its number."
        wait_for(look, what, timeout_seconds=_EARLIER_RUN_SECONDS, watcher=progress.watcher, fix=fix)

    def _refuse_protected(self, plan: Plan) -> None:
        """Terraform itself notices only when what depends on it is gone: a cluster without nodes would remain."""
        if plan.refused:
            names = ", ".join(change.address for change in plan.refused)
            raise TerraformError(
                f"The plan of {self.name} would delete what is protected.",
                why=f"deletion_protection is true in the state of {names}.",
                fix="Set deletion_protection to false, apply that, then destroy: the provider looks at the state.",
            )

    def _refuse_to_lose_data(self, plan: Plan, *, allow_destroy: bool) -> None:
        if plan.destroys_data and not allow_destroy:
            raise TerraformError(
                f"The plan of {self.name} would destroy what holds data.",
                why="; ".join(
                    f"{change.action} {change.address}"
                    + (f" because of {', '.join(change.replace_paths)}" if change.replace_paths else "")
                    for change in plan.destroys_data
                ),
                fix="Undo the change of configuration that causes it, or apply with allow_destroy=True.",
            )

    def _explain_interruption(self, command: str, progress: Progress) -> str:
        if command != "apply":
            return f"You stopped terraform {command} of {self.name}. Nothing was changed; run the step again to go on."
        return (
            f"You stopped the apply of {self.name} after {progress.done} of {progress.total} steps. Terraform finished "
            "what was under way, saved its state and released the lock; run the step again to go on."
        )

    def _write_variables(self, variables: Mapping[str, object]) -> None:
        given = {name: value for name, value in variables.items() if value is not None}
        new = self._copy.variables.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(given, file, indent=2, sort_keys=True, default=_as_json)
        new.replace(self._copy.variables)

    def _digest(self) -> str:
        return hashlib.sha256(self._copy.plan.read_bytes()).hexdigest()


def _as_json(value: object) -> object:
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"A Terraform variable cannot hold {type(value).__name__}.")
