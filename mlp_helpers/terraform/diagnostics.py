"""What Terraform complains about, and what a person can do about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mlp_helpers.errors import TerraformError

ERRORS_SHOWN = 5

# What a message contains, and what helps. The first that fits wins.
_API = "The API was enabled a moment ago or not at all: apply the project layer, wait a minute, run the step again."
_ADVICE: tuple[tuple[str, str], ...] = (
    (
        "deletion_protection",
        "Set deletion_protection to false, apply that, then destroy: the provider looks at the state.",
    ),
    ("Saved plan is stale", "The state changed since the plan was made: plan again."),
    (
        "errored.tfstate",
        "Keep errored.tfstate, the only record of what was made, and put it back: terraform state push errored.tfstate",
    ),
    (
        "checksums",
        "The provider is another than the one used here first. If that is meant, delete .terraform.lock.hcl there.",
    ),
    ("not emulated in the sandbox", "docs/sandbox.md lists what the sandbox knows. Google Cloud knows it."),
    ("has not been used in project", _API),
    ("SERVICE_DISABLED", _API),
    ("Identity Pool does not exist", "The project's first cluster makes it: run the step again when it is there."),
    (
        "is already being used by",
        "A load balancer of a Gateway or Service uses it, as a rule: delete those in the cluster first.",
    ),
    ("Quota", "Ask for more quota, or use fewer zones or smaller pools in mlp.yaml."),
    ("already exists", "It was made by someone else or is left over. Import it, rename ours, or delete it."),
    ("could not find default credentials", "Sign in: gcloud auth application-default login"),
    ("No value for required variable", "Give the variable; the root's variables.tf says what it means."),
    ("Invalid value for variable", "Give a value that fits; the message says the rule."),
)


@dataclass(frozen=True)
class Diagnostic:
    """One error or warning, with its place in the configuration."""

    severity: str
    summary: str
    detail: str = ""
    address: str = ""
    file: str = ""
    line: int = 0

    @classmethod
    def parse(cls, found: dict[str, Any]) -> Diagnostic:
        """Read a diagnostic of Terraform's JSON output."""
        place = found.get("range") or {}
        return cls(
            severity=str(found.get("severity", "error")),
            summary=str(found.get("summary", "")).strip(),
            detail=str(found.get("detail", "")).strip(),
            address=str(found.get("address", "")),
            file=str(place.get("filename", "")),
            line=int((place.get("start") or {}).get("line", 0)),
        )

    @property
    def place(self) -> str:
        """File and line, as an editor understands them; empty if Terraform names none."""
        return f"{self.file}:{self.line}" if self.file else ""

    def __str__(self) -> str:
        where = ", ".join(filter(None, [self.place, self.address]))
        text = f"{where}: {self.summary}" if where else self.summary
        detail = " ".join(self.detail.split())
        return f"{text} {detail}" if detail and detail not in text else text


def read_diagnostics(output: str) -> list[Diagnostic]:
    """The diagnostics among the lines of `-json` output, each once."""
    found = []
    for line in output.splitlines():
        event = read_event(line)
        if event and event.get("type") == "diagnostic":
            found.append(Diagnostic.parse(event["diagnostic"]))
    return list(dict.fromkeys(found))


def read_event(line: str) -> dict[str, Any] | None:
    """One line of `-json` output; None for what is no event (a crash report, a warning about the CLI)."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def failure(doing: str, diagnostics: Iterable[Diagnostic], *, output: str = "") -> TerraformError:
    """The error that says what went wrong, where, and what helps.

    Args:
        doing: What was tried, as it begins the sentence "… failed".
        diagnostics: What Terraform said.
        output: Its raw output, used where it said nothing in the form of a diagnostic.
    """
    errors = [each for each in diagnostics if each.severity == "error"]
    if not errors:
        last = " ".join(output.split())[-500:]
        return TerraformError(f"{doing} failed.", why=last or "Terraform said nothing.", fix="Run the step again.")
    first = errors[0]
    where = f" ({first.place})" if first.place else ""
    what = f"{doing} failed: {first.summary.rstrip('.')}{where}."
    return TerraformError(what, why=_list(errors), fix=_advice(errors))


def _list(errors: Sequence[Diagnostic]) -> str:
    lines = [str(each) for each in errors[:ERRORS_SHOWN]]
    if len(errors) > ERRORS_SHOWN:
        lines.append(f"and {len(errors) - ERRORS_SHOWN} more")
    return "\n       ".join(lines)


def _advice(errors: Sequence[Diagnostic]) -> str:
    text = "\n".join(f"{each.summary}\n{each.detail}" for each in errors)
    for sign, advice in _ADVICE:
        if sign in text:
            return advice
    return "Correct what the message names, then run the step again; what was done stays done."
