"""What a new cluster contains before anyone has done anything: roles, bindings, priority classes.

The roles are those of a real cluster that people and this platform's controllers use; those of control plane parts
that the
sandbox does not have (schedulers, cloud controllers) are left out.
"""

from __future__ import annotations

from typing import Any

__all__ = ["initial_objects"]

Object = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_WRITE = ["create", "delete", "deletecollection", "patch", "update"]
_READ_WRITE = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]


def _rule(verbs: list[str], group: str, resources: str) -> Object:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs}


def _paths(paths: str) -> Object:
    return {"nonResourceURLs": paths.split(), "verbs": ["get"]}


_ADMIN = [
    _rule(["create"], "authorization.k8s.io", "localsubjectaccessreviews"),
    _rule(_READ_WRITE, _RBAC, "rolebindings roles"),
]
_EDIT = [
    _rule(_READ, "", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    _rule(["impersonate"], "", "serviceaccounts"),
    _rule(_WRITE, "", "pods pods/attach pods/exec pods/portforward pods/proxy"),
    _rule(["create"], "", "pods/eviction"),
    _rule(
        _WRITE,
        "",
        "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets"
        " serviceaccounts services services/proxy",
    ),
    _rule(["create"], "", "serviceaccounts/token"),
    _rule(
        _WRITE,
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets"
        " statefulsets/scale",
    ),
    _rule(_WRITE, "autoscaling", "horizontalpodautoscalers"),
    _rule(_WRITE, "batch", "cronjobs jobs"),
    _rule(_WRITE, "events.k8s.io", "events"),
    _rule(
        _WRITE,
        "extensions",
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets"
        " replicasets/scale replicationcontrollers/scale",
    ),
    _rule(_WRITE, "policy", "poddisruptionbudgets"),
    _rule(_WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    _rule(_READ_WRITE, "coordination.k8s.io", "leases"),
    _rule(_WRITE, "resource.k8s.io", "resourceclaims resourceclaimtemplates"),
]
_VIEW = [
    _rule(
        _READ,
        "",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers"
        " replicationcontrollers/scale serviceaccounts services services/status",
    ),
    _rule(
        _READ,
        "",
        "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status"
        " resourcequotas"
        " resourcequotas/status",
    ),
    _rule(_READ, "", "namespaces"),
    _rule(_READ, "discovery.k8s.io", "endpointslices"),
    _rule(
        _READ,
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets"
        " replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
    ),
    _rule(_READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    _rule(_READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    _rule(_READ, "events.k8s.io", "events"),
    _rule(
        _READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status"
        " networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
    ),
    _rule(_READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    _rule(_READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
    _rule(_READ, "resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates"),
]

_HEALTH = "/healthz /livez /readyz /version /version/"
_CLUSTER_ROLES: dict[str, list[Object]] = {
    "cluster-admin": [_rule(["*"], "*", "*"), {"nonResourceURLs": ["*"], "verbs": ["*"]}],
    "system:aggregate-to-admin": _ADMIN,
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-view": _VIEW,
    "system:auth-delegator": [
        _rule(["create"], "authentication.k8s.io", "tokenreviews"),
        _rule(["create"], "authorization.k8s.io", "subjectaccessreviews"),
    ],
    "system:basic-user": [
        _rule(["create"], "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        _rule(["create"], "authentication.k8s.io", "selfsubjectreviews"),
    ],
    "system:discovery": [
        _paths("/.well-known /.well-known/*"),
        _paths("/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"),
    ],
    "system:monitoring": [
        _paths("/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*"),
    ],
    "system:public-info-viewer": [_paths(_HEALTH)],
    "system:service-account-issuer-discovery": [_paths("/.well-known/openid-configuration /openid/v1/jwks")],
}
_AGGREGATED = {"admin": None, "edit": "admin", "view": "edit"}
_BINDINGS: dict[str, list[str]] = {
    "cluster-admin": ["system:masters"],
    "system:basic-user": ["system:authenticated"],
    "system:discovery": ["system:authenticated"],
    "system:monitoring": ["system:monitoring"],
    "system:public-info-viewer": ["system:authenticated", "system:unauthenticated"],
    "system:service-account-issuer-discovery": ["system:serviceaccounts"],
}


def _metadata(name: str, labels: dict[str, str] | None = None) -> Object:
    return {
        "name": name,
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults", **(labels or {})},
    }


def _cluster_roles() -> list[Object]:
    roles: list[Object] = []
    for name, rules in _CLUSTER_ROLES.items():
        target = name.removeprefix("system:aggregate-to-") if name.startswith("system:aggregate-to-") else None
        labels = {f"{_RBAC}/aggregate-to-{target}": "true"} if target else None
        roles.append({"metadata": _metadata(name, labels), "rules": rules})
    by_name = {str(role["metadata"]["name"]): role["rules"] for role in roles}
    gathered: list[Object] = []
    for name in ("view", "edit", "admin"):  # each contains the one before it
        own = by_name[f"system:aggregate-to-{name}"]
        gathered = [*gathered, *own] if name == "admin" else [*own, *gathered]
        into = _AGGREGATED[name]
        labels = {f"{_RBAC}/aggregate-to-{into}": "true"} if into else None
        selector = {"matchLabels": {f"{_RBAC}/aggregate-to-{name}": "true"}}
        roles.append(
            {
                "metadata": _metadata(name, labels),
                "aggregationRule": {"clusterRoleSelectors": [selector]},
                "rules": list(gathered),
            }
        )
    return [{"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", **role} for role in roles]


def _cluster_role_bindings() -> list[Object]:
    return [
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": _metadata(name),
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": group} for group in groups],
        }
        for name, groups in _BINDINGS.items()
    ]


def _priority_classes() -> list[Object]:
    described = {
        "system-cluster-critical": (
            2000000000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if"
            " necessary.",
        ),
        "system-node-critical": (
            2000001000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
    }
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": name},
            "value": value,
            "description": description,
            "preemptionPolicy": "PreemptLowerPriority",
        }
        for name, (value, description) in described.items()
    ]


def initial_objects() -> list[Object]:
    """Cluster-scoped objects that a server creates in an empty database, as request bodies."""
    return [*_cluster_roles(), *_cluster_role_bindings(), *_priority_classes()]
