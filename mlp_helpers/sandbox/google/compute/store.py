"""Networks and what belongs to them: who may exist, who is in use by whom."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from mlp_helpers.sandbox.google.compute import errors, rules
from mlp_helpers.sandbox.google.compute.rules import LINK, Json, relative
from mlp_helpers.sandbox.google.documents import Documents


@dataclass(frozen=True)
class Kind:
    """A kind of resource.

    Args:
        plural: Its collection in paths.
        singular: Its name in messages and in `kind`.
        complete: Checks a new resource and fills in defaults.
        has_fingerprint: Whether changes must quote a fingerprint.
    """

    plural: str
    singular: str
    complete: Callable[[Json], Json] = rules.as_is
    has_fingerprint: bool = False


KINDS: Mapping[str, Kind] = {
    kind.plural: kind
    for kind in (
        Kind("networks", "network", rules.new_network),
        Kind("subnetworks", "subnetwork", rules.new_subnetwork, has_fingerprint=True),
        Kind("routers", "router", rules.new_router),
        Kind("addresses", "address", rules.new_address),
        Kind("firewalls", "firewall", rules.new_firewall),
        Kind("networkEndpointGroups", "networkEndpointGroup"),
        Kind("forwardingRules", "forwardingRule"),
        Kind("instances", "instance"),
        Kind("disks", "disk"),
        Kind("reservations", "reservation"),
    )
}

UsersOf = Callable[[str], Iterable[str]]
"""Names what outside Compute Engine uses a resource (a cluster its subnetwork)."""

_COLLECTION = "compute"


class ComputeStore:
    """Compute resources by path, such as `projects/P/regions/R/subnetworks/S`."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.users_of: list[UsersOf] = []

    def find(self, path: str) -> Json | None:
        """A resource, or None."""
        return self._documents.get(_COLLECTION, relative(path))

    def get(self, path: str) -> Json:
        """A resource as the API shows it."""
        found = self.find(path)
        if found is None:
            raise errors.not_found(path)
        return self._shown(path, found)

    def _shown(self, path: str, resource: Json) -> Json:
        if "/networks/" in path:
            links = sorted(subnetwork["selfLink"] for subnetwork in self._in_network(path, "subnetworks"))
            return {**resource, "subnetworks": links} if links else resource
        return resource

    def within_scope(self, project: str, scope: str, plural: str) -> list[Json]:
        """The resources of a kind in a scope, `global`, `regions/R`, `zones/Z`."""
        prefix = f"projects/{project}/{scope}/{plural}/"
        return [self._shown(path, resource) for path, resource in self._documents.list(_COLLECTION, prefix)]

    def everywhere(self, project: str, plural: str) -> Iterator[tuple[str, Json]]:
        """The resources of a kind in all scopes, each with its scope."""
        prefix = f"projects/{project}/"
        for path, resource in self._documents.list(_COLLECTION, prefix):
            scope, _, rest = path[len(prefix) :].partition(f"/{plural}/")
            if rest:
                yield scope, resource

    def _in_network(self, network: str, plural: str) -> list[Json]:
        project = network.split("/")[1]
        every = self.everywhere(project, plural)
        return [resource for _, resource in every if relative(str(resource.get("network", ""))) == relative(network)]

    def check_new(self, project: str, scope: str, kind: Kind, body: Json) -> Json:
        """A new resource, complete and checked against what there is."""
        name = str(body.get("name") or "")
        rules.check_name(name)
        path = f"projects/{project}/{scope}/{kind.plural}/{name}"
        if self.find(path):
            raise errors.already_exists(path)
        resource = kind.complete(body)
        network = resource.get("network")
        if network and self.find(network) is None:
            raise errors.not_found(relative(network))
        if kind.plural == "subnetworks":
            rules.check_overlap(resource, self._in_network(relative(network or ""), "subnetworks"))
        return {**resource, **_identity(path, scope, kind)}

    def write(self, path: str, resource: Json) -> None:
        """Write a resource, with the fingerprint of its content."""
        kind = KINDS[path.split("/")[-2]]
        if kind.has_fingerprint:
            resource = {**resource, "fingerprint": rules.fingerprint(resource)}
        self._documents.put(_COLLECTION, path, resource)

    def change(self, path: str, patch: Mapping[str, object], *, replace: bool = False) -> Json:
        """The resource as a PATCH (or PUT) leaves it; it is not written yet."""
        current = self.get(path)
        kind = KINDS[path.split("/")[-2]]
        if kind.has_fingerprint and patch.get("fingerprint") != current.get("fingerprint"):
            raise errors.fingerprint_stale()
        fixed = {key: current[key] for key in _IDENTITY_FIELDS if key in current}
        changed = {
            **({} if replace else current),
            **{key: value for key, value in patch.items() if value is not None},
            **fixed,
        }
        changed.pop("subnetworks", None)
        if kind.plural == "routers":
            return rules.with_nats(changed)
        if kind.plural == "subnetworks":
            self._check_ranges(path, current, changed)
            return rules.with_flow_logs(changed)
        return changed

    def _check_ranges(self, path: str, current: Json, changed: Json) -> None:
        rules.check_disjoint(
            rules.parse_range("ipCidrRange", changed["ipCidrRange"]), changed.get("secondaryIpRanges") or ()
        )
        others = [
            other
            for other in self._in_network(relative(changed["network"]), "subnetworks")
            if relative(other["selfLink"]) != path
        ]
        rules.check_overlap(changed, others)
        if not set(rules.ranges_of(current)) <= set(rules.ranges_of(changed)):
            self._check_unused(path, "subnetwork")

    def check_delete(self, path: str) -> None:
        """Refuse to delete what something else uses."""
        self.get(path)
        kind = KINDS[path.split("/")[-2]]
        if kind.plural == "networks":
            for plural in ("subnetworks", "routers", "firewalls"):
                for user in self._in_network(path, plural):
                    raise errors.in_use(kind.singular, path, relative(user["selfLink"]))
        self._check_unused(path, kind.singular)

    def _check_unused(self, path: str, singular: str) -> None:
        for users_of in self.users_of:
            for user in users_of(path):
                raise errors.in_use(singular, path, user)

    def delete(self, path: str) -> None:
        """Remove a resource."""
        self._documents.delete(_COLLECTION, path)


_IDENTITY_FIELDS = (
    "kind",
    "id",
    "name",
    "selfLink",
    "selfLinkWithId",
    "creationTimestamp",
    "region",
    "zone",
    "network",
)


def _identity(path: str, scope: str, kind: Kind) -> Json:
    place, _, location = scope.partition("/")
    number = str(secrets.randbelow(10**18) + 10**18)
    identity: Json = {
        "kind": f"compute#{kind.singular}",
        "id": number,
        "creationTimestamp": time.strftime("%Y-%m-%dT%H:%M:%S.000-00:00", time.gmtime()),
        "selfLink": LINK + path,
        "selfLinkWithId": f"{LINK}{path.rpartition('/')[0]}/{number}",
    }
    if location:
        identity[place.removesuffix("s")] = f"{LINK}projects/{path.split('/')[1]}/{scope}"
    return identity
