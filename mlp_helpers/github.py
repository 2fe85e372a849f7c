"""The configuration repository on GitHub: create, seed as one commit, review, merge."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote

from mlp_helpers.errors import ServiceError
from mlp_helpers.github_errors import explaining

if TYPE_CHECKING:
    from github import Github, GitTreeElement, InputGitTreeElement
    from github.GitCommit import GitCommit
    from github.PullRequest import PullRequest as RemotePullRequest
    from github.Repository import Repository

__all__ = ["BranchProtection", "ConfigRepository", "PullRequest", "SeedResult"]

ATTEMPTS = 3  # at a branch that others commit to at the same time
NEW_FILE = "100644"
SCOPES = ("repo", "delete_repo")


@dataclass(frozen=True)
class SeedResult:
    """Where a branch is after a commit.

    Args:
        commit: SHA of the branch's head.
        changed: Whether there was anything to commit.
    """

    commit: str
    changed: bool


@dataclass(frozen=True)
class PullRequest:
    """A pull request.

    Args:
        number: Its number in the repository.
        title: What it is called.
        url: Its page.
        source: Branch whose commits are to be merged.
        target: Branch that gets them.
        state: `open`, `closed` or `merged`.
        is_mergeable: Whether the two fit together and every rule is met; None while GitHub works that out.
    """

    number: int
    title: str
    url: str
    source: str
    target: str
    state: str
    is_mergeable: bool | None


@dataclass(frozen=True)
class BranchProtection:
    """What a branch asks of changes, by protection or rulesets.

    Args:
        needs_pull_request: Whether commits come in by pull request only.
        approvals: Approving reviews that a pull request needs.
        binds_administrators: Whether administrators are bound too; None where GitHub does not tell this token.
        checks: Status checks that must have passed.
        refuses_force_push: Whether the history cannot be rewritten.
        refuses_deletion: Whether the branch cannot be deleted.
    """

    needs_pull_request: bool = False
    approvals: int = 0
    binds_administrators: bool | None = None
    checks: tuple[str, ...] = ()
    refuses_force_push: bool = False
    refuses_deletion: bool = False


class ConfigRepository:
    """The configuration repository.

    Args:
        client: A client of GitHub, ready to use.
        name: Owner and name, as in `ada/mlp-configsync`.
    """

    def __init__(self, client: Github, name: str) -> None:
        self._client = client
        self.name = name

    def exists(self) -> bool:
        """Whether the repository is there and the token sees it."""
        from github import UnknownObjectException

        with explaining(f"The repository {self.name} cannot be looked up"):
            try:
                self._client.get_repo(self.name)
            except UnknownObjectException:
                return False
        return True

    def create(self, *, visibility: Literal["private", "public"] = "private", description: str = "") -> bool:
        """Create the repository with a first commit, for uses without Terraform; whether it was not there before."""
        if self.exists():
            return False
        owner, _, name = self.name.partition("/")
        with explaining(f"The repository {self.name} cannot be created"):
            user = self._client.get_user()
            place = user if user.login.lower() == owner.lower() else self._client.get_organization(owner)
            place.create_repo(name, private=visibility == "private", description=description, auto_init=True)
        return True

    def delete(self) -> bool:
        """Delete the repository with its history; whether it was there."""
        if not self.exists():
            return False
        with explaining(f"The repository {self.name} cannot be deleted"):
            self._repository.delete()
        self.__dict__.pop("_repository", None)
        return True

    def missing_scopes(self, needed: Sequence[str] = SCOPES) -> tuple[str, ...]:
        """Scopes that the token lacks; a fine-grained token has none to look at and lacks nothing that can be told."""
        with explaining("The token cannot be checked"):
            self._client.get_rate_limit()
            given = self._client.oauth_scopes
        if given is None:
            return ()
        return tuple(scope for scope in needed if scope not in given)

    # Content

    def head(self, branch: str) -> str:
        """SHA of a branch's newest commit."""
        with explaining(f"The branch {branch} of {self.name} cannot be read"):
            return self._repository.get_git_ref(f"heads/{branch}").object.sha

    def read(self, path: str, branch: str) -> bytes:
        """Content of a file."""
        with explaining(f"{path} of the branch {branch} of {self.name} cannot be read"):
            found = self._entries(self._commit(branch)).get(path)
            if found is None:
                raise ServiceError(
                    f"{path} is not in the branch {branch} of {self.name}.",
                    fix="Seed the repository, or check the path.",
                )
            return base64.b64decode(self._repository.get_git_blob(found.sha).content)

    def files(self, branch: str, *, under: str = "") -> list[str]:
        """Paths of the files of a branch, sorted; only those that begin so."""
        with explaining(f"The files of the branch {branch} of {self.name} cannot be listed"):
            return sorted(path for path in self._entries(self._commit(branch)) if path.startswith(under))

    def seed(
        self, branch: str, files: Mapping[str, bytes | str], message: str, *, replace_under: Sequence[str] = ()
    ) -> SeedResult:
        """Bring files into a branch as one commit; the same content makes no commit.

        Args:
            branch: Branch to commit to; one that is not there starts from the default branch.
            files: Content by path.
            message: Message of the commit.
            replace_under: Beginnings of paths, as in `clusters/dev/`: what is there and not among the files goes.
                Everything else in the branch stays.

        Returns:
            The branch's head, and whether it moved.

        Raises:
            ServiceError: GitHub refused, for instance because the branch is protected.
        """
        with explaining(f"The branch {branch} of {self.name} cannot be seeded"):
            return self._commit_changes(branch, files, message, tuple(replace_under))

    def commit_files(self, branch: str, changes: Mapping[str, bytes | str | None], message: str) -> SeedResult:
        """Commit changes to files as one commit; None removes a file, and one that is not there may be removed too."""
        with explaining(f"Nothing can be committed to the branch {branch} of {self.name}"):
            return self._commit_changes(branch, changes, message, ())

    # Review

    def open_pull_request(self, source: str, target: str, *, title: str, body: str = "") -> PullRequest:
        """Ask for a branch to be merged into another; one that is open already is returned as it is."""
        owner = self.name.partition("/")[0]
        with explaining(f"A pull request from {source} to {target} of {self.name} cannot be opened"):
            for each in self._repository.get_pulls(state="open", head=f"{owner}:{source}", base=target):
                return _pull_request(self._repository.get_pull(each.number))
            return _pull_request(self._repository.create_pull(base=target, head=source, title=title, body=body))

    def pull_request(self, number: int) -> PullRequest:
        """A pull request as it is now."""
        with explaining(f"Pull request {number} of {self.name} cannot be read"):
            return _pull_request(self._repository.get_pull(number))

    def merge(self, pull_request: PullRequest | int, *, method: Literal["merge", "squash", "rebase"] = "merge") -> str:
        """Merge a pull request; one that is merged already is left alone.

        Returns:
            SHA of the commit that the target branch got.
        """
        number = pull_request if isinstance(pull_request, int) else pull_request.number
        with explaining(f"Pull request {number} of {self.name} cannot be merged"):
            pull = self._repository.get_pull(number)
            if pull.merged and pull.merge_commit_sha:
                return pull.merge_commit_sha
            return pull.merge(merge_method=method, sha=pull.head.sha).sha

    def protection(self, branch: str) -> BranchProtection:
        """What a branch asks of changes, by protection and by rulesets together."""
        with explaining(f"The protection of the branch {branch} of {self.name} cannot be read"):
            return _with_rules(self._classic_protection(branch), self._rules(branch))

    # How

    @cached_property
    def _repository(self) -> Repository:
        return self._client.get_repo(self.name)

    def _commit(self, branch: str) -> GitCommit:
        sha = self._repository.get_git_ref(f"heads/{branch}").object.sha
        return self._repository.get_git_commit(sha)

    def _entries(self, commit: GitCommit) -> dict[str, GitTreeElement.GitTreeElement]:
        tree = self._repository.get_git_tree(commit.tree.sha, recursive=True)
        if tree.raw_data.get("truncated"):
            raise ServiceError(
                f"{self.name} has too many files to be read at once.",
                why="GitHub cuts the list off.",
                fix="Keep the platform's configuration in a repository of its own.",
            )
        return {entry.path: entry for entry in tree.tree if entry.type != "tree"}

    def _commit_changes(
        self, branch: str, changes: Mapping[str, bytes | str | None], message: str, replace_under: tuple[str, ...]
    ) -> SeedResult:
        from github import GithubException

        for attempt in range(1, ATTEMPTS + 1):
            start, is_new = self._start(branch)
            elements = self._elements(self._entries(start), changes, replace_under)
            if not elements and not is_new:
                return SeedResult(start.sha, changed=False)
            commit = start
            if elements:
                tree = self._repository.create_git_tree(elements, base_tree=start.tree)
                commit = self._repository.create_git_commit(message, tree, [start])
            try:
                self._point(branch, commit.sha, is_new=is_new)
            except GithubException as error:
                if attempt == ATTEMPTS or not _moved_meanwhile(error):
                    raise
            else:
                return SeedResult(commit.sha, changed=True)
        raise AssertionError("the last attempt returns or raises")

    def _start(self, branch: str) -> tuple[GitCommit, bool]:
        """The commit to build on, and whether the branch is still to be made."""
        from github import GithubException, UnknownObjectException

        try:
            return self._commit(branch), False
        except UnknownObjectException:
            self._repository.update()  # the default branch may have another name by now
            return self._commit(self._repository.default_branch), True
        except GithubException as error:
            if error.status != 409:  # an empty repository, to which the Git data API says nothing else
                raise
        self._repository.create_file("README.md", "Initial commit", f"# {self._repository.name}\n")
        self._repository.update()
        return self._commit(self._repository.default_branch), branch != self._repository.default_branch

    def _point(self, branch: str, sha: str, *, is_new: bool) -> None:
        if is_new:
            self._repository.create_git_ref(f"refs/heads/{branch}", sha)
        else:
            self._repository.get_git_ref(f"heads/{branch}").edit(sha)

    def _elements(
        self,
        present: Mapping[str, GitTreeElement.GitTreeElement],
        changes: Mapping[str, bytes | str | None],
        replace_under: tuple[str, ...],
    ) -> list[InputGitTreeElement]:
        """The changes to a tree that are none yet in the one that is there."""
        from github import InputGitTreeElement

        wanted: dict[str, bytes | None] = {
            path: content.encode() if isinstance(content, str) else content for path, content in changes.items()
        }
        gone = [path for path in present if path not in wanted and path.startswith(replace_under or ("\0",))]
        wanted |= dict.fromkeys(gone)
        elements = []
        for path, content in sorted(wanted.items()):
            before = present.get(path)
            mode = before.mode if before is not None else NEW_FILE
            if content is None:
                if before is not None:
                    elements.append(InputGitTreeElement(path, mode, before.type, sha=None))
            elif before is None or before.sha != blob_sha(content):
                elements.append(self._element(path, mode, content))
        return elements

    def _element(self, path: str, mode: str, content: bytes) -> InputGitTreeElement:
        """A file: text travels with the tree, in one call for all; anything else as a blob of its own."""
        from github import InputGitTreeElement

        try:
            return InputGitTreeElement(path, mode, "blob", content=content.decode())
        except UnicodeDecodeError:
            blob = self._repository.create_git_blob(base64.b64encode(content).decode(), "base64")
            return InputGitTreeElement(path, mode, "blob", sha=blob.sha)

    def _classic_protection(self, branch: str) -> BranchProtection:
        from github import GithubException

        try:
            found = self._repository.get_branch(branch).get_protection()
        except GithubException as error:
            if error.status == 403 or (error.status == 404 and "not protected" in str(error.data)):
                return BranchProtection()  # 403: a plan without protection, or a token that may not look
            raise
        reviews, checks = found.required_pull_request_reviews, found.required_status_checks
        return BranchProtection(
            needs_pull_request=reviews is not None,
            approvals=reviews.required_approving_review_count if reviews else 0,
            binds_administrators=found.enforce_admins,
            checks=tuple(checks.contexts) if checks else (),
            refuses_force_push=not found.allow_force_pushes,
            refuses_deletion=not found.allow_deletions,
        )

    def _rules(self, branch: str) -> list[dict[str, object]]:
        from github import GithubException

        url = f"{self._repository.url}/rules/branches/{quote(branch, safe='')}"
        try:
            _, rules = self._repository.requester.requestJsonAndCheck("GET", url)
        except GithubException as error:
            if error.status in (403, 404):  # a plan, or a server, without rulesets
                return []
            raise
        return list(rules) if isinstance(rules, list) else []


def blob_sha(content: bytes) -> str:
    """The SHA that Git gives to a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _moved_meanwhile(error: Exception) -> bool:
    text = str(getattr(error, "data", ""))
    return getattr(error, "status", 0) == 409 or "not a fast forward" in text or "already exists" in text


def _with_rules(classic: BranchProtection, rules: Sequence[Mapping[str, object]]) -> BranchProtection:
    """Protection and rulesets together: the stricter of the two counts."""
    kinds = {str(rule["type"]): rule.get("parameters") or {} for rule in rules}
    reviews, checks = kinds.get("pull_request"), kinds.get("required_status_checks")
    count = reviews.get("required_approving_review_count", 0) if isinstance(reviews, dict) else 0
    named = checks.get("required_status_checks", ()) if isinstance(checks, dict) else ()
    return BranchProtection(
        needs_pull_request=classic.needs_pull_request or reviews is not None,
        approvals=max(classic.approvals, count),
        binds_administrators=classic.binds_administrators,
        checks=tuple(dict.fromkeys([*classic.checks, *(check["context"] for check in named)])),
        refuses_force_push=classic.refuses_force_push or "non_fast_forward" in kinds,
        refuses_deletion=classic.refuses_deletion or "deletion" in kinds,
    )


def _pull_request(pull: RemotePullRequest) -> PullRequest:
    return PullRequest(
        number=pull.number,
        title=pull.title,
        url=pull.html_url,
        source=pull.head.ref,
        target=pull.base.ref,
        state="merged" if pull.merged else pull.state,
        is_mergeable=None if pull.mergeable is None else pull.mergeable and pull.mergeable_state != "blocked",
    )
