"""How a run of the workbook went: what the runner writes down and the report shows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class NotebookRun:
    """How one notebook went.

    Args:
        status: passed, failed, or not run.
        error: The failing cell's message, in the helper's own words.
    """

    notebook: str
    status: str = "not run"
    seconds: float = 0.0
    error: str = ""


@dataclass
class WorkbookRun:
    """How the whole workbook went; what `summary.json` holds."""

    folder: Path
    started: str
    parameters: dict[str, object]
    notebooks: list[NotebookRun] = field(default_factory=list)

    @property
    def is_passed(self) -> bool:
        """Whether every notebook ran to its end."""
        return all(each.status == "passed" for each in self.notebooks)

    def write(self) -> None:
        """Write summary.json."""
        content = {
            "status": "passed" if self.is_passed else "failed",
            "started": self.started,
            "seconds": round(sum(each.seconds for each in self.notebooks), 1),
            "parameters": self.parameters,
            "notebooks": [asdict(each) for each in self.notebooks],
        }
        (self.folder / "summary.json").write_text(json.dumps(content, indent=2) + "\n")
