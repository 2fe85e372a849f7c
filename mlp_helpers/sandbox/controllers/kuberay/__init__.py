"""The KubeRay operator: turns RayClusters and RayJobs into pods, services and jobs."""

from mlp_helpers.sandbox.controllers.kuberay import operator
from mlp_helpers.sandbox.controllers.kuberay.chart import IMAGE
from mlp_helpers.sandbox.node.runtimes import Builtin

__all__ = ["BUILTINS"]

BUILTINS = {IMAGE: Builtin(operator.run)}
"""What runs for an image, by the image's name."""
