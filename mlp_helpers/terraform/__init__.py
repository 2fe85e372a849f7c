"""Run Terraform as a typed step: initialise, plan, apply, destroy, with progress, interruption and errors that help.

It knows nothing of worlds: addresses and credentials come in through `environment` and `backend`.
"""

from __future__ import annotations

from mlp_helpers.terraform.diagnostics import Diagnostic
from mlp_helpers.terraform.engine import Engine, find_engine
from mlp_helpers.terraform.locks import StateLock, StateLockedError
from mlp_helpers.terraform.outputs import Outputs
from mlp_helpers.terraform.plan import AttributeChange, Plan, ResourceChange
from mlp_helpers.terraform.root import Terraform

__all__ = [
    "AttributeChange",
    "Diagnostic",
    "Engine",
    "Outputs",
    "Plan",
    "ResourceChange",
    "StateLock",
    "StateLockedError",
    "Terraform",
    "find_engine",
]
