"""The update hook of a push: asks the store whether a ref may move. Git runs it once per ref.

It must start fast, so it imports neither the object library nor the web server.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mlp_helpers.sandbox.github.guarding import refusal
from mlp_helpers.sandbox.github.protection import Refusal
from mlp_helpers.sandbox.github.store import Store, organizations_of

FOLDER = "MLP_GITHUB_FOLDER"
REPOSITORY = "MLP_GITHUB_REPOSITORY"
LOGIN = "MLP_GITHUB_LOGIN"
ORGANIZATIONS = "MLP_GITHUB_ORGANIZATIONS"

SCRIPT = """\
#!/bin/sh
PYTHONPATH={path} exec {python} -m mlp_helpers.sandbox.github.update_hook "$@"
"""


def main(ref: str, old: str, new: str) -> int:
    """Decide about one ref.

    Args:
        ref: Full name.
        old: SHA before, zeros if the ref is new.
        new: SHA after, zeros if the ref goes.

    Returns:
        Exit code: 0 lets the ref move.
    """
    store = Store(Path(os.environ[FOLDER]), organizations=organizations_of(os.environ[ORGANIZATIONS]))
    repository = store.repository_of_id(int(os.environ[REPOSITORY]))
    found = refusal(store, repository, login=os.environ[LOGIN], ref=ref, old=_sha(old), new=_sha(new))
    store.close()
    if found is None:
        return 0
    sys.stderr.write(explain(found, ref))
    return 1


def explain(found: Refusal, ref: str) -> str:
    """What the person who pushes reads."""
    if found.code == "GH006":
        head = f"error: GH006: Protected branch update failed for {ref}."
        return "\n".join([head, *(f"error: {reason}" for reason in found.reasons), ""])
    head = f"error: GH013: Repository rule violations found for {ref}."
    return "\n".join([head, "", *(f"- {reason}" for reason in found.reasons), ""])


def _sha(text: str) -> str | None:
    return text if text.strip("0") else None


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:4]))
