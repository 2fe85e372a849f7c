"""The Pod Security Standards `baseline` and `restricted`: what of a pod's spec violates them, in the upstream words.

Source: Pod Security Standards, Kubernetes documentation; the checks run in the order of their upstream names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mlp_helpers.sandbox.kubernetes.pod_defaults import containers_of

__all__ = ["LEVELS", "Violation", "violations"]

Object = dict[str, Any]

LEVELS = ("privileged", "baseline", "restricted")
_DEFAULT_CAPABILITIES = (
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
    *("SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
_UNRESTRICTED_VOLUMES = frozenset(
    (
        *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image"),
        *("persistentVolumeClaim", "projected", "secret"),
    )
)
_SAFE_SYSCTLS = (
    "kernel.shm_rmid_forced",
    *(f"net.ipv4.ip_{name}" for name in ("local_port_range", "local_reserved_ports", "unprivileged_port_start")),
    *(f"net.ipv4.tcp_{name}" for name in ("fin_timeout", "rmem", "syncookies", "wmem")),
    *(f"net.ipv4.tcp_keepalive_{name}" for name in ("intvl", "probes", "time")),
    "net.ipv4.ping_group_range",
)
_SELINUX_TYPES = ("", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_SECCOMP = ("RuntimeDefault", "Localhost")


@dataclass(frozen=True)
class Violation:
    """What is violated, and by what in the pod."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.detail})" if self.detail else self.reason


def violations(level: str, spec: Object, annotations: Object | None = None) -> list[Violation]:
    """Everything by which a pod's spec violates a level."""
    if level == "privileged":
        return []
    checks = _RESTRICTED if level == "restricted" else _BASELINE
    return [found for check in checks if (found := check(spec, annotations or {}))]


def _context(thing: Object) -> Object:
    context: Object = thing.get("securityContext") or {}
    return context


def _containers(spec: Object) -> Iterator[Object]:
    return (one for _, _, one in containers_of(spec))


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f'"{value}"' for value in values)


def _named(names: Sequence[str], noun: str = "container") -> str:
    return f"{noun if len(names) == 1 else noun + 's'} {_quoted(names)}"


def _sinners(spec: Object, sins: Callable[[Object], bool]) -> list[str]:
    return [one["name"] for one in _containers(spec) if sins(one)]


def _allow_privilege_escalation(spec: Object, _: Object) -> Violation | None:
    bad = _sinners(spec, lambda one: _context(one).get("allowPrivilegeEscalation") is not False)
    if not bad:
        return None
    return Violation(
        "allowPrivilegeEscalation != false", f"{_named(bad)} must set securityContext.allowPrivilegeEscalation=false"
    )


def _app_armor(spec: Object, annotations: Object) -> Violation | None:
    prefix = "container.apparmor.security.beta.kubernetes.io/"
    bad = [
        f'{key}="{value}"'
        for key, value in sorted(annotations.items())
        if key.startswith(prefix) and value not in ("", "runtime/default") and not value.startswith("localhost/")
    ]
    for name, context in (("pod", _context(spec)), *((one["name"], _context(one)) for one in _containers(spec))):
        if (context.get("appArmorProfile") or {}).get("type") == "Unconfined":
            where = "pod" if name == "pod" else f'container "{name}"'
            bad.append(f'{where} must not set AppArmor profile type to "Unconfined"')
    noun = "profile" if len(bad) == 1 else "profiles"
    return Violation(f"forbidden AppArmor {noun}", ", ".join(bad)) if bad else None


def _added(spec: Object, allowed: Iterable[str]) -> tuple[list[str], list[str]]:
    """Containers that add other capabilities, and those capabilities."""
    sinners, capabilities = [], set()
    for one in _containers(spec):
        extra = set((_context(one).get("capabilities") or {}).get("add") or ()) - set(allowed)
        if extra:
            sinners.append(one["name"])
            capabilities |= extra
    return sinners, sorted(capabilities)


def _must_not_add(sinners: Sequence[str], capabilities: Sequence[str]) -> str:
    return f"{_named(sinners)} must not include {_quoted(capabilities)} in securityContext.capabilities.add"


def _capabilities_baseline(spec: Object, _: Object) -> Violation | None:
    sinners, capabilities = _added(spec, _DEFAULT_CAPABILITIES)
    return Violation("non-default capabilities", _must_not_add(sinners, capabilities)) if sinners else None


def _capabilities_restricted(spec: Object, _: Object) -> Violation | None:
    keeping = _sinners(spec, lambda one: "ALL" not in ((_context(one).get("capabilities") or {}).get("drop") or ()))
    sinners, capabilities = _added(spec, ("NET_BIND_SERVICE",))
    details = [f'{_named(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if sinners:
        details.append(_must_not_add(sinners, capabilities))
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def _host_namespaces(spec: Object, _: Object) -> Violation | None:
    used = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
    return Violation("host namespaces", ", ".join(used)) if used else None


def _host_path_volumes(spec: Object, _: Object) -> Violation | None:
    bad = [one["name"] for one in spec.get("volumes") or () if one.get("hostPath")]
    return Violation("hostPath volumes", _named(bad, "volume")) if bad else None


def _host_ports(spec: Object, _: Object) -> Violation | None:
    sinners, ports = [], set()
    for one in _containers(spec):
        used = {port["hostPort"] for port in one.get("ports") or () if port.get("hostPort")}
        if used:
            sinners.append(one["name"])
            ports |= used
    if not sinners:
        return None
    verb, noun = "uses" if len(sinners) == 1 else "use", "hostPort" if len(ports) == 1 else "hostPorts"
    return Violation("hostPort", f"{_named(sinners)} {verb} {noun} {', '.join(str(port) for port in sorted(ports))}")


def _privileged(spec: Object, _: Object) -> Violation | None:
    bad = _sinners(spec, lambda one: bool(_context(one).get("privileged")))
    return Violation("privileged", f"{_named(bad)} must not set securityContext.privileged=true") if bad else None


def _proc_mount(spec: Object, _: Object) -> Violation | None:
    bad = _sinners(spec, lambda one: _context(one).get("procMount") not in (None, "", "Default"))
    if not bad:
        return None
    kinds = sorted({_context(one)["procMount"] for one in _containers(spec) if one["name"] in bad})
    return Violation("procMount", f"{_named(bad)} must not set securityContext.procMount to {_quoted(kinds)}")


def _restricted_volumes(spec: Object, _: Object) -> Violation | None:
    bad, kinds = [], set()
    for volume in spec.get("volumes") or ():
        used = {key for key in volume if key != "name"} - _UNRESTRICTED_VOLUMES
        if used:
            bad.append(volume["name"])
            kinds |= used
    if not bad:
        return None
    verb = "uses restricted volume type" if len(bad) == 1 else "use restricted volume types"
    return Violation("restricted volume types", f"{_named(bad, 'volume')} {verb} {_quoted(sorted(kinds))}")


def _run_as_non_root(spec: Object, _: Object) -> Violation | None:
    details = []
    pod_runs_as_root = _context(spec).get("runAsNonRoot") is False
    if pod_runs_as_root:
        details.append("pod must not set securityContext.runAsNonRoot=false")
    bad = _sinners(spec, lambda one: _context(one).get("runAsNonRoot") is False)
    if bad:
        details.append(f"{_named(bad)} must not set securityContext.runAsNonRoot=false")
    if not details and not _context(spec).get("runAsNonRoot"):
        unset = _sinners(spec, lambda one: _context(one).get("runAsNonRoot") is None)
        if unset:
            details.append(f"pod or {_named(unset)} must set securityContext.runAsNonRoot=true")
    return Violation("runAsNonRoot != true", "; ".join(details)) if details else None


def _run_as_user(spec: Object, _: Object) -> Violation | None:
    bad = _sinners(spec, lambda one: _context(one).get("runAsUser") == 0)
    details = ["pod must not set runAsUser=0"] if _context(spec).get("runAsUser") == 0 else []
    details += [f"{_named(bad)} must not set runAsUser=0"] if bad else []
    return Violation("runAsUser=0", "; ".join(details)) if details else None


def _selinux_options(spec: Object, _: Object) -> Violation | None:
    bad, settings = [], set()
    for name, context in ((None, _context(spec)), *((one["name"], _context(one)) for one in _containers(spec))):
        options = context.get("seLinuxOptions") or {}
        found = {f'type "{options["type"]}"'} if options.get("type", "") not in _SELINUX_TYPES else set()
        found |= {f"{field} may not be set" for field in ("user", "role") if options.get(field)}
        if found:
            bad.append(name)
            settings |= found
    if not bad:
        return None
    names = [name for name in bad if name]
    who = " and ".join([*(["pod"] if None in bad else []), *([_named(names)] if names else [])])
    verb = "sets" if len(bad) == 1 else "set"
    forms = "; ".join(sorted(settings))
    return Violation("seLinuxOptions", f"{who} {verb} forbidden securityContext.seLinuxOptions: {forms}")


def _profile(context: Object) -> str | None:
    profile = context.get("seccompProfile")
    return None if profile is None else str(profile.get("type", ""))


def _forbidden_profiles(spec: Object, allowed: Sequence[str]) -> list[str]:
    details = []
    if _profile(_context(spec)) not in (None, *allowed):
        details.append(f'pod must not set securityContext.seccompProfile.type to "{_profile(_context(spec))}"')
    bad = _sinners(spec, lambda one: _profile(_context(one)) not in (None, *allowed))
    if bad:
        kinds = sorted({str(_profile(_context(one))) for one in _containers(spec) if one["name"] in bad})
        details.append(f"{_named(bad)} must not set securityContext.seccompProfile.type to {_quoted(kinds)}")
    return details


def _seccomp_baseline(spec: Object, _: Object) -> Violation | None:
    details = _forbidden_profiles(spec, _SECCOMP)
    return Violation("seccompProfile", "; ".join(details)) if details else None


def _seccomp_restricted(spec: Object, _: Object) -> Violation | None:
    details = _forbidden_profiles(spec, _SECCOMP)
    if not details and _profile(_context(spec)) is None:
        unset = _sinners(spec, lambda one: _profile(_context(one)) is None)
        if unset:
            wanted = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
            details.append(f"pod or {_named(unset)} {wanted}")
    return Violation("seccompProfile", "; ".join(details)) if details else None


def _sysctls(spec: Object, _: Object) -> Violation | None:
    bad = [one["name"] for one in _context(spec).get("sysctls") or () if one["name"] not in _SAFE_SYSCTLS]
    return Violation("forbidden sysctls", ", ".join(bad)) if bad else None


def _windows_host_process(spec: Object, _: Object) -> Violation | None:
    def is_host(thing: Object) -> bool:
        return bool((_context(thing).get("windowsOptions") or {}).get("hostProcess"))

    bad = _sinners(spec, is_host)
    who = [*(["pod"] if is_host(spec) else []), *([_named(bad)] if bad else [])]
    wanted = "must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", f"{' and '.join(who)} {wanted}") if who else None


_Check = Callable[[Object, Object], Violation | None]
_BASELINE: tuple[_Check, ...] = (
    *(_app_armor, _capabilities_baseline, _host_namespaces, _host_path_volumes, _host_ports, _privileged),
    *(_proc_mount, _selinux_options, _seccomp_baseline, _sysctls, _windows_host_process),
)
_RESTRICTED: tuple[_Check, ...] = (
    *(_allow_privilege_escalation, _app_armor, _capabilities_restricted, _host_namespaces, _host_ports, _privileged),
    *(_proc_mount, _restricted_volumes, _run_as_non_root, _run_as_user, _selinux_options, _seccomp_restricted),
    *(_sysctls, _windows_host_process),
)
