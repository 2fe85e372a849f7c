"""A filesystem mirror that makes `terraform init` install the stand-in, and the CLI configuration that points to it."""

from __future__ import annotations

import platform
import shlex
import sys
from pathlib import Path

from mlp_helpers.sandbox.terraform.certificate import write_certificate
from mlp_helpers.sandbox.terraform.versions import HOST, PROVIDERS

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def write_mirror(folder: Path) -> Path:
    """Write the mirror and the CLI configuration.

    The versions carry the suffix `+sandbox`: they satisfy the constraints of the real ones, and nobody takes one for
    the other.

    Args:
        folder: Where both go; a file that is there from an earlier call is replaced only if it would differ.

    Returns:
        The path of `terraform.rc`, for TF_CLI_CONFIG_FILE.
    """
    folder = folder.resolve()
    mirror, certificate = folder / "mirror", folder / "provider.pem"
    folder.mkdir(parents=True, exist_ok=True)
    if not certificate.exists():
        write_certificate(certificate)
    for name, (source, version) in PROVIDERS.items():
        program = mirror / HOST / source / version / _platform() / f"terraform-provider-{name}_v{version}"
        _write(program, _script(name, certificate), mode=0o755)
    configuration = folder / "terraform.rc"
    _write(configuration, _configuration(mirror), mode=0o644)
    return configuration


def _write(path: Path, text: str, *, mode: int) -> None:
    """Replace a file in one step: a Terraform that runs now has it open or links to it."""
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.chmod(mode)
    new.replace(path)


def _platform() -> str:
    machine = platform.machine().lower()
    return f"{platform.system().lower()}_{_MACHINES.get(machine, machine)}"


def _script(name: str, certificate: Path) -> str:
    # -P keeps Terraform's working directory, where the user's files are, out of the import path.
    command = shlex.join([sys.executable, "-P", "-m", "mlp_helpers.sandbox.terraform", name, str(certificate)])
    return f"#!/bin/sh\nexec {command}\n"


def _configuration(mirror: Path) -> str:
    quoted = str(mirror).replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${").replace("%{", "%%{")
    return f"""\
# Written by the sandbox. Terraform finds the stand-in providers here, and everything else where it always does.
disable_checkpoint = true

provider_installation {{
  filesystem_mirror {{
    path    = "{quoted}"
    include = [{", ".join(f'"{source}"' for source, _ in PROVIDERS.values())}]
  }}
  direct {{
    exclude = [{", ".join(f'"{source}"' for source, _ in PROVIDERS.values())}]
  }}
}}
"""
