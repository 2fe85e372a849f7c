"""The Git side of a sync: which commit is wanted, and its files in a folder."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.controllers.config_sync.problems import Problem, ProblemsError

USERNAME_VARIABLE = "GITSYNC_USERNAME"
PASSWORD_VARIABLE = "GITSYNC_PASSWORD"

_GIT_SECONDS = 60.0
_FULL_COMMIT = re.compile(r"[0-9a-f]{40}")
# Git asks this function for a password; the password itself is only ever in the environment.
_CREDENTIALS = (
    '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" '
    f'"${USERNAME_VARIABLE}" "${PASSWORD_VARIABLE}"; }}; f'
)


@dataclass(frozen=True)
class Checkout:
    """One version of a source on disk."""

    commit: str
    root: Path
    directory: Path


class GitSource:
    """Follows one repository with the system's git.

    Args:
        folder: A folder of its own; survives restarts, so that nothing is fetched twice.
        environment: Where the credentials are, under the names that Config Sync's git-sync uses.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._secret = {name: environment.get(name, "") for name in (USERNAME_VARIABLE, PASSWORD_VARIABLE)}

    async def fetch(self, git: Mapping[str, Any]) -> Checkout:
        """Look up the wanted commit and have its files here.

        Args:
            git: `spec.git` of the sync.

        Raises:
            ProblemsError: KNV2004 with git's own words.
        """
        auth = git.get("auth", "none")
        if auth not in ("none", "token"):
            raise _failed(f"not emulated in the sandbox: spec.git.auth {auth}; use token or none")
        commit = await self._wanted_commit(git, with_token=auth == "token")
        root = self._folder / "commits" / commit
        if not root.is_dir():
            await self._check_out(git["repo"], commit, root, with_token=auth == "token")
        directory = (root / str(git.get("dir") or ".").strip("/")).resolve()
        if not directory.is_relative_to(root.resolve()) or not directory.is_dir():
            raise _failed(f'the directory "{git.get("dir")}" does not exist in commit {commit}')
        return Checkout(commit, root.resolve(), directory)

    async def _wanted_commit(self, git: Mapping[str, Any], *, with_token: bool) -> str:
        revision, branch = git.get("revision") or "HEAD", git.get("branch") or "master"
        if _FULL_COMMIT.fullmatch(revision):
            return str(revision)
        if revision == "HEAD":
            wanted = [f"refs/heads/{branch}"]
            missing = f"Remote branch {branch} not found in upstream origin"
        else:
            wanted = [f"refs/tags/{revision}^{{}}", f"refs/tags/{revision}", f"refs/heads/{revision}"]
            missing = f"couldn't find remote ref {revision}"
        answer = await self._git("ls-remote", "--", git["repo"], *wanted, with_token=with_token)
        found = {ref: commit for commit, _, ref in (line.partition("\t") for line in answer.splitlines())}
        for ref in wanted:
            if ref in found:
                return found[ref]
        raise _failed(f"fatal: {missing}")

    async def _check_out(self, repo: str, commit: str, root: Path, *, with_token: bool) -> None:
        store = self._folder / "store.git"
        if not (store / "HEAD").exists():
            await self._git("init", "--quiet", "--bare", str(store))
        await self._git(
            "-C", str(store), "fetch", "--quiet", "--depth=1", "--no-tags", "--", repo, commit, with_token=with_token
        )
        fresh = root.with_name(f"{commit}.part")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        # A link could point out of the repository, so links become plain files.
        files = ["-C", str(fresh), f"--git-dir={store}", "--work-tree=.", "-c", "core.symlinks=false"]
        await self._git(*files, "read-tree", commit)
        await self._git(*files, "checkout-index", "--all", "--force")
        for old in root.parent.iterdir():
            if old != fresh:
                shutil.rmtree(old)
        fresh.rename(root)

    async def _git(self, *arguments: str, with_token: bool = False) -> str:
        helper = ["-c", "credential.helper="] + (["-c", f"credential.helper={_CREDENTIALS}"] if with_token else [])
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._folder),
            "LC_ALL": "C",
            # The user's own configuration (proxies, URL rewriting, helpers) is not the reconciler's.
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            **(self._secret if with_token else {}),
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        code, out, error = await run_tool(["git", *helper, *arguments], environment, _GIT_SECONDS)
        if code != 0:
            raise _failed(self._without_secret(error.strip() or f"git ended with exit code {code}"))
        return out

    def _without_secret(self, text: str) -> str:
        password = self._secret[PASSWORD_VARIABLE]
        return text.replace(password, "[hidden]") if password else text


async def run_tool(command: list[str], environment: Mapping[str, str], seconds: float) -> tuple[int, str, str]:
    """Run a program to its end: exit code, output, errors. A program that takes too long is killed.

    Raises:
        ProblemsError: KNV2004 if the program is not there or takes too long.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise _failed(f"{command[0]} is not on this machine") from error
    try:
        async with asyncio.timeout(seconds):
            out, problems = await process.communicate()
    except TimeoutError as error:
        raise _failed(f"{command[0]} took more than {seconds:.0f} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, out.decode(errors="replace"), problems.decode(errors="replace")


def _failed(reason: str) -> ProblemsError:
    return ProblemsError([Problem(2004, f"unable to sync repo: Error in the git-sync container: {reason}")])
