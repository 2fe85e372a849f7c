"""How GitHub refuses: one exception, and the sentences of the real service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DOCUMENTATION = "https://docs.github.com/rest"


@dataclass(eq=False)
class GitHubError(Exception):
    """A refusal.

    Args:
        status: HTTP status.
        message: The service's sentence.
        errors: What is wrong, field by field, as GitHub lists it with 422.
        documentation: Where GitHub sends the reader.
    """

    status: int
    message: str
    errors: Sequence[Mapping[str, Any]] = ()
    documentation: str = DOCUMENTATION

    def __post_init__(self) -> None:
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """The JSON that a client gets."""
        body: dict[str, Any] = {
            "message": self.message,
            "documentation_url": self.documentation,
            "status": str(self.status),
        }
        if self.errors:
            body["errors"] = [dict(each) for each in self.errors]
        return body


def requires_authentication() -> GitHubError:
    """A call without a token."""
    return GitHubError(401, "Requires authentication")


def bad_credentials() -> GitHubError:
    """A token that nobody was given, or that has been taken back."""
    return GitHubError(401, "Bad credentials")


def not_found() -> GitHubError:
    """No such thing, or one that the caller must not know of."""
    return GitHubError(404, "Not Found")


def token_lacks_permission() -> GitHubError:
    """A token whose scopes do not reach."""
    return GitHubError(403, "Resource not accessible by personal access token")


def must_be_admin() -> GitHubError:
    """What only an administrator of the repository may do, or only a token with `delete_repo`."""
    return GitHubError(403, "Must have admin rights to Repository.")


def archived() -> GitHubError:
    """A write to an archived repository."""
    return GitHubError(403, "Repository was archived so is read-only.")


def plan_lacks(feature: str) -> GitHubError:
    """A paid feature on a private repository of a free account: protection and rulesets.

    Args:
        feature: Page of the documentation that GitHub names.
    """
    return GitHubError(
        403,
        "Upgrade to GitHub Pro or make this repository public to enable this feature.",
        documentation=f"{DOCUMENTATION}/{feature}",
    )


def rate_limited(login: str) -> GitHubError:
    """More calls in an hour than GitHub allows."""
    return GitHubError(
        403,
        f"API rate limit exceeded for user {login}.",
        documentation=f"{DOCUMENTATION}/overview/rate-limits-for-the-rest-api",
    )


def conflict(message: str) -> GitHubError:
    """The thing changed under the caller's hands."""
    return GitHubError(409, message)


def empty_repository() -> GitHubError:
    """Git data of a repository that has no commit."""
    return GitHubError(409, "Git Repository is empty.")


def unprocessable(message: str) -> GitHubError:
    """A request that GitHub understands and will not do."""
    return GitHubError(422, message)


def validation_failed(resource: str, field: str, code: str, message: str = "") -> GitHubError:
    """A field that breaks a rule.

    Args:
        resource: Kind of the thing, as GitHub writes it: `Repository`, `PullRequest`.
        field: Name of the field.
        code: `missing_field`, `invalid`, `already_exists` or `custom`.
        message: Sentence that goes with `custom`.
    """
    error = {"resource": resource, "code": code, "field": field}
    if message:
        error["message"] = message
    sentence = "Repository creation failed." if resource == "Repository" and code == "custom" else "Validation Failed"
    return GitHubError(422, sentence, [error])


def not_supplied(*fields: str) -> GitHubError:
    """Fields that the request must carry and does not."""
    names = ", ".join(f'"{field}"' for field in fields)
    verb = "wasn't" if len(fields) == 1 else "weren't"
    return GitHubError(422, f"Invalid request.\n\n{names} {verb} supplied.")


def not_emulated(call: str) -> GitHubError:
    """A call that the real service answers and the sandbox does not."""
    return GitHubError(501, f"not emulated in the sandbox: {call}")
