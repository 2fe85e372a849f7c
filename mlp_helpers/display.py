"""The one way to show: text where nobody watches, HTML where someone does, in one object.

Papermill, nbmake, nbconvert and a terminal need no special case. `ipywidgets.Output` is not used anywhere: as a
context manager it stalls every runner that builds on nbclient.
"""

from __future__ import annotations

import base64
import html
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self

from mlp_helpers.waiting import Interrupted

State = Literal["ok", "running", "waiting", "failed", "stopped"]
ROWS_SHOWN = 50
SECONDS_BETWEEN_LINES = 10.0  # unwatched progress: a line for each change, but no more often than this

_MARK: dict[str, str] = {"ok": "✓", "running": "●", "waiting": "○", "failed": "✗", "stopped": "■"}
_COLOUR = {
    "ok": "--jp-success-color1, #2e7d32",
    "failed": "--jp-error-color1, #c62828",
    "running": "--jp-brand-color1, #1565c0",
}
_BOX = "border:1px solid var(--jp-border-color1,#8888);border-radius:4px;padding:8px 12px;max-width:900px;margin:4px 0"


def is_watched() -> bool:
    """Whether a person can see updates: the running cell came from a front end that accepts input.

    JupyterLab, VS Code and Colab send `allow_stdin` true; nbclient (papermill, nbmake, nbconvert) sends false.
    `MLP_UI=rich` or `MLP_UI=text` overrides.
    """
    if "MLP_UI" in os.environ:
        return os.environ["MLP_UI"] == "rich"
    if "IPython" not in sys.modules:
        return False
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and bool((kernel.get_parent("shell").get("content") or {}).get("allow_stdin"))


class Shown:
    """Something with a text and an HTML form."""

    def __init__(self, text: str, markup: str) -> None:
        self.text, self.markup = text, markup

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": self.markup}


def card(title: str, state: State, facts: Mapping[str, object], *, advice: str = "") -> Shown:
    """One thing's state: what was looked at, what was found, what to do."""
    width = max(map(len, facts), default=0)
    lines = [f"{_MARK[state]} {title}: {state}", *(f"  {name:<{width}}  {value}" for name, value in facts.items())]
    rows = "".join(
        f'<tr><th scope="row" style="text-align:left;font-weight:normal;opacity:.75;white-space:nowrap">'
        f'{html.escape(name)}</th><td style="text-align:left">{html.escape(str(value))}</td></tr>'
        for name, value in facts.items()
    )
    markup = (
        f'<section role="group" aria-label="{html.escape(title)}: {state}" style="{_BOX}">'
        f"<div>{html.escape(title)} {_state(state)}</div><table><tbody>{rows}</tbody></table>"
    )
    if advice:
        lines.append(f"  → {advice}")
        markup += f'<p style="margin:6px 0 0">→ {html.escape(advice)}</p>'
    return Shown("\n".join(lines), markup + "</section>")


def table(rows: Sequence[Mapping[str, object]], *, caption: str = "", limit: int = ROWS_SHOWN) -> Shown:
    """Rows as a table; says how many it left out."""
    columns = list(rows[0]) if rows else []
    cells = [[str(row.get(name, "")) for name in columns] for row in rows[:limit]]
    widths = [max([len(name), *(len(line[i]) for line in cells)]) for i, name in enumerate(columns)]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [columns, *cells]
        if line
    ]
    rest = f"… {len(rows) - limit} more rows" if len(rows) > limit else "" if rows else "(none)"
    left = 'style="text-align:left"'
    head = "".join(f'<th scope="col" {left}>{html.escape(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td {left}>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in cells
    )
    markup = (
        f"<table><caption {left}>{html.escape(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"
    )
    return Shown("\n".join(filter(None, [caption, *lines, rest])), markup)


class Picture:
    """A drawn figure, as a PNG in the file and as a sentence where there are no pictures."""

    def __init__(self, png: bytes, text: str) -> None:
        self.png, self.text = png, text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.text, "image/png": base64.b64encode(self.png).decode()}


def log(title: str, lines: Sequence[str], *, tail: int = 40) -> Shown:
    """The end of a log, in a frame that scrolls and that a keyboard reaches."""
    kept = list(lines[-tail:])
    left_out = f"… {len(lines) - tail} earlier lines" if len(lines) > tail else ""
    text = "\n".join(filter(None, [title, left_out, *(f"  {line}" for line in kept)]))
    markup = (
        f'<section role="group" aria-label="{html.escape(title)}" style="{_BOX}"><div>{html.escape(title)} {left_out}'
        f'</div><pre role="log" aria-live="off" tabindex="0" style="max-height:16em;overflow:auto;margin:6px 0 0;'
        f'font-size:12px">{html.escape(chr(10).join(kept))}</pre></section>'
    )
    return Shown(text, markup)


class Progress:
    """A long step: `with Progress("Apply") as progress: progress.update("cluster", done=3, total=9)`.

    Watched: one line that ticks. Unwatched: a line per change, at most one in ten seconds, and a last one.
    """

    def __init__(self, title: str, *, total: int | None = None) -> None:
        self.title, self.total = title, total
        self.done: int | None = None
        self.reason = ""
        self.state: State = "running"

    def __enter__(self) -> Self:
        self._started, self._printed = time.monotonic(), float("-inf")
        self._over = threading.Event()
        self._handle: Any = None
        if is_watched():
            from IPython.display import display

            self._handle = display(self._shown(), display_id=True)  # type: ignore[no-untyped-call]
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()
        return self

    def update(self, reason: str, *, done: int | None = None, total: int | None = None) -> None:
        """Say what is worked on or waited for, and how far it is."""
        changed = reason != self.reason
        self.reason = reason
        self.done = done if done is not None else self.done
        self.total = total if total is not None else self.total
        if self._handle is None and changed and time.monotonic() - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = time.monotonic()
            print(self._shown().text, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.state = "stopped" if issubclass(kind, KeyboardInterrupt) else "failed"
        elif self.state == "running":  # a step that knows better has said so
            self.state = "ok"
        self._over.set()
        if self._handle is not None:
            self._ticker.join()
            self._handle.update(self._shown())
        else:
            print(self._shown().text, flush=True)
        if self.state == "stopped" and not isinstance(error, Interrupted):
            raise Interrupted(f"{self.title}: stopped by you after {self._elapsed()}. Run the step again to go on.")

    def _tick(self) -> None:
        while not self._over.wait(0.25):
            self._handle.update(self._shown())

    def _elapsed(self) -> str:
        seconds = int(time.monotonic() - self._started)
        return f"{seconds // 60}:{seconds % 60:02d}"

    def _shown(self) -> Shown:
        count = f" {self.done}/{self.total}" if self.total and self.done is not None else ""
        reason = self.reason.splitlines()[0] if self.reason and self.state != "ok" else ""
        text = f"{_MARK[self.state]} {self.title}{count} {self._elapsed()} {reason}".rstrip()
        bar = (
            f'<progress max="{self.total}" value="{self.done}" aria-label="{html.escape(self.title)}"></progress>'
            if count
            else ""
        )
        parts = [html.escape(self.title), _state(self.state), bar, count.strip(), self._elapsed(), html.escape(reason)]
        return Shown(text, f'<div style="{_BOX}">{" ".join(filter(None, parts))}</div>')


def _state(state: State) -> str:
    colour = _COLOUR.get(state, "--jp-ui-font-color2, #666")
    return f'<b style="color:var({colour})">{_MARK[state]} {state}</b>'
