"""What GitHub shows of each kind of thing: JSON whose links resolve, because clients fetch by them what is missing."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from dulwich.objects import Commit

from mlp_helpers.sandbox.github.calls import Call
from mlp_helpers.sandbox.github.objects import DIRECTORY, HEADS, BareRepository, FileChange, TreeItem
from mlp_helpers.sandbox.github.store import Json, Permission, Repository, timestamp

HIDDEN = frozenset({"vulnerability_alerts", "security_and_analysis"})
SUBMODULE, SYMLINK = 0o160000, 0o120000


def account(call: Call, login: str) -> Json:
    """A user or organisation, as it is shown inside other things."""
    kind = "Organization" if call.store.is_organization(login) else "User"
    number = call.store.account_id(login)
    return {
        "login": login,
        "id": number,
        "node_id": _node("U", number),
        "avatar_url": "",
        "gravatar_id": "",
        "url": f"{call.api}/users/{login}",
        "html_url": f"{call.site}/{login}",
        "repos_url": f"{call.api}/users/{login}/repos",
        "type": kind,
        "user_view_type": "public",
        "site_admin": False,
    }


def repository_url(call: Call, repository: Repository, *parts: str) -> str:
    """Link to something of a repository."""
    return "/".join([f"{call.api}/repos/{repository.full_name}", *(quote(part) for part in parts)])


def repository(call: Call, repository: Repository) -> Json:
    """A repository."""
    granted = call.store.permission(call.account, repository)
    html = f"{call.site}/{repository.full_name}"
    shown = {name: value for name, value in repository.settings.items() if name not in HIDDEN}
    links = {
        f"{name}_url": repository_url(call, repository, path) + rest
        for name, path, rest in (
            ("branches", "branches", "{/branch}"),
            ("blobs", "git/blobs", "{/sha}"),
            ("collaborators", "collaborators", "{/collaborator}"),
            ("commits", "commits", "{/sha}"),
            ("compare", "compare", "/{base}...{head}"),
            ("contents", "contents", "/{+path}"),
            ("git_commits", "git/commits", "{/sha}"),
            ("git_refs", "git/refs", "{/sha}"),
            ("git_tags", "git/tags", "{/sha}"),
            ("hooks", "hooks", ""),
            ("keys", "keys", "{/key_id}"),
            ("pulls", "pulls", "{/number}"),
            ("statuses", "statuses", "/{sha}"),
            ("trees", "git/trees", "{/sha}"),
        )
    }
    return {
        "id": repository.id,
        "node_id": _node("R", repository.id),
        "name": repository.name,
        "full_name": repository.full_name,
        "owner": account(call, repository.owner),
        "html_url": html,
        "url": repository_url(call, repository),
        "clone_url": f"{html}.git",
        "git_url": f"{html}.git".replace("http://", "git://"),
        "ssh_url": f"git@{call.site.partition('//')[2]}:{repository.full_name}.git",
        "svn_url": html,
        "fork": False,
        "forks_count": 0,
        "stargazers_count": 0,
        "watchers_count": 0,
        "open_issues_count": 0,
        "size": 0,
        "language": None,
        "license": None,
        "mirror_url": None,
        "has_pages": False,
        "disabled": False,
        **shown,
        **links,
        **({"organization": account(call, repository.owner)} if call.store.is_organization(repository.owner) else {}),
        **({"security_and_analysis": _security(repository)} if granted is Permission.ADMIN else {}),
        "permissions": {
            "admin": granted is Permission.ADMIN,
            "maintain": granted is Permission.ADMIN,
            "push": granted >= Permission.WRITE,
            "triage": granted >= Permission.WRITE,
            "pull": granted >= Permission.READ,
        },
    }


def _security(repository: Repository) -> Json:
    chosen = repository.settings.get("security_and_analysis") or {}
    return {
        "secret_scanning": {"status": "disabled"},
        "secret_scanning_push_protection": {"status": "disabled"},
        "dependabot_security_updates": {"status": "disabled"},
        **chosen,
    }


def reference(call: Call, repository: Repository, name: str, sha: str) -> Json:
    """A ref."""
    return {
        "ref": name,
        "node_id": _node("REF", name),
        "url": repository_url(call, repository, "git", name),
        "object": {"sha": sha, "type": "commit", "url": repository_url(call, repository, "git/commits", sha)},
    }


def git_commit(call: Call, repository: Repository, git: BareRepository, sha: str) -> Json:
    """A commit as the Git data API shows it."""
    commit = git.read(sha, Commit)
    tree = commit.tree.decode()
    return {
        "sha": sha,
        "node_id": _node("C", sha),
        "url": repository_url(call, repository, "git/commits", sha),
        "html_url": f"{call.site}/{repository.full_name}/commit/{sha}",
        "author": _person(commit.author, commit.author_time),
        "committer": _person(commit.committer, commit.commit_time),
        "message": commit.message.decode(errors="replace").removesuffix("\n"),
        "tree": {"sha": tree, "url": repository_url(call, repository, "git/trees", tree)},
        "parents": [_parent(call, repository, parent.decode()) for parent in commit.parents],
        "verification": {"verified": False, "reason": "unsigned", "signature": None, "payload": None},
    }


def commit(call: Call, repository: Repository, git: BareRepository, sha: str) -> Json:
    """A commit as the lists of commits show it."""
    inner = git_commit(call, repository, git, sha)
    parts = ("author", "committer", "message", "tree", "url", "verification")
    return {
        "sha": sha,
        "node_id": inner["node_id"],
        "url": repository_url(call, repository, "commits", sha),
        "html_url": inner["html_url"],
        "comments_url": repository_url(call, repository, "commits", sha, "comments"),
        "commit": {**{name: inner[name] for name in parts}, "comment_count": 0},
        "author": _known(call, inner["author"]),
        "committer": _known(call, inner["committer"]),
        "parents": inner["parents"],
    }


def _known(call: Call, person: Mapping[str, Any]) -> Json | None:
    login = str(person["email"]).removesuffix("@users.noreply.github.com")
    return account(call, login) if login and "@" not in login else None


def _parent(call: Call, repository: Repository, sha: str) -> Json:
    return {
        "sha": sha,
        "url": repository_url(call, repository, "commits", sha),
        "html_url": f"{call.site}/{repository.full_name}/commit/{sha}",
    }


def _person(raw: bytes, seconds: int) -> Json:
    match = re.match(r"(.*?)\s*<(.*)>", raw.decode(errors="replace"))
    name, email = match.groups() if match else (raw.decode(errors="replace"), "")
    return {"name": name, "email": email, "date": timestamp(seconds)}


def tree(call: Call, repository: Repository, git: BareRepository, sha: str, *, recursive: bool) -> Json:
    """A tree."""
    entries = [_tree_entry(call, repository, git, each) for each in git.entries(sha, recursive=recursive)]
    return {
        "sha": sha,
        "url": repository_url(call, repository, "git/trees", sha),
        "tree": entries,
        "truncated": False,
    }


def _tree_entry(call: Call, repository: Repository, git: BareRepository, item: TreeItem) -> Json:
    kind = {DIRECTORY: "tree", SUBMODULE: "commit"}.get(item.mode, "blob")
    shown: Json = {"path": item.path, "mode": f"{item.mode:06o}", "type": kind, "sha": item.sha}
    if kind == "blob":
        shown["size"] = git.blob_size(item.sha or "")
    if kind != "commit":
        shown["url"] = repository_url(call, repository, f"git/{kind}s", item.sha or "")
    return shown


def content(
    call: Call, repository: Repository, git: BareRepository, ref: str, item: TreeItem, *, whole: bool = True
) -> Json:
    """A file or directory as the contents API shows it; `whole` adds a file's bytes."""
    sha = item.sha or ""
    kind = {DIRECTORY: "dir", SUBMODULE: "submodule", SYMLINK: "symlink"}.get(item.mode, "file")
    is_file = kind in ("file", "symlink")
    url = repository_url(call, repository, "contents", item.path) + f"?ref={quote(ref, safe='')}"
    git_url = repository_url(call, repository, "git/blobs" if is_file else "git/trees", sha)
    html_url = f"{call.site}/{repository.full_name}/{'blob' if is_file else 'tree'}/{ref}/{quote(item.path)}"
    shown: Json = {
        "type": kind,
        "name": item.path.rpartition("/")[2],
        "path": item.path,
        "sha": sha,
        "size": git.blob_size(sha) if is_file else 0,
        "url": url,
        "git_url": git_url,
        "html_url": html_url,
        "download_url": None,
        "_links": {"self": url, "git": git_url, "html": html_url},
    }
    if whole and is_file:
        shown |= {"encoding": "base64", "content": base64.encodebytes(git.blob(sha)).decode()}
    return shown


def changed_file(call: Call, repository: Repository, head: str, change: FileChange) -> Json:
    """A file of a comparison or pull request."""
    url = repository_url(call, repository, "contents", change.path) + f"?ref={head}"
    shown: Json = {
        "sha": change.sha or None,
        "filename": change.path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{call.site}/{repository.full_name}/blob/{head}/{quote(change.path)}",
        "raw_url": f"{call.site}/{repository.full_name}/raw/{head}/{quote(change.path)}",
        "contents_url": url,
    }
    if change.patch:
        shown["patch"] = change.patch
    if change.previous_path:
        shown["previous_filename"] = change.previous_path
    return shown


def branch(call: Call, repository: Repository, git: BareRepository, name: str, *, whole: bool = True) -> Json:
    """A branch; in lists its commit is only named."""
    sha = git.resolve(HEADS + name)
    url = repository_url(call, repository, "branches", name)
    guard = call.store.item(repository, "protection", name)
    checks = (guard or {}).get("required_status_checks") or {}
    contexts = [check["context"] for check in checks.get("checks", ())]
    return {
        "name": name,
        "commit": commit(call, repository, git, sha)
        if whole
        else {"sha": sha, "url": repository_url(call, repository, "commits", sha)},
        "protected": guard is not None,
        "protection": {
            "enabled": guard is not None,
            "required_status_checks": {
                "enforcement_level": "non_admins" if contexts else "off",
                "contexts": contexts,
                "checks": checks.get("checks", []),
            },
        },
        "protection_url": f"{url}/protection",
        **({"_links": {"self": url, "html": f"{call.site}/{repository.full_name}/tree/{name}"}} if whole else {}),
    }


def _node(kind: str, key: object) -> str:
    return base64.urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")
