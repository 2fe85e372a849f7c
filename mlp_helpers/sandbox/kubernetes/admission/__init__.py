"""Admission: what the server changes in a write, and whether the cluster's rules allow it.

The order is a real server's: namespace, limits, service account, Pod Security, priority, tolerations, policies, and
the quota
last, so that nothing is charged that something else refuses.
"""

from mlp_helpers.sandbox.kubernetes.admission.chain import Admission
from mlp_helpers.sandbox.kubernetes.admission.request import AdmissionRequest, Storage

__all__ = ["Admission", "AdmissionRequest", "Storage"]
