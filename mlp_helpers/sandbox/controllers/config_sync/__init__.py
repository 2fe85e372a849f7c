"""Config Sync: keeps a cluster as a Git repository says. Controllers that hold a kubeconfig and nothing else."""

from mlp_helpers.sandbox.controllers.config_sync import manager, reconciler
from mlp_helpers.sandbox.controllers.config_sync.deployments import MANAGER_IMAGE, RECONCILER_IMAGE
from mlp_helpers.sandbox.node.runtimes import Builtin

__all__ = ["BUILTINS"]

BUILTINS = {MANAGER_IMAGE: Builtin(manager.run), RECONCILER_IMAGE: Builtin(reconciler.run)}
"""What runs for an image, by the image's name."""
