"""The report of a workbook run: one page that needs nothing else, the failing cell on top."""

from __future__ import annotations

import html

from mlp_helpers.workbook_run import NotebookRun, WorkbookRun

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; }
pre { overflow: auto; padding: .5rem; background: color-mix(in srgb, currentColor 7%, transparent); }
details { border-top: 1px solid #8886; padding: .5rem 0; } summary { cursor: pointer; font-weight: 600; }
.jp-InputPrompt, .jp-OutputPrompt, .prompt, .anchor-link { display: none; } img { max-width: 100%; }
"""
_MARK = {"passed": "✓", "failed": "✗", "stopped": "■", "not run": "○"}


def write_report(run: WorkbookRun) -> None:
    """Write report.html beside the executed notebooks."""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Workbook run</title>',
        f"<style>{_STYLE}</style></head><body><h1>Workbook run</h1>",
        f"<p>Started {html.escape(run.started)}, {sum(each.seconds for each in run.notebooks):.0f} s, "
        f"parameters: {html.escape(str(run.parameters or 'none'))}</p>",
        *(_failure(each) for each in run.notebooks if each.error),
        "<table><thead><tr><th scope=col>Notebook<th scope=col>Status<th scope=col>Seconds</thead><tbody>",
        *(
            f"<tr><td>{html.escape(each.notebook)}<td>{_MARK.get(each.status, '')} {each.status}<td>{each.seconds}"
            for each in run.notebooks
        ),
        "</tbody></table>",
        *(_notebook(run, each) for each in run.notebooks if each.status != "not run"),
        "</body></html>",
    ]
    (run.folder / "report.html").write_text("\n".join(parts))


def _failure(result: NotebookRun) -> str:
    return f"<section><h2>✗ {html.escape(result.notebook)}</h2><pre>{html.escape(result.error)}</pre></section>"


def _notebook(run: WorkbookRun, result: NotebookRun) -> str:
    from nbconvert import HTMLExporter

    path = run.folder / f"{result.notebook}.ipynb"
    if not path.exists():
        return ""
    body, _ = HTMLExporter(template_name="basic").from_filename(str(path))  # type: ignore[no-untyped-call]
    return f"<details><summary>{html.escape(result.notebook)}</summary>{body}</details>"
