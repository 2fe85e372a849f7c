"""What GitHub's refusals mean and what to do about them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlp_helpers.errors import ServiceError

if TYPE_CHECKING:
    from github import GithubException


@contextmanager
def explaining(what: str) -> Iterator[None]:
    """Turn a refusal of GitHub into an error that a person can act on.

    Args:
        what: What was tried, as a sentence without its full stop: "The branch dev of ada/configuration cannot be read".
    """
    from github import GithubException
    from requests.exceptions import RequestException

    try:
        yield
    except GithubException as error:
        raise explain(what, error) from error
    except RequestException as error:
        raise ServiceError(
            f"{what}.",
            why=f"GitHub does not answer: {type(error).__name__}.",
            fix="Check the network and any proxy, then run the step again.",
        ) from error


def explain(what: str, error: GithubException) -> ServiceError:
    """The error for a refusal; the server's own words are in it, the token never is."""
    message = _message(error)
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    why, fix = _cause(error.status, message, headers)
    return ServiceError(f"{what}.", why=f"{why} GitHub says ({error.status}): {message}", fix=fix)


def _cause(status: int, message: str, headers: dict[str, str]) -> tuple[str, str]:
    """Why GitHub refuses, and what to do."""
    if status in (403, 429) and _is_rate_limit(message, headers):
        return "The token has used up its calls.", f"Wait until {_reset(headers)}, then run the step again."
    if status == 403:
        return _forbidden(message, headers)
    if status in (405, 409, 422) and _is_guarded(message):
        return (
            "The branch is protected.",
            "Commit to another branch and open a pull request, or ask an administrator of the repository.",
        )
    known = {
        401: (
            "The token is expired, revoked or mistyped.",
            "Make a new token and write it to the file that github.token_file names (mode 0600).",
        ),
        404: (
            "It does not exist, or the token may not see it.",
            "Check github.owner and github.repository in mlp.yaml, and that the token may read that repository.",
        ),
        405: ("It cannot be merged as it is.", "Look at the pull request: conflicts, missing reviews or checks."),
        409: ("Someone else changed it in the meantime.", "Run the step again; it starts from what is there now."),
        422: ("GitHub does not take the request.", "Correct what the message names, then run the step again."),
        501: ("This server does not offer the call.", "See what the message names; GitHub itself offers it."),
    }
    unknown = ("GitHub has a problem of its own.", "Run the step again in a few minutes.")
    return known.get(status, unknown)


def _forbidden(message: str, headers: dict[str, str]) -> tuple[str, str]:
    if "Upgrade to GitHub" in message:
        return (
            "Protection of private repositories needs a paid plan.",
            "Set github.visibility: public, or use an owner with a paid plan, or leave the branches unprotected.",
        )
    if "x-github-sso" in headers or "SAML" in message:
        return (
            "The organisation wants the token authorised for single sign-on.",
            "Authorise it in GitHub under Settings, Developer settings, Personal access tokens, Configure SSO.",
        )
    if "archived" in message:
        return "The repository is archived.", "Take it out of the archive in its settings, or choose another one."
    needed, given = headers.get("x-accepted-oauth-scopes", ""), headers.get("x-oauth-scopes")
    if given is not None and needed:
        return (
            f"The call needs one of the scopes [{needed}]; the token has [{given}].",
            f"Give the token the scope {needed.split(',')[0]}, or use another token.",
        )
    return (
        "The token's permissions do not reach.",
        "Give the token, for this repository: Contents, Administration and Pull requests, read and write.",
    )


def _is_rate_limit(message: str, headers: dict[str, str]) -> bool:
    return headers.get("x-ratelimit-remaining") == "0" or "rate limit" in message.lower()


def _is_guarded(message: str) -> bool:
    words = ("through a pull request", "rule violations", "protected branch", "approving review", "status check")
    return any(word in message.lower() for word in words)


def _reset(headers: dict[str, str]) -> str:
    try:
        moment = datetime.fromtimestamp(int(headers["x-ratelimit-reset"]), tz=UTC)
    except (KeyError, ValueError):
        return "an hour has passed"
    return f"{moment:%H:%M} UTC"


def _message(error: GithubException) -> str:
    data: Any = error.data
    if not isinstance(data, dict):
        return str(data or error.message or "no message")
    parts = [str(data.get("message", "")), *(_detail(each) for each in data.get("errors") or ())]
    return "; ".join(" ".join(part.split()) for part in parts if part)


def _detail(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    return str(error.get("message") or f"{error.get('field')}: {error.get('code')}")
