"""A bare repository: refs, blobs, trees, commits, and the questions that are asked of their history."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from dulwich.file import FileLocked
from dulwich.object_store import commit_tree_changes, iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

from mlp_helpers.sandbox.github.errors import GitHubError, conflict, not_found, unprocessable
from mlp_helpers.sandbox.github.git_command import is_ancestor, run_git

HEADS = "refs/heads/"
DIRECTORY = 0o040000
FULL_SHA = re.compile(r"[0-9a-f]{40}\Z")
BRANCH_NAME = re.compile(r"(?!.*(\.\.|//|@\{|\.lock(/|\Z)|/\Z|\.\Z))(?![/.-])[^\x00-\x20\x7f~^:?*\[\\]+\Z")

T = TypeVar("T", bound=ShaFile)


@dataclass(frozen=True)
class Signature:
    """Who wrote a commit, and when (seconds since 1970)."""

    name: str
    email: str
    time: int


@dataclass(frozen=True)
class TreeItem:
    """An entry of a tree, or a change to one: no `sha` takes the path away."""

    path: str
    mode: int
    sha: str | None


@dataclass(frozen=True)
class FileChange:
    """What happened to one file between two commits."""

    path: str
    previous_path: str
    status: str
    sha: str
    additions: int
    deletions: int
    patch: str


class BareRepository:
    """The Git side of a repository.

    Every method blocks; the server calls them in threads. Refs change under git's own lock files, so a push through
    git's `http-backend` and a change through the REST API cannot overwrite each other.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._repo = Repo(str(path))

    @classmethod
    def create(cls, path: Path, *, default_branch: str) -> BareRepository:
        """Make an empty repository."""
        path.mkdir(parents=True)
        Repo.init_bare(str(path), default_branch=default_branch.encode()).close()
        return cls(path)

    def __enter__(self) -> BareRepository:
        return self

    def __exit__(self, *_: object) -> None:
        self._repo.close()

    # Refs

    def refs(self, prefix: str = "refs/") -> dict[str, str]:
        """Full names and targets of the refs that begin with a prefix, sorted."""
        found = self._repo.refs.as_dict()
        names = sorted(name.decode() for name in found if name.startswith(prefix.encode()))
        return {name: found[Ref(name.encode())].decode() for name in names}

    def target(self, ref: str) -> str | None:
        """What a full ref name points to."""
        try:
            return self._repo.refs[Ref(ref.encode())].decode()
        except (KeyError, ValueError):
            return None

    def resolve(self, name: str) -> str:
        """The commit that a branch, tag, full ref, full or abbreviated SHA stands for."""
        for prefix in (HEADS, "refs/tags/", "refs/", ""):
            if prefix or name.startswith("refs/") or name == "HEAD":
                found = self.target(prefix + name)
                if found:
                    return found
        if re.fullmatch(r"[0-9a-f]{7,40}", name):
            found = run_git(self.path, "rev-parse", "--verify", "--quiet", f"{name}^{{object}}").stdout.decode().strip()
            if found and self.has(found):
                return found
        raise not_found()

    def create_ref(self, ref: str, sha: str) -> None:
        """Make a ref that must not be there."""
        if not ref.startswith("refs/") or not BRANCH_NAME.match(ref):
            raise unprocessable("Reference name is invalid")
        if not self.has(sha):
            raise unprocessable("Object does not exist")
        try:
            made = self._repo.refs.add_if_new(Ref(ref.encode()), ObjectID(sha.encode()))
        except (OSError, FileLocked):  # refs/heads/a stands in the way of refs/heads/a/b, or a push holds the lock
            made = False
        if not made:
            raise unprocessable("Reference already exists")

    def move_ref(self, ref: str, old: str, new: str) -> None:
        """Point a ref to another commit, if it still is where the caller saw it."""
        try:
            moved = self._repo.refs.set_if_equals(Ref(ref.encode()), ObjectID(old.encode()), ObjectID(new.encode()))
        except FileLocked:
            moved = False
        if not moved:
            raise conflict(f"Reference cannot be updated: {ref} is at another commit than expected")

    def delete_ref(self, ref: str) -> None:
        """Take a ref away."""
        if not self._repo.refs.remove_if_equals(Ref(ref.encode()), None):
            raise unprocessable("Reference does not exist")

    def point_head(self, branch: str) -> None:
        """Make a branch the one that a clone checks out."""
        self._repo.refs.set_symbolic_ref(Ref(b"HEAD"), Ref((HEADS + branch).encode()))

    # Objects

    def has(self, sha: str) -> bool:
        """Whether an object of this full SHA is here."""
        return FULL_SHA.match(sha) is not None and ObjectID(sha.encode()) in self._repo.object_store

    def read(self, sha: str, kind: type[T]) -> T:
        """An object of the kind asked for."""
        if self.has(sha):
            found = self._repo.object_store[ObjectID(sha.encode())]
            if isinstance(found, kind):
                return found
        raise not_found()

    def add_blob(self, data: bytes) -> str:
        """Write a file's content."""
        blob = Blob.from_string(data)
        self._repo.object_store.add_object(blob)
        return blob.id.decode()

    def blob(self, sha: str) -> bytes:
        """A file's content."""
        return self.read(sha, Blob).as_raw_string()

    def blob_size(self, sha: str) -> int:
        """A file's length in bytes."""
        return self.read(sha, Blob).raw_length()

    def add_tree(self, base: str | None, changes: Sequence[TreeItem]) -> str:
        """Write the tree that follows from a tree and changes to it."""
        for change in changes:
            if change.sha is not None and not self.has(change.sha):
                raise unprocessable("GitRPC::BadObjectState")
            if not change.path or any(part in ("", ".", "..", ".git") for part in change.path.split("/")):
                raise unprocessable("tree.path contains a malformed path component")
        steps = [
            (each.path.encode(), each.mode if each.sha else None, ObjectID(each.sha.encode()) if each.sha else None)
            for each in changes
        ]
        try:
            start = self.read(base, Tree) if base else Tree()
            tree: bytes = commit_tree_changes(self._repo.object_store, start, steps)
        except KeyError:  # takes away what is not there
            raise unprocessable("GitRPC::BadObjectState") from None
        return tree.decode()

    def add_commit(
        self, tree: str, parents: Sequence[str], message: str, *, author: Signature, committer: Signature | None = None
    ) -> str:
        """Write a commit."""
        commit = Commit()
        commit.tree = self.read(tree, Tree).id
        commit.parents = [self.read(parent, Commit).id for parent in parents]
        for role, who in (("author", author), ("commit", committer or author)):
            setattr(commit, f"{role}_time", who.time)
            setattr(commit, f"{role}_timezone", 0)
        commit.author = _identity(author)
        commit.committer = _identity(committer or author)
        commit.encoding = b"UTF-8"
        commit.message = message.encode()
        self._repo.object_store.add_object(commit)
        return commit.id.decode()

    def empty_tree(self) -> str:
        """The tree without anything, to compare a first commit with."""
        return self.add_tree(None, [])

    def tree_of(self, name: str) -> str:
        """The tree of a commit or ref, or the tree itself."""
        sha = name if self.has(name) else self.resolve(name)
        found = self._repo.object_store[ObjectID(sha.encode())]
        if isinstance(found, Commit):
            tree: bytes = found.tree
            return tree.decode()
        return self.read(sha, Tree).id.decode()

    def entries(self, tree: str, *, recursive: bool = False) -> Iterator[TreeItem]:
        """What is in a tree; with `recursive`, in its subtrees too."""
        if not recursive:
            for each in self.read(tree, Tree).iteritems():
                yield TreeItem(each.path.decode(), each.mode, each.sha.decode())
            return
        for each in iter_tree_contents(self._repo.object_store, ObjectID(tree.encode()), include_trees=True):
            if each.path:  # the root itself comes first
                yield TreeItem(each.path.decode(), each.mode, each.sha.decode())

    def lookup(self, commit: str, path: str) -> TreeItem:
        """The file or directory at a path."""
        tree = self.tree_of(commit)
        if not path:
            return TreeItem("", DIRECTORY, tree)
        try:
            mode, sha = self.read(tree, Tree).lookup_path(self._repo.object_store.__getitem__, path.encode())
        except (KeyError, ValueError, NotADirectoryError):
            raise not_found() from None
        return TreeItem(path, mode, sha.decode())

    # History

    def log(self, start: str, *, path: str = "", since: int | None = None, until: int | None = None) -> Iterator[str]:
        """Commits from the newest on."""
        walker = self._repo.get_walker(
            include=[ObjectID(start.encode())], paths=[path.encode()] if path else None, since=since, until=until
        )
        return (entry.commit.id.decode() for entry in walker)

    def between(self, base: str, head: str, limit: int = 250) -> list[str]:
        """Commits that the head has and the base has not, oldest first."""
        walker = self._repo.get_walker(include=[ObjectID(head.encode())], exclude=[ObjectID(base.encode())])
        return [entry.commit.id.decode() for entry in islice(walker, limit)][::-1]

    def is_ancestor(self, older: str, newer: str) -> bool:
        """Whether moving from one commit to the other is a fast-forward."""
        return is_ancestor(self.path, older, newer)

    def merge_base(self, one: str, other: str) -> str:
        """The commit where two histories part."""
        return run_git(self.path, "merge-base", one, other).stdout.decode().strip()

    def ahead_and_behind(self, base: str, head: str) -> tuple[int, int]:
        """How many commits the head has that the base has not, and the reverse."""
        answer = run_git(self.path, "rev-list", "--left-right", "--count", f"{base}...{head}")
        behind, ahead = answer.stdout.split()
        return int(ahead), int(behind)

    def merged_tree(self, base: str, head: str) -> str | None:
        """The tree of a three-way merge, or None where the two conflict."""
        answer = run_git(self.path, "merge-tree", "--write-tree", base, head)
        return answer.stdout.split()[0].decode() if answer.returncode == 0 else None

    def changed_files(self, base: str, head: str) -> list[FileChange]:
        """What changed between two commits, file by file."""
        options = ("diff", "--find-renames", "--no-color", "--no-ext-diff", base, head)
        fields = run_git(self.path, *options[:1], "--name-status", "-z", *options[1:]).stdout.decode().split("\0")
        whole = run_git(self.path, *options).stdout.decode(errors="replace")
        patches = re.split(r"^diff --git .*\n", whole, flags=re.MULTILINE)[1:]
        return [
            _file_change(self, head, status, paths, patch)
            for (status, paths), patch in zip(_statuses(fields), patches, strict=True)
        ]


def now() -> int:
    """The time as commits carry it."""
    return int(time.time())


def _identity(who: Signature) -> bytes:
    name = re.sub(r"[<>\n\x00]", "", who.name) or "unknown"
    email = re.sub(r"[<>\n\x00\s]", "", who.email)
    return f"{name} <{email}>".encode()


def _statuses(fields: list[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    rest = iter(fields)
    for status in rest:
        if not status:
            return
        first = next(rest)
        yield status[0], (first, next(rest) if status[0] in "RC" else first)


def _file_change(repository: BareRepository, head: str, status: str, paths: tuple[str, str], patch: str) -> FileChange:
    names = {"A": "added", "D": "removed", "M": "modified", "T": "changed", "R": "renamed", "C": "copied"}
    start = patch.find("@@ ")
    hunks = patch[start:].removesuffix("\n") if start >= 0 else ""
    lines = hunks.split("\n")
    try:
        sha = repository.lookup(head, paths[1]).sha or ""
    except GitHubError:  # the file is gone
        sha = ""
    return FileChange(
        path=paths[1],
        previous_path=paths[0] if paths[0] != paths[1] else "",
        status=names[status],
        sha=sha,
        additions=sum(line.startswith("+") for line in lines),
        deletions=sum(line.startswith("-") for line in lines),
        patch=hunks,
    )
