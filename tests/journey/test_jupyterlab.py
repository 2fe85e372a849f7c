"""Notebook 05 in a real JupyterLab in Chromium: run all, read what a person sees, take a picture."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlp_helpers.folders import PROJECT_FOLDER
from mlp_helpers.waiting import Ready, Waiting, wait_for
from tests.journey.conftest import MLP, Journey

CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.ray,
    pytest.mark.workbook,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed"),
]
FLAGS = [
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run",
    "--disable-background-networking --disable-component-update --disable-sync",
]
# JupyterLab shows "idle" before a kernel exists, and drops a run command given then without a word.
KERNEL = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel"
KERNEL_READY = f"() => {{ const k = {KERNEL}; return k?.connectionStatus === 'connected' && k.status === 'idle' }}"
IMAGES = PROJECT_FOLDER / "docs" / "images"


@pytest.fixture
def lab(journey: Journey, tmp_path: Path) -> Iterator[tuple[int, str]]:
    """Port and token of `mlp lab`, with Jupyter's own folders apart from the person's."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    places = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("DATA", "RUNTIME", "CONFIG")}
    places |= {f"JUPYTERLAB_{name}_DIR": str(tmp_path / name) for name in ("WORKSPACES", "SETTINGS")}
    log = tmp_path / "lab.log"
    environment = {**journey.environment, **places}
    environment.pop("MLP_UI")
    command = [MLP, "lab", "--port", str(port), "--no-browser", "--expose-app"]
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)

    def probe() -> Ready[str] | Waiting:
        found = re.search(rf"http://127\.0\.0\.1:{port}/\S*token=(\w+)", log.read_text())
        return Ready(found[1]) if found else Waiting(log.read_text()[-200:])

    try:
        yield port, wait_for(probe, "JupyterLab", timeout_seconds=60)
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def test_notebook_05_runs_in_jupyterlab(lab: tuple[int, str]) -> None:
    from playwright.sync_api import sync_playwright

    port, token = lab
    problems: list[str] = []
    outside: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=" ".join(FLAGS).split())
        page = browser.new_page(viewport={"width": 1000, "height": 4200})
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: _note_outside(request, outside))
        page.goto(f"http://127.0.0.1:{port}/doc/tree/notebooks/05_ray_job.ipynb?reset&token={token}")
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        page.wait_for_function(KERNEL_READY, timeout=60_000)
        page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        page.wait_for_selector("text=Check: job result", timeout=180_000)
        page.wait_for_selector("text=Jobs of ml-team", timeout=60_000)
        IMAGES.mkdir(exist_ok=True)
        page.screenshot(path=IMAGES / "05_ray_job_light.png")
        shown = page.inner_text(".jp-Notebook")
        assert "✓ ok" in shown
        assert "SUCCEEDED" in shown
        assert "Traceback" not in shown
        assert page.locator(".jp-OutputArea img").count() == 1
        page.evaluate(
            "() => { window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'}) }"
        )
        page.wait_for_selector("body[data-jp-theme-light='false']", state="attached", timeout=20_000)
        page.screenshot(path=IMAGES / "05_ray_job_dark.png")
        browser.close()
    assert not outside
    assert not problems


def _note_outside(request: Any, outside: list[str]) -> None:
    if request.url.startswith("http") and "127.0.0.1" not in request.url:
        outside.append(request.url)
