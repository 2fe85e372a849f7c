"""What a server fills into pods and pod templates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["containers_of", "default_pod", "default_pod_spec", "default_volume_claim"]

Object = dict[str, Any]

_MODE = 0o644


def containers_of(spec: Object) -> Iterator[tuple[str, int, Object]]:
    """Every container with the field that lists it and its place there."""
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for number, container in enumerate(spec.get(field) or ()):
            yield field, number, container


def default_pod(pod: Object) -> None:
    """Defaults of a pod, beyond those of a template."""
    spec = pod.setdefault("spec", {})
    default_pod_spec(spec)
    spec.setdefault("enableServiceLinks", True)
    for _, _, container in containers_of(spec):
        resources = container.get("resources") or {}
        for name, amount in (resources.get("limits") or {}).items():
            resources.setdefault("requests", {}).setdefault(name, amount)


def default_pod_spec(spec: Object) -> None:
    """Defaults of the spec of a pod or a pod template."""
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    if spec.get("serviceAccountName"):
        spec.setdefault("serviceAccount", spec["serviceAccountName"])
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for _, _, container in containers_of(spec):
        _default_container(container, host_network=bool(spec.get("hostNetwork")))
    for volume in spec.get("volumes") or ():
        _default_volume(volume)


def _default_container(container: Object, *, host_network: bool) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    if not container.get("imagePullPolicy"):
        container["imagePullPolicy"] = _pull_policy(container.get("image", ""))
    for port in container.get("ports") or ():
        port.setdefault("protocol", "TCP")
        if host_network and port.get("containerPort"):
            port.setdefault("hostPort", port["containerPort"])
    _default_field_references(variable.get("valueFrom") for variable in container.get("env") or ())
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe:
            _default_probe(probe)
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _default_http(hook)


def _pull_policy(image: str) -> str:
    """Images without a tag or a digest, and those tagged latest, are always pulled."""
    if "@" in image:
        return "IfNotPresent"
    _, colon, tag = image.rpartition("/")[2].partition(":")
    return "IfNotPresent" if colon and tag != "latest" else "Always"


def _default_probe(probe: Object) -> None:
    for name, value in (("timeoutSeconds", 1), ("periodSeconds", 10), ("successThreshold", 1), ("failureThreshold", 3)):
        if not probe.get(name):
            probe[name] = value
    if probe.get("grpc"):
        probe["grpc"].setdefault("service", "")
    _default_http(probe)


def _default_http(handler: Object) -> None:
    request = handler.get("httpGet")
    if request:
        request.setdefault("path", "/")
        request.setdefault("scheme", "HTTP")


def _default_field_references(sources: Iterable[Object | None]) -> None:
    for source in sources:
        if source and source.get("fieldRef"):
            source["fieldRef"].setdefault("apiVersion", "v1")


def _default_volume(volume: Object) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}
    for name in ("configMap", "secret", "downwardAPI", "projected"):
        if isinstance(volume.get(name), dict):
            volume[name].setdefault("defaultMode", _MODE)
    _default_field_references((volume.get("downwardAPI") or {}).get("items") or ())
    for source in (volume.get("projected") or {}).get("sources") or ():
        _default_field_references((source.get("downwardAPI") or {}).get("items") or ())
        if source.get("serviceAccountToken"):
            source["serviceAccountToken"].setdefault("expirationSeconds", 3600)
    if volume.get("hostPath"):
        volume["hostPath"].setdefault("type", "")
    if volume.get("ephemeral"):
        default_volume_claim(volume["ephemeral"].setdefault("volumeClaimTemplate", {}))


def default_volume_claim(claim: Object) -> None:
    """Defaults of a volume claim or a template of one."""
    claim.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
