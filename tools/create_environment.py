"""Create the Python environment that the lock describes, with what a fresh machine has: python3, git and make.

    python3 tools/create_environment.py        # creates or completes .venv; a complete one costs nothing

Uses uv when it can be had (on the PATH, or as a wheel in a folder of its own), else pip. Bytecode is compiled once:
Ray starts twice as fast with it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(os.environ.get("MLP_VENV", ROOT / ".venv"))
LOCK = ROOT / "requirements.lock"
STAMP = VENV / "complete"
OLDEST, NEWEST = (3, 11), (3, 14)
SIZE = "about 200 packages, 550 MB to download, 1.8 GB on disk"


def main() -> None:
    """Make the environment complete, or say in one sentence what is missing."""
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        sys.exit(
            f"Python {sys.version_info[0]}.{sys.version_info[1]} does not do: the workbook needs 3.11 to 3.14. "
            "Name another one: make setup PYTHON=python3.12"
        )
    if STAMP.exists() and STAMP.read_text() == fingerprint():
        return
    started = time.monotonic()
    STAMP.unlink(missing_ok=True)
    print(f"Creating {VENV} ({SIZE}); this happens once.", flush=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment.setdefault("UV_NATIVE_TLS", "1")  # companies and distributions have certificates of their own
    environment.setdefault(
        "UV_LINK_MODE", "copy" if os.stat(ROOT).st_dev != os.stat(Path.home()).st_dev else "hardlink"
    )
    uv = find_uv()
    if not (VENV / "bin" / "python").exists():
        create(uv, environment)
    install(uv, environment)
    STAMP.write_text(fingerprint())
    print(f"Ready after {time.monotonic() - started:.0f} s.", flush=True)


def fingerprint() -> str:
    """What the environment was made from; another lock or another Python makes it incomplete."""
    package = (ROOT / "pyproject.toml").read_bytes()
    return hashlib.sha256(LOCK.read_bytes() + package + sys.version.encode()).hexdigest()


def find_uv() -> "str | None":
    """Path of uv: the machine's own, or a wheel installed beside the environment."""
    if found := shutil.which("uv"):
        return found
    folder = VENV.with_name(VENV.name + "-uv")
    program = folder / "bin" / "uv"
    if not program.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]
        if subprocess.run([*command, str(folder), "uv"], capture_output=True).returncode != 0:
            return None
    return str(program) if program.exists() else None


def create(uv: "str | None", environment: "dict[str, str]") -> None:
    """Make an empty environment."""
    if uv:
        run([uv, "venv", "--quiet", "--python", sys.executable, str(VENV)], environment)
        return
    made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True)
    if made.returncode != 0:
        sys.exit(
            "This Python cannot create environments, and uv could not be had. "
            "On Debian and Ubuntu: apt-get install python3-venv. It said: " + (made.stderr or made.stdout).strip()
        )


def install(uv: "str | None", environment: "dict[str, str]") -> None:
    """Install exactly what the lock names, then this project."""
    python = str(VENV / "bin" / "python")
    if uv:
        installer = [uv, "pip", "install", "--quiet", "--python", python, "--compile-bytecode"]
    else:
        print("uv could not be had: pip does it, more slowly.", flush=True)
        installer = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*installer, "--require-hashes", "-r", str(LOCK)], environment)
    run([*installer, "--no-deps", "--editable", str(ROOT)], environment)


def run(command: "list[str]", environment: "dict[str, str]") -> None:
    """Run a step; its own words are the message if it fails."""
    if subprocess.run(command, env=environment).returncode != 0:
        sys.exit(
            f"The environment could not be created: {' '.join(command[:3])} … failed. Run the command again to go on."
        )


if __name__ == "__main__":
    main()
