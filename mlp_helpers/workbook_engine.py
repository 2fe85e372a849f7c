"""The papermill engine of the workbook: patient with lost wake-ups, quiet, and it says which cell runs.

A kernel's answer can lie in the socket without a wake-up (nbclient issue 312), and papermill then waits for ever. This
client looks once a second instead, as long as the kernel lives.
"""

from __future__ import annotations

import queue
import time
from typing import Any

from jupyter_core.utils import ensure_async
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from traitlets.config import Config

from mlp_helpers.waiting import Watcher

NAME = "workbook"
LOOK_AGAIN_SECONDS = 1.0


class PatientClient(PapermillNotebookClient):  # type: ignore[misc]
    """A notebook client that looks for its kernel's answer again and again."""

    watcher: Watcher | None = None

    def start_new_kernel_client(self, **options: Any) -> Any:
        """Start the channels, and make the shell channel patient."""
        client = super().start_new_kernel_client(**options)
        receive = client.shell_channel.get_msg

        async def get_msg(timeout: float | None = None) -> Any:
            end = time.monotonic() + timeout if timeout is not None else float("inf")
            while True:
                try:
                    return await ensure_async(
                        receive(timeout=min(LOOK_AGAIN_SECONDS, max(0.0, end - time.monotonic())))
                    )
                except queue.Empty:
                    if time.monotonic() >= end or not await ensure_async(self.km.is_alive()):
                        raise

        client.shell_channel.get_msg = get_msg
        return client

    def execute_cell(self, cell: Any, cell_index: int, **options: Any) -> Any:
        """Tell the watcher which cell runs, then run it."""
        if self.watcher is not None and cell.cell_type == "code" and cell.source.strip():
            code = [line for line in cell.source.splitlines() if line.strip() and not line.startswith("#")]
            self.watcher.update(code[-1][:80] if code else "", done=cell_index, total=len(self.nb.cells))
        return super().execute_cell(cell, cell_index, **options)


class WorkbookEngine(NBClientEngine):  # type: ignore[misc]
    """Runs a notebook with the patient client, over encrypted kernel sockets."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        log_output: bool = False,
        start_timeout: int = 60,
        execution_timeout: int | None = None,
        watcher: Watcher | None = None,
        **options: Any,
    ) -> None:
        """Execute the notebook that papermill manages."""
        encrypted = Config({kind: {"transport_encryption": "auto"} for kind in ("KernelManager", "AsyncKernelManager")})
        client = PatientClient(
            nb_man,
            kernel_name=kernel_name,
            startup_timeout=start_timeout,
            timeout=execution_timeout,
            log_output=log_output,
            config=encrypted,
        )
        client.watcher = watcher
        client.execute()


def register() -> None:
    """Make the engine known to papermill."""
    papermill_engines.register(NAME, WorkbookEngine)
