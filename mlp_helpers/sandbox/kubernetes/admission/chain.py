"""The order in which a write is judged."""

from __future__ import annotations

from collections.abc import Collection

from mlp_helpers.sandbox.kubernetes import schema
from mlp_helpers.sandbox.kubernetes.admission import pods, quota
from mlp_helpers.sandbox.kubernetes.admission.lifecycle import check_namespace, check_protected
from mlp_helpers.sandbox.kubernetes.admission.limits import apply_limit_defaults, check_limits
from mlp_helpers.sandbox.kubernetes.admission.pod_security import check_pod_security
from mlp_helpers.sandbox.kubernetes.admission.policies import check_policies
from mlp_helpers.sandbox.kubernetes.admission.request import AdmissionRequest, Storage
from mlp_helpers.sandbox.kubernetes.kinds import Registry

__all__ = ["Admission"]

_CHANGING_PODS = ("ephemeralcontainers", "resize")  # what they may change of a pod is fixed outside of them
_WEBHOOKS = (
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
)


class Admission:
    """Judges writes.

    Args:
        storage: The cluster's objects.
        registry: Its kinds.
        disabled: Plugins that are not to run, by the names that kube-apiserver has for them; `ServiceAccount` is
        the one
            that a server without controllers must do without, for nobody creates the accounts.
    """

    def __init__(self, storage: Storage, registry: Registry, *, disabled: Collection[str] = ()) -> None:
        self._storage, self._registry = storage, registry
        self._disabled = frozenset(disabled)

    def mutate(self, request: AdmissionRequest) -> None:
        """Refuse what has no place, and fill in what the cluster gives.

        Raises:
            ApiError: 403 or 404.
        """
        check_namespace(request, self._storage)
        apply_limit_defaults(request, self._storage)
        if "ServiceAccount" not in self._disabled:
            pods.give_service_account(request, self._storage)
        pods.give_priority(request, self._storage)
        pods.give_tolerations(request)
        pods.protect_volumes(request)

    def validate(self, request: AdmissionRequest) -> list[str]:
        """Judge the object as it is to be; returns warnings for the client.

        Raises:
            ApiError: 403 or 422.
        """
        changes = request.operation == "UPDATE" and request.subresource not in _CHANGING_PODS
        if changes and request.obj is not None and request.old is not None:
            schema.validate_update(request.kind, request.old, request.obj)
        check_protected(request)
        check_limits(request, self._storage)
        warnings = check_pod_security(request, self._storage)
        warnings += check_policies(request, self._storage, self._registry)
        if request.kind.resource in _WEBHOOKS and request.operation != "DELETE":
            warnings.append("not emulated in the sandbox: admission webhooks are kept, but not called")
        if request.operation != "DELETE":
            quota.check_quota(request, self._storage, self._registry)
        return warnings

    def charge(self, request: AdmissionRequest) -> None:
        """Enter the write into the quotas' accounts, in its transaction.

        Raises:
            ApiError: 403 if another write has used up the quota in the meantime.
        """
        if request.dry_run:
            return
        quota.check_quota(request, self._storage, self._registry)
        quota.charge(request, self._storage, self._registry)

    def release(self, request: AdmissionRequest) -> None:
        """Take an object that is gone out of the quotas' accounts, in the transaction of its deletion."""
        gone = AdmissionRequest(
            "DELETE", request.kind, request.namespace, request.name, None, request.old or request.obj, request.user
        )
        quota.charge(gone, self._storage, self._registry)
