"""The kinds that a cluster knows: the built-in ones, and those that its CustomResourceDefinitions add."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlp_helpers.sandbox.kubernetes.definitions import schema_of

__all__ = ["ALL_VERBS", "Kind", "Registry", "built_in_kinds"]

Object = dict[str, Any]

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind in one version.

    Args:
        group: API group, empty for the core one.
        version: API version.
        name: The kind, as objects name it.
        plural: The resource, as URLs name it.
        singular: What people may type instead.
        namespaced: Whether its objects live in namespaces.
        short_names: Abbreviations that kubectl accepts.
        categories: Groups of kinds (`kubectl get all`).
        subresources: Names of its subresources.
        verbs: What may be done with it.
        schema: OpenAPI schema; of a built-in kind with references, see `definitions.resolve`.
        columns: Printer columns of a custom kind.
        built_in: Whether Kubernetes itself has it.
        crd: The CustomResourceDefinition of a custom kind.
        deprecation: Warning of a deprecated version, or empty.
        storage_version: The version in which its objects are kept.
    """

    group: str
    version: str
    name: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    schema: Mapping[str, Any] = field(default_factory=dict, repr=False)
    columns: tuple[Object, ...] = field(default=(), repr=False)
    built_in: bool = True
    crd: Object | None = field(default=None, repr=False)
    deprecation: str = ""
    storage_version: str = ""

    @property
    def api_version(self) -> str:
        """As objects name it: `apps/v1`, `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def storage_api_version(self) -> str:
        """The apiVersion of the objects as they are kept."""
        version = self.storage_version or self.version
        return f"{self.group}/{version}" if self.group else version

    @property
    def resource(self) -> str:
        """As messages name it: `deployments.apps`, `pods`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def storage_key(self) -> str:
        """Where its objects are kept; events have two groups and one place."""
        return self.plural if self.group == "events.k8s.io" else self.resource

    @property
    def list_name(self) -> str:
        """The kind of its lists."""
        names = (self.crd or {}).get("spec", {}).get("names", {})
        return str(names.get("listKind") or f"{self.name}List")

    @property
    def gvk(self) -> dict[str, str]:
        """Group, version and kind as OpenAPI and discovery write them."""
        return {"group": self.group, "version": self.version, "kind": self.name}

    @property
    def path(self) -> str:
        """The URL of its objects, with parameters in braces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return root + ("/namespaces/{namespace}" if self.namespaced else "") + f"/{self.plural}"

    @property
    def stored(self) -> bool:
        """Whether its objects are kept; reviews are only answered."""
        return "get" in self.verbs

    def version_options(self) -> Object:
        """The entry of this version in its CustomResourceDefinition; empty for built-in kinds."""
        versions = (self.crd or {}).get("spec", {}).get("versions", ())
        return next((one for one in versions if one["name"] == self.version), {})


# apiVersion Kind plural scope short-names categories subresources; a dash is nothing. The order is that of discovery.
_TABLE = """
v1 Binding bindings ns - - -
v1 ComponentStatus componentstatuses cluster cs - -
v1 ConfigMap configmaps ns cm - -
v1 Endpoints endpoints ns ep - -
v1 Event events ns ev - -
v1 LimitRange limitranges ns limits - -
v1 Namespace namespaces cluster ns - finalize,status
v1 Node nodes cluster no - proxy,status
v1 PersistentVolumeClaim persistentvolumeclaims ns pvc - status
v1 PersistentVolume persistentvolumes cluster pv - status
v1 Pod pods ns po all attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status
v1 PodTemplate podtemplates ns - - -
v1 ReplicationController replicationcontrollers ns rc all scale,status
v1 ResourceQuota resourcequotas ns quota - status
v1 Secret secrets ns - - -
v1 ServiceAccount serviceaccounts ns sa - token
v1 Service services ns svc all proxy,status
apps/v1 ControllerRevision controllerrevisions ns - - -
apps/v1 DaemonSet daemonsets ns ds all status
apps/v1 Deployment deployments ns deploy all scale,status
apps/v1 ReplicaSet replicasets ns rs all scale,status
apps/v1 StatefulSet statefulsets ns sts all scale,status
events.k8s.io/v1 Event events ns ev - -
authentication.k8s.io/v1 SelfSubjectReview selfsubjectreviews cluster - - -
authentication.k8s.io/v1 TokenReview tokenreviews cluster - - -
authorization.k8s.io/v1 LocalSubjectAccessReview localsubjectaccessreviews ns - - -
authorization.k8s.io/v1 SelfSubjectAccessReview selfsubjectaccessreviews cluster - - -
authorization.k8s.io/v1 SelfSubjectRulesReview selfsubjectrulesreviews cluster - - -
authorization.k8s.io/v1 SubjectAccessReview subjectaccessreviews cluster - - -
autoscaling/v2 HorizontalPodAutoscaler horizontalpodautoscalers ns hpa all status
batch/v1 CronJob cronjobs ns cj all status
batch/v1 Job jobs ns - all status
networking.k8s.io/v1 IngressClass ingressclasses cluster - - -
networking.k8s.io/v1 Ingress ingresses ns ing - status
networking.k8s.io/v1 NetworkPolicy networkpolicies ns netpol - -
policy/v1 PodDisruptionBudget poddisruptionbudgets ns pdb - status
rbac.authorization.k8s.io/v1 ClusterRoleBinding clusterrolebindings cluster - - -
rbac.authorization.k8s.io/v1 ClusterRole clusterroles cluster - - -
rbac.authorization.k8s.io/v1 RoleBinding rolebindings ns - - -
rbac.authorization.k8s.io/v1 Role roles ns - - -
storage.k8s.io/v1 StorageClass storageclasses cluster sc - -
admissionregistration.k8s.io/v1 MutatingWebhookConfiguration mutatingwebhookconfigurations cluster - api -
admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy validatingadmissionpolicies cluster - api status
admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding validatingadmissionpolicybindings cluster - api -
admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration validatingwebhookconfigurations cluster - api -
apiextensions.k8s.io/v1 CustomResourceDefinition customresourcedefinitions cluster crd,crds api status
scheduling.k8s.io/v1 PriorityClass priorityclasses cluster pc - -
coordination.k8s.io/v1 Lease leases ns - - -
discovery.k8s.io/v1 EndpointSlice endpointslices ns - - -
"""


_DEPRECATED = {"Endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"}
_CATEGORIES = {"api": "api-extensions"}


def _names(text: str) -> tuple[str, ...]:
    return () if text == "-" else tuple(_CATEGORIES.get(name, name) for name in text.split(","))


def _verbs(name: str, group: str) -> tuple[str, ...]:
    if name == "Binding" or group.startswith("auth"):
        return ("create",) if not group.startswith("autoscaling") else ALL_VERBS
    if name == "ComponentStatus":
        return ("get", "list")
    if name == "Namespace":
        return tuple(verb for verb in ALL_VERBS if verb != "deletecollection")
    return ALL_VERBS


def built_in_kinds() -> Iterator[Kind]:
    """The kinds that every cluster has, in the order of discovery."""
    for line in _TABLE.strip().splitlines():
        api_version, name, plural, scope, short_names, categories, subresources = line.split()
        group, _, version = api_version.rpartition("/")
        yield Kind(
            group,
            version,
            name,
            plural,
            plural if name == "Endpoints" else name.lower(),
            scope == "ns",
            short_names=_names(short_names),
            categories=_names(categories),
            subresources=_names(subresources),
            verbs=_verbs(name, group),
            schema=schema_of(group, version, name),
            deprecation=_DEPRECATED.get(name, ""),
        )


def _custom_kinds(crd: Object) -> Iterator[Kind]:
    """The kinds of a CustomResourceDefinition, one per served version, the preferred one first."""
    spec = crd["spec"]
    names = spec["names"]
    storage = next((one["name"] for one in spec["versions"] if one.get("storage")), "")
    for version in sorted(spec["versions"], key=lambda one: _priority(one["name"]), reverse=True):
        if not version.get("served"):
            continue
        subresources = version.get("subresources") or {}
        api_version = f"{spec['group']}/{version['name']}"
        warning = version.get("deprecationWarning") or f"{api_version} {names['kind']} is deprecated"
        yield Kind(
            spec["group"],
            version["name"],
            names["kind"],
            names["plural"],
            names.get("singular") or names["kind"].lower(),
            spec["scope"] == "Namespaced",
            short_names=tuple(names.get("shortNames") or ()),
            categories=tuple(names.get("categories") or ()),
            subresources=tuple(name for name in ("status", "scale") if name in subresources),
            verbs=_CUSTOM_VERBS,
            schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
            columns=tuple(version.get("additionalPrinterColumns") or ()),
            built_in=False,
            crd=crd,
            deprecation=warning if version.get("deprecated") else "",
            storage_version=storage,
        )


def _priority(version: str) -> tuple[int, int, int]:
    """Kubernetes' order of versions: v2 before v1 before v1beta2 before v1alpha1; others come last."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if not found:
        return (-1, 0, 0)
    maturity = {None: 2, "beta": 1, "alpha": 0}[found[2]]
    return (maturity, int(found[1]), int(found[3] or 0))


class Registry:
    """The kinds of one cluster."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], Kind] = {
            (kind.group, kind.version, kind.plural): kind for kind in built_in_kinds()
        }

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind behind a URL."""
        return self._kinds.get((group, version, plural))

    def by_kind(self, group: str, version: str, kind: str) -> Kind | None:
        """The kind that an object names; an empty version means the preferred one."""
        for one in self._kinds.values():
            if one.group == group and one.name == kind and version in ("", one.version):
                return one
        return None

    def by_resource(self, resource: str) -> Kind | None:
        """The preferred version of `plural.group` or `plural`."""
        return next((one for one in self._kinds.values() if one.resource == resource), None)

    def all(self) -> list[Kind]:
        """Every kind in every version, in the order of discovery."""
        return list(self._kinds.values())

    def register(self, crd: Object) -> list[Kind]:
        """Serve what a CustomResourceDefinition says, from now on; replaces what an older one of that name said."""
        self.unregister(crd)
        kinds = list(_custom_kinds(crd))
        self._kinds.update({(kind.group, kind.version, kind.plural): kind for kind in kinds})
        return kinds

    def unregister(self, crd: Object) -> None:
        """Stop serving the kinds of a CustomResourceDefinition."""
        names = (crd["spec"]["group"], crd["spec"]["names"]["plural"])
        for key, kind in list(self._kinds.items()):
            if not kind.built_in and (kind.group, kind.plural) == names:
                del self._kinds[key]
