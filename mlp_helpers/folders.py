"""Where things lie: the checkout with its notebooks, and the folder for what the commands create."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT_FOLDER = Path(__file__).resolve().parent.parent


def mlp_home() -> Path:
    """Folder for everything that is made at run time: MLP_HOME, by default .mlp in the checkout.

    It does not depend on the working directory: a notebook in JupyterLab, papermill and a terminal share one.
    """
    given = os.environ.get("MLP_HOME")
    return Path(given).expanduser().resolve() if given else PROJECT_FOLDER / ".mlp"
