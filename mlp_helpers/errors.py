"""The one way to fail: an error says what happened, why, and what to do next."""

from __future__ import annotations


class MlpError(Exception):
    """Base of the errors that a person can act on.

    Args:
        what: What happened, in one sentence.
        why: The cause, with the values that matter; never a secret.
        fix: What to do next: a command, a key to change, a page to read.
    """

    def __init__(self, what: str, *, why: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.fix = what, why, fix

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"  Why: {self.why}")
        if self.fix:
            lines.append(f"  What to do: {self.fix}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """What IPython prints instead of a traceback: the cell that called is in view already."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(MlpError):
    """A value in mlp.yaml, an MLP_* variable or a notebook parameter is missing or breaks a rule."""


class SandboxError(MlpError):
    """The sandbox cannot start, stop or be reached."""


class MixedWorldsError(MlpError):
    """Sandbox addresses with real credentials, or the reverse."""


class ToolMissingError(MlpError):
    """A program that a step needs is not on this machine."""


class ServiceError(MlpError):
    """A service (Google Cloud, GitHub, Kubernetes, Ray) refused or did not answer."""


class TerraformError(MlpError):
    """Terraform ended with errors."""


class SyncError(MlpError):
    """Config Sync cannot go on: its source, rendering or apply failed."""


class JobError(MlpError):
    """A Ray job could not be submitted, or ended without success."""


class CheckError(MlpError):
    """A check of a step found something else than expected."""


class WaitTimeoutError(MlpError):
    """A wait reached its deadline; the message carries the last thing seen."""
