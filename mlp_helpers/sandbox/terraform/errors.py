"""What can go wrong between a plan and an object; the provider turns each into a diagnostic."""

from __future__ import annotations


class ProviderError(Exception):
    """An operation failed; the message becomes the diagnostic's summary.

    Args:
        summary: What happened, in one line.
        detail: Why, and what to do.
    """

    def __init__(self, summary: str, detail: str = "") -> None:
        super().__init__(summary)
        self.summary, self.detail = summary, detail


class ApiError(ProviderError):
    """A service refused a call; carries its own words.

    Args:
        status: HTTP status.
        message: The service's message.
        call: Method and path, for the person who looks for the call in a log.
    """

    def __init__(self, status: int, message: str, *, call: str) -> None:
        super().__init__(f"Error {status}: {message}", call)
        self.status = status


class OperationError(ProviderError):
    """A long-running operation ended with an error."""


class StoppedError(ProviderError):
    """Terraform was interrupted while the provider waited."""


class SandboxDownError(ProviderError):
    """The sandbox does not run or does not answer."""

    def __init__(self, why: str) -> None:
        super().__init__(
            "The sandbox is not running", f"{why}\nStart it with `mlp sandbox start`, then run Terraform again."
        )


class NotEmulatedError(ProviderError):
    """The sandbox has no such type, or not that part of it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"not emulated in the sandbox: {what}", "See docs/sandbox.md for what is emulated and how faithfully."
        )


class HalfMadeError(ProviderError):
    """A creation failed after the service had accepted it: there may be an object, which Terraform must remember.

    Args:
        cause: What failed.
        goes_on: The operation was not waited for; the object may still come.
        resumable: The next refresh waits for it, so that nothing failed yet.
    """

    def __init__(self, cause: ProviderError, *, goes_on: bool = False, resumable: bool = False) -> None:
        super().__init__(cause.summary, cause.detail)
        self.goes_on, self.resumable = goes_on, resumable
