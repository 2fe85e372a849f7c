"""What the cells of built-in kinds' tables show, one function per kind of cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlp_helpers.sandbox.kubernetes.ages import age
from mlp_helpers.sandbox.kubernetes.jsonpath import find
from mlp_helpers.sandbox.kubernetes.selectors import format_selector

Object = dict[str, Any]
Cell = Callable[[Object], Any]
_LISTED = 3  # of hosts, endpoints and the like, before "+ 2 more..."
_ACCESS_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def at(path: str, missing: Any = "<none>") -> Cell:
    """The value at a path."""
    return lambda obj: missing if (found := find(obj, path)) in (None, "") else found


def text(path: str, missing: str) -> Cell:
    """The value at a path as text, so that 1 is shown as "1"."""
    return lambda obj: missing if (found := find(obj, path)) is None else str(found)


def since(path: str, missing: str = "<unknown>") -> Cell:
    """How long ago the time at a path was."""
    return lambda obj: age(found) if (found := find(obj, path)) else missing


def count(*paths: str) -> Cell:
    """How many entries the lists or maps at the paths have together."""
    return lambda obj: sum(len(find(obj, path) or ()) for path in paths)


def labels(path: str) -> Cell:
    """A map of labels."""
    return lambda obj: ",".join(f"{key}={value}" for key, value in sorted((find(obj, path) or {}).items())) or "<none>"


def selector(path: str) -> Cell:
    """A label selector."""
    return lambda obj: format_selector(find(obj, path))


def containers(path: str, field: str) -> Cell:
    """Names or images of the containers of a pod template."""
    return lambda obj: ",".join(one.get(field, "") for one in find(obj, path) or ())


def ratio(ready: str, wanted: str) -> Cell:
    """Ready of wanted."""
    return lambda obj: f"{find(obj, ready) or 0}/{find(obj, wanted) or 0}"


def some(values: Iterable[str], *, missing: str = "<none>") -> str:
    """The first few, and how many more."""
    listed = list(values)
    shown = ",".join(listed[:_LISTED])
    return f"{shown} + {len(listed) - _LISTED} more..." if len(listed) > _LISTED else shown or missing


def condition(obj: Object, kind: str) -> Object:
    """The condition of that type, or an empty one."""
    conditions: list[Object] = find(obj, ".status.conditions") or []
    return next((one for one in conditions if one.get("type") == kind), {})


def terminating_or(path: str) -> Cell:
    """The phase, or Terminating for an object that is being deleted."""
    return lambda obj: "Terminating" if obj["metadata"].get("deletionTimestamp") else find(obj, path) or ""


def subjects(kind: str) -> Cell:
    """The names of a binding's subjects of one kind."""

    def show(obj: Object) -> str:
        chosen = [one for one in obj.get("subjects") or () if one.get("kind") == kind]
        prefix = [f"{one.get('namespace', '')}/" if kind == "ServiceAccount" else "" for one in chosen]
        return ", ".join(before + one["name"] for before, one in zip(prefix, chosen, strict=True))

    return show


def role_reference(obj: Object) -> str:
    """Kind and name of a binding's role."""
    return f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"


def access_modes(path: str) -> Cell:
    """Access modes of a volume, shortened."""
    return lambda obj: ",".join(_ACCESS_MODES.get(mode, mode) for mode in find(obj, path) or ())


def if_bound(path_or_cell: str | Cell) -> Cell:
    """What a claim has only once it is bound to a volume."""
    cell = at(path_or_cell, "") if isinstance(path_or_cell, str) else path_or_cell
    return lambda obj: cell(obj) if find(obj, ".spec.volumeName") else ""


def claim_reference(obj: Object) -> str:
    """Namespace and name of the claim that a volume is bound to."""
    claim = find(obj, ".spec.claimRef") or {}
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


def job_status(obj: Object) -> str:
    """One word for the state of a job."""
    for kind, shown in (("Complete", "Complete"), ("Failed", "Failed")):
        if condition(obj, kind).get("status") == "True":
            return shown
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    kinds = ("Suspended", "FailureTarget", "SuccessCriteriaMet")
    return next((kind for kind in kinds if condition(obj, kind).get("status") == "True"), "Running")


def job_completions(obj: Object) -> str:
    """How many of the wanted pods have succeeded."""
    done, wanted = find(obj, ".status.succeeded") or 0, find(obj, ".spec.completions")
    if wanted is not None:
        return f"{done}/{wanted}"
    parallelism = find(obj, ".spec.parallelism") or 0
    return f"{done}/1 of {parallelism}" if parallelism > 1 else f"{done}/1"


def service_external_ip(obj: Object) -> str:
    """The addresses by which a service is reached from outside."""
    spec = obj.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    given = list(spec.get("externalIPs") or ())
    if spec.get("type") != "LoadBalancer":
        return ",".join(given) or "<none>"
    ingress = [one.get("ip") or one.get("hostname", "") for one in find(obj, ".status.loadBalancer.ingress") or ()]
    return ",".join([*ingress, *given]) or "<pending>"


def service_ports(obj: Object) -> str:
    """Ports, node ports and protocols of a service."""
    shown = []
    for port in find(obj, ".spec.ports") or ():
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node_port}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or "<none>"


def endpoints(obj: Object) -> str:
    """Addresses with ports of an Endpoints object."""
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    return some(found)


def slice_endpoints(obj: Object) -> str:
    """Addresses of an EndpointSlice."""
    return some((one for each in obj.get("endpoints") or () for one in each.get("addresses") or ()), missing="<unset>")


def slice_ports(obj: Object) -> str:
    """Ports of an EndpointSlice."""
    shown = [
        str(port["port"]) if port.get("port") is not None else port.get("name", "*") for port in obj.get("ports") or ()
    ]
    return some(shown, missing="<unset>")


def ingress_hosts(obj: Object) -> str:
    """Hosts of an Ingress' rules."""
    return some((rule["host"] for rule in find(obj, ".spec.rules") or () if rule.get("host")), missing="*")


def ingress_address(obj: Object) -> str:
    """Where an Ingress is reached."""
    return ",".join(one.get("ip") or one.get("hostname", "") for one in find(obj, ".status.loadBalancer.ingress") or ())


def ingress_ports(obj: Object) -> str:
    """Ports that an Ingress opens."""
    return "80, 443" if find(obj, ".spec.tls") else "80"


def node_status(obj: Object) -> str:
    """Readiness of a node and whether pods may be scheduled on it."""
    ready = condition(obj, "Ready")
    states = [("Ready" if ready.get("status") == "True" else "NotReady") if ready else "Unknown"]
    if find(obj, ".spec.unschedulable"):
        states.append("SchedulingDisabled")
    return ",".join(states)


def node_roles(obj: Object) -> str:
    """Roles that a node's labels give it."""
    prefix, roles = "node-role.kubernetes.io/", set()
    for key, value in (obj["metadata"].get("labels") or {}).items():
        if key.startswith(prefix) and key != prefix:
            roles.add(key.removeprefix(prefix))
        elif key == "kubernetes.io/role" and value:
            roles.add(value)
    return ",".join(sorted(roles)) or "<none>"


def node_address(kind: str) -> Cell:
    """The node's first address of a kind."""
    return lambda obj: next(
        (one["address"] for one in find(obj, ".status.addresses") or () if one.get("type") == kind), "<none>"
    )


def node_kernel(obj: Object) -> str:
    """Kernel version with the architecture."""
    info = find(obj, ".status.nodeInfo") or {}
    if not info.get("kernelVersion"):
        return "<unknown>"
    return (
        f"{info['kernelVersion']} ({info['architecture']})" if info.get("architecture") else str(info["kernelVersion"])
    )


def event_object(obj: Object) -> str:
    """What an event is about."""
    about = obj.get("involvedObject") or {}
    kind = about.get("kind", "").lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def event_source(obj: Object) -> str:
    """Who reported an event."""
    source = obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent", "")
    return f"{component}, {source['host']}" if source.get("host") else component


def event_first_seen(obj: Object) -> str:
    """How long ago it happened first."""
    return age(obj.get("firstTimestamp") or obj.get("eventTime"))


def event_last_seen(obj: Object) -> str:
    """How long ago it happened last."""
    series = (obj.get("series") or {}).get("lastObservedTime")
    return age(series or obj.get("lastTimestamp") or obj.get("firstTimestamp") or obj.get("eventTime"))


def event_count(obj: Object) -> int:
    """How often it happened."""
    return int((obj.get("series") or {}).get("count") or obj.get("count") or 1)


def autoscaler_reference(obj: Object) -> str:
    """What an autoscaler scales."""
    target = find(obj, ".spec.scaleTargetRef") or {}
    return f"{target.get('kind', '')}/{target.get('name', '')}"


def autoscaler_targets(obj: Object) -> str:
    """Each metric with its present and its wanted value."""
    current = {name: one for one in find(obj, ".status.currentMetrics") or () if (name := find(one, ".resource.name"))}
    shown = [_metric(metric, current) for metric in find(obj, ".spec.metrics") or ()]
    more = f" + {len(shown) - 2} more..." if len(shown) > 2 else ""
    return ", ".join(shown[:2]) + more if shown else "<none>"


def _metric(metric: Object, current: Mapping[str, Object]) -> str:
    if metric.get("type") != "Resource":
        return f"<unknown>/{find(metric, '.*.target.averageValue') or find(metric, '.*.target.value') or '<auto>'}"
    name, target = metric["resource"]["name"], metric["resource"].get("target") or {}
    present = find(current.get(name), ".resource.current") or {}
    if target.get("averageValue"):
        return f"{name}: {present.get('averageValue', '<unknown>')}/{target['averageValue']}"
    used = present.get("averageUtilization")
    wanted = target.get("averageUtilization")
    return f"{name}: {'<unknown>' if used is None else f'{used}%'}/{'<auto>' if wanted is None else f'{wanted}%'}"


def quota(*, limits: bool) -> Cell:
    """Used of hard for each resource of a quota: those that are limits, or the others."""

    def show(obj: Object) -> str:
        hard, used = find(obj, ".status.hard") or {}, find(obj, ".status.used") or {}
        chosen = [name for name in sorted(hard) if name.startswith("limits") == limits]
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in chosen)

    return show


def storage_class_name(obj: Object) -> str:
    """Name of a storage class, marked if it is the default."""
    marks = obj["metadata"].get("annotations") or {}
    is_default = marks.get("storageclass.kubernetes.io/is-default-class") == "true"
    return f"{obj['metadata']['name']} (default)" if is_default else str(obj["metadata"]["name"])


def controller_reference(obj: Object) -> str:
    """The owner that controls an object."""
    for owner in obj["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            group = owner["apiVersion"].rpartition("/")[0]
            kind = owner["kind"].lower()
            return f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"
    return "<none>"


def parameter_kind(obj: Object) -> str:
    """The kind of parameters that an admission policy takes."""
    kind = find(obj, ".spec.paramKind")
    return f"{kind['apiVersion']}/{kind['kind']}" if kind else "<unset>"


def parameter_reference(obj: Object) -> str:
    """The parameters that a policy binding gives."""
    reference = find(obj, ".spec.paramRef")
    if not reference:
        return "<unset>"
    if reference.get("name"):
        return f"{reference['namespace']}/{reference['name']}" if reference.get("namespace") else str(reference["name"])
    return format_selector(reference.get("selector"))
