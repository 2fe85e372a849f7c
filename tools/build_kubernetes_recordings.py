"""Gather the recorded answers of a real API server into the one file that the tests replay.

    python tools/build_kubernetes_recordings.py RECORDED

RECORDED is a folder CLASS/NAME.json; each file has `name`, `server`, `setup` (steps), `request` and `response`.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path

OUTPUT = Path("tests/sandbox/kubernetes/recorded.json.gz")


def main(folder: Path) -> None:
    """Write the data file."""
    cases = [{"class": path.parent.name, **json.loads(path.read_text())} for path in sorted(folder.glob("*/*.json"))]
    with gzip.GzipFile(OUTPUT, "wb", mtime=0) as out:
        out.write(json.dumps(cases, separators=(",", ":")).encode())
    print(f"{len(cases)} cases, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
