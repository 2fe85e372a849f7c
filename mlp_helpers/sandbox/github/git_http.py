"""Git over HTTP: git's own `http-backend`, run as a CGI program for each request."""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from aiohttp import web

from mlp_helpers.sandbox.github import update_hook
from mlp_helpers.sandbox.github.errors import GitHubError
from mlp_helpers.sandbox.github.git_command import find_git, git_environment
from mlp_helpers.sandbox.github.objects import HEADS, BareRepository
from mlp_helpers.sandbox.github.store import (
    Account,
    Permission,
    Repository,
    Store,
    organizations_text,
    timestamp,
)

PATH = re.compile(
    r"/(?P<owner>[^/]+)/(?P<name>[^/]+?)(\.git)?/(?P<service>info/refs|git-upload-pack|git-receive-pack)\Z"
)
PIECE = 64 * 1024

logger = logging.getLogger(__name__)


class GitHttp:
    """Serves clone, fetch and push.

    Args:
        folder: Folder of the store; the hooks go there too.
        store: Which repositories there are, and who may do what.
        authenticate: The caller by the `Authorization` header.
    """

    def __init__(self, folder: Path, store: Store, authenticate: Callable[[str], Account | None]) -> None:
        self._folder, self._store, self._authenticate = folder, store, authenticate
        self._backend = _backend(find_git())
        self._hooks = _write_hooks(folder / "hooks")

    async def handle(self, request: web.Request) -> web.StreamResponse | None:
        """Answer a Git request; None for a path that is none of Git's."""
        match = PATH.match(request.path)
        if match is None:
            return None
        service = match["service"]
        is_push = "git-receive-pack" in (service, request.query.get("service", ""))
        try:
            account = self._authenticate(request.headers.get("Authorization", ""))
        except GitHubError:
            return _refuse(
                401, "Invalid username or token. Password authentication is not supported for Git operations."
            )
        admitted = await asyncio.to_thread(self._admit, account, match["owner"], match["name"], is_push=is_push)
        if isinstance(admitted, web.Response):
            return admitted
        pushed_to = admitted if service == "git-receive-pack" else None
        return await self._run(request, self._environment(request, admitted, account, service), pushed_to)

    def _admit(self, account: Account | None, owner: str, name: str, *, is_push: bool) -> Repository | web.Response:
        try:
            repository = self._store.repository(owner, name)
            granted = self._store.permission(account, repository)
        except GitHubError:
            granted = Permission.NONE
        if account is None and (is_push or granted is Permission.NONE):
            return _refuse(401, "No anonymous write access." if is_push else "Authentication required.")
        if granted is Permission.NONE:
            return _refuse(404, "Repository not found.")
        if is_push and granted < Permission.WRITE:
            return _refuse(403, "Write access to repository not granted.")
        if is_push and repository.settings["archived"]:
            return _refuse(403, "This repository was archived so it is read-only.")
        return repository

    def _environment(
        self, request: web.Request, repository: Repository, account: Account | None, service: str
    ) -> dict[str, str]:
        login = account.login if account else ""
        return {
            **git_environment({"core.hooksPath": str(self._hooks)}),
            "GIT_PROJECT_ROOT": str(self._store.repositories_folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "PATH_INFO": f"/{repository.owner}/{repository.name}.git/{service}",
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "REMOTE_ADDR": request.remote or "",
            # no CONTENT_LENGTH and no HTTP_CONTENT_ENCODING: the web server has undone chunks and compression
            **({"REMOTE_USER": login} if login else {}),
            update_hook.FOLDER: str(self._folder),
            update_hook.REPOSITORY: str(repository.id),
            update_hook.LOGIN: login,
            update_hook.ORGANIZATIONS: organizations_text(self._store.organizations),
        }

    async def _run(
        self, request: web.Request, environment: Mapping[str, str], pushed_to: Repository | None
    ) -> web.StreamResponse:
        process = await asyncio.create_subprocess_exec(
            self._backend,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        feeding = asyncio.create_task(_feed(request, process.stdin))
        complaints = asyncio.create_task(process.stderr.read())
        try:
            head = await process.stdout.readuntil(b"\r\n\r\n")
            response = _response(head.decode())
            await response.prepare(request)
            while piece := await process.stdout.read(PIECE):
                await response.write(piece)
            await process.wait()
            if pushed_to is not None:  # before the client can know that its push is over
                await asyncio.to_thread(self._after_push, pushed_to)
            await response.write_eof()
        except asyncio.IncompleteReadError:
            logger.error("git http-backend gave no answer: %s", (await complaints).decode(errors="replace"))
            return _refuse(500, "Internal Server Error")
        finally:
            feeding.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
            text = (await complaints).decode(errors="replace").strip()
            if text:
                logger.info("git http-backend: %s", text)
        return response

    def _after_push(self, repository: Repository) -> None:
        """What GitHub does when commits came in: note the time, choose a first default branch, drop idle protection."""
        changes: dict[str, object] = {"pushed_at": timestamp()}
        with BareRepository(self._store.path(repository)) as git:
            branches = [ref.removeprefix(HEADS) for ref in git.refs(HEADS)]
            if branches and repository.default_branch not in branches:
                git.point_head(branches[0])
                changes["default_branch"] = branches[0]
        for branch, _ in self._store.items(repository, "protection"):
            if branch not in branches:
                self._store.remove_item(repository, "protection", branch)
        self._store.change_repository(repository, changes)


async def _feed(request: web.Request, stdin: asyncio.StreamWriter) -> None:
    try:
        async for piece in request.content.iter_chunked(PIECE):
            stdin.write(piece)
            await stdin.drain()
        stdin.close()
        await stdin.wait_closed()
    except ConnectionError:
        stdin.close()  # git has read enough and answers, or the client is gone and git ends without its input


def _response(head: str) -> web.StreamResponse:
    status, headers = 200, {}
    for line in head.strip().split("\r\n"):
        name, _, value = line.partition(": ")
        if name == "Status":
            status = int(value.split()[0])
        else:
            headers[name] = value
    return web.StreamResponse(status=status, headers=headers)


def _refuse(status: int, text: str) -> web.Response:
    headers = {"WWW-Authenticate": 'Basic realm="GitHub"'} if status == 401 else {}
    return web.Response(status=status, text=text, headers=headers)


def _backend(git: Path) -> str:
    folder = subprocess.run([git, "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    return str(Path(folder) / "git-http-backend")


def _write_hooks(folder: Path) -> Path:
    """Write the hooks anew, since the interpreter and the package may have moved since the last start."""
    folder.mkdir(exist_ok=True, mode=0o700)
    package = Path(update_hook.__file__).parents[3]
    script = update_hook.SCRIPT.format(path=shlex.quote(str(package)), python=shlex.quote(sys.executable))
    hook = folder / "update"
    hook.write_text(script)
    hook.chmod(0o700)
    return folder
