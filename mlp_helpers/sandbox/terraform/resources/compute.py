"""Networks: google_compute_network, _subnetwork, _router, _router_nat and _firewall."""

from __future__ import annotations

from typing import Any, ClassVar

from mlp_helpers.sandbox.terraform.api import Json, Services, accepted
from mlp_helpers.sandbox.terraform.bodies import Shape, changed, from_body, to_body
from mlp_helpers.sandbox.terraform.errors import ApiError, ProviderError
from mlp_helpers.sandbox.terraform.resources.rest import RestResource
from mlp_helpers.sandbox.terraform.rules import (
    Rules,
    between,
    conflicts,
    is_cidr,
    matches,
    names_the_same,
    needs_one_of,
    one_of,
)
from mlp_helpers.sandbox.terraform.values import Values

NAME = matches(
    "name",
    r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
    "must start with a letter and hold at most 63 lower-case letters, digits and hyphens, no hyphen at the end",
)
_SERVICE = "/compute/v1"


class ComputeResource(RestResource):
    """What Compute's objects share: operations that live beside the objects, names and links."""

    service = _SERVICE

    def operation_path(self, operation: Json, values: Values) -> str:
        if operation.get("kind") != "compute#operation":
            return ""
        scope = f"regions/{operation['region'].rsplit('/', 1)[-1]}" if operation.get("region") else "global"
        return f"{_SERVICE}/projects/{values['project']}/{scope}/operations/{operation['name']}"

    def body(self, values: Values) -> Json:
        body = super().body(values)
        if "network" in body:
            body["network"] = full_name(body["network"], "global/networks", values)
        return body


def full_name(reference: str, collection: str, values: Values) -> str:
    """The relative name that a bare name, a relative name or a self link means."""
    if "projects/" in reference:
        return reference[reference.index("projects/") :]
    return f"projects/{values['project']}/{collection.format_map(values)}/{reference}"


class Network(ComputeResource):
    """google_compute_network."""

    collection = "projects/{project}/global/networks"
    shape = Shape(
        names={
            "routing_mode": "routingConfig.routingMode",
            "bgp_always_compare_med": "routingConfig.bgpAlwaysCompareMed",
            "bgp_best_path_selection_mode": "routingConfig.bgpBestPathSelectionMode",
            "bgp_inter_region_cost": "routingConfig.bgpInterRegionCost",
            "gateway_ipv4": "gatewayIPv4",
            "numeric_id": "id",
            "network_id": "id",
        },
        local=frozenset({"project", "delete_default_routes_on_create", "delete_bgp_always_compare_med", "params"}),
    )
    rules = Rules(
        immutable=frozenset(
            {
                "name",
                "project",
                "description",
                "auto_create_subnetworks",
                "mtu",
                "enable_ula_internal_ipv6",
                "internal_ipv6_range",
                "network_profile",
                "delete_default_routes_on_create",
                "params",
            }
        ),
        defaults={
            "auto_create_subnetworks": True,
            "delete_default_routes_on_create": False,
            "network_firewall_policy_enforcement_order": "AFTER_CLASSIC_FIREWALL",
        },
        from_provider=("project",),
        checks=(NAME, one_of("routing_mode", "REGIONAL", "GLOBAL")),
    )


class Subnetwork(ComputeResource):
    """google_compute_subnetwork."""

    collection = "projects/{project}/regions/{region}/subnetworks"
    import_formats = (
        "projects/{project}/regions/{region}/subnetworks/{name}",
        "{project}/{region}/{name}",
        "{region}/{name}",
        "{name}",
    )
    shape = Shape(
        names={"secondary_ip_range": "secondaryIpRanges", "log_config": "logConfig", "subnetwork_id": "id"},
        local=frozenset({"project", "send_secondary_ip_range_if_empty", "params"}),
        to_api={"log_config": lambda log: {"enable": True, **log}},
        from_api={
            "region": lambda link: link.rsplit("/", 1)[-1],
            "log_config": lambda log: log if log.get("enable") else None,
        },
    )
    rules = Rules(
        immutable=frozenset(
            {
                "name",
                "network",
                "region",
                "project",
                "description",
                "purpose",
                "reserved_internal_range",
                "external_ipv6_prefix",
                "ip_collection",
                "params",
            }
        ),
        defaults={
            "log_config.aggregation_interval": "INTERVAL_5_SEC",
            "log_config.flow_sampling": 0.5,
            "log_config.metadata": "INCLUDE_ALL_METADATA",
            "log_config.filter_expr": "true",
        },
        from_provider=("project", "region"),
        # Taking the block away leaves the ranges, unless send_secondary_ip_range_if_empty says otherwise.
        served=frozenset({"secondary_ip_range"}),
        renewed=frozenset({"fingerprint"}),
        equal={"network": names_the_same},
        checks=(
            NAME,
            is_cidr("ip_cidr_range"),
            is_cidr("secondary_ip_range.ip_cidr_range"),
            one_of("stack_type", "IPV4_ONLY", "IPV4_IPV6", "IPV6_ONLY"),
            one_of(
                "purpose",
                "PRIVATE",
                "REGIONAL_MANAGED_PROXY",
                "GLOBAL_MANAGED_PROXY",
                "PRIVATE_SERVICE_CONNECT",
                "PEER_MIGRATION",
                "PRIVATE_NAT",
            ),
            one_of("log_config.metadata", "EXCLUDE_ALL_METADATA", "INCLUDE_ALL_METADATA", "CUSTOM_METADATA"),
            needs_one_of("ip_cidr_range", "reserved_internal_range", "ip_collection"),
        ),
        replaces=lambda prior, planned: _shrinks(prior, planned),
    )

    def update(self, services: Services, prior: Values, values: Values) -> None:
        """Three calls, as the API has it: growing the range, private access, and the rest under a fingerprint."""
        fields = changed(self.body(prior), self.body(values))
        for name, action in (
            ("ipCidrRange", "expandIpCidrRange"),
            ("privateIpGoogleAccess", "setPrivateIpGoogleAccess"),
        ):
            if name in fields:
                call = {name: fields.pop(name)}
                operation = services.google.call("POST", f"{self.url(values)}/{action}", call)
                self.wait(services, operation, values, "update")
        if "logConfig" in fields and fields["logConfig"] is None:
            fields["logConfig"] = {"enable": False}
        if values.get("send_secondary_ip_range_if_empty") and not values.get("secondary_ip_range"):
            fields["secondaryIpRanges"] = []
        if fields:
            current = services.google.call("GET", self.url(values))
            self.patch(services, values, fields | {"fingerprint": current.get("fingerprint")})


def _shrinks(prior: Values, planned: Values) -> tuple[str, ...]:
    """A range can grow in place; anything else needs a new subnetwork."""
    import ipaddress

    old, new = prior.get("ip_cidr_range"), planned.get("ip_cidr_range")
    if not isinstance(old, str) or not isinstance(new, str) or old == new:
        return ()
    before, after = ipaddress.ip_network(old), ipaddress.ip_network(new)
    grows = before.version == after.version and before.subnet_of(after)  # type: ignore[arg-type]
    return () if grows else ("ip_cidr_range",)


class Router(ComputeResource):
    """google_compute_router."""

    collection = "projects/{project}/regions/{region}/routers"
    import_formats = (
        "projects/{project}/regions/{region}/routers/{name}",
        "{project}/{region}/{name}",
        "{region}/{name}",
        "{name}",
    )
    shape = Shape(
        names={"md5_authentication_keys": "md5AuthenticationKeys"},
        local=frozenset({"project", "params"}),
        from_api={"region": lambda link: link.rsplit("/", 1)[-1]},
    )
    rules = Rules(
        immutable=frozenset(
            {"name", "network", "region", "project", "encrypted_interconnect_router", "ncc_gateway", "params"}
        ),
        defaults={"bgp.advertise_mode": "DEFAULT", "bgp.keepalive_interval": 20},
        from_provider=("project", "region"),
        equal={"network": names_the_same},
        checks=(NAME, one_of("bgp.advertise_mode", "DEFAULT", "CUSTOM")),
    )


class RouterNat(ComputeResource):
    """google_compute_router_nat: no object of its own, but a member of its router."""

    collection = "projects/{project}/regions/{region}/routers"
    name_argument = "router"
    import_formats = (
        "projects/{project}/regions/{region}/routers/{router}/{name}",
        "{project}/{region}/{router}/{name}",
        "{region}/{router}/{name}",
        "{router}/{name}",
    )
    shape = Shape(
        names={"subnetwork": "subnetworks", "nat64_subnetwork": "nat64Subnetworks"},
        local=frozenset({"project", "region", "router", "initial_nat_ips"}),
    )
    rules = Rules(
        immutable=frozenset({"name", "router", "region", "project", "initial_nat_ips", "endpoint_types", "type"}),
        defaults={
            "icmp_idle_timeout_sec": 30,
            "tcp_established_idle_timeout_sec": 1200,
            "tcp_transitory_idle_timeout_sec": 30,
            "tcp_time_wait_timeout_sec": 120,
            "udp_idle_timeout_sec": 30,
            "type": "PUBLIC",
        },
        from_provider=("project", "region"),
        equal={"subnetwork.name": names_the_same},
        checks=(
            NAME,
            one_of("nat_ip_allocate_option", "MANUAL_ONLY", "AUTO_ONLY"),
            one_of(
                "source_subnetwork_ip_ranges_to_nat",
                "ALL_SUBNETWORKS_ALL_IP_RANGES",
                "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES",
                "LIST_OF_SUBNETWORKS",
            ),
            one_of("log_config.filter", "ERRORS_ONLY", "TRANSLATIONS_ONLY", "ALL"),
            one_of("type", "PUBLIC", "PRIVATE"),
        ),
    )

    def relative_name(self, values: Values) -> str:
        router = str(values["router"]).rsplit("/", 1)[-1]
        return f"{self.fill(self.collection, values)}/{router}"

    def identity(self, values: Values) -> Values:
        return {
            "id": self.fill("{project}/{region}/", values)
            + f"{str(values['router']).rsplit('/', 1)[-1]}/{values['name']}"
        }

    def create(self, services: Services, values: Values) -> Values:
        def add(nats: list[Json]) -> list[Json]:
            if any(nat["name"] == values["name"] for nat in nats):
                raise ProviderError(
                    f"Nat {values['name']} already exists", f"Router {values['router']} has one of this name."
                )
            return [*nats, self._nat(values)]

        with services.lock(self.relative_name(values)):
            operation = self._change(services, values, add)
            with accepted():
                self.wait(services, operation, values, "create")
        return self.identity(values)

    def read(self, services: Services, state: Values) -> Values | None:
        router = services.google.find(self.url(state))
        nat = next((nat for nat in (router or {}).get("nats", []) if nat["name"] == state["name"]), None)
        return None if nat is None else from_body(self.block, self.shape, nat, state) | {"id": state["id"]}

    def update(self, services: Services, prior: Values, values: Values) -> None:
        def put(nats: list[Json]) -> list[Json]:
            return [self._nat(values) if nat["name"] == values["name"] else nat for nat in nats]

        with services.lock(self.relative_name(values)):
            self.wait(services, self._change(services, values, put), values, "update")

    def delete(self, services: Services, state: Values) -> None:
        def drop(nats: list[Json]) -> list[Json]:
            return [nat for nat in nats if nat["name"] != state["name"]]

        with services.lock(self.relative_name(state)):
            try:
                operation = self._change(services, state, drop)
            except ApiError as error:
                if error.status == 404:
                    return
                raise
            self.wait(services, operation, state, "delete")

    def _nat(self, values: Values) -> Json:
        nat = to_body(self.block, self.shape, values)
        for subnetwork in nat.get("subnetworks", []):
            subnetwork["name"] = full_name(subnetwork["name"], "regions/{region}/subnetworks", values)
        return nat

    def _change(self, services: Services, values: Values, change: Any) -> Json:
        router = services.google.call("GET", self.url(values))
        return services.google.call("PATCH", self.url(values), {"nats": change(router.get("nats", []))})


class Firewall(ComputeResource):
    """google_compute_firewall."""

    collection = "projects/{project}/global/firewalls"
    _protocol: ClassVar = {"allow.protocol": "IPProtocol", "deny.protocol": "IPProtocol"}
    shape = Shape(
        names={"allow": "allowed", "deny": "denied", **_protocol},
        local=frozenset({"project", "enable_logging", "params"}),
        to_api={"log_config": lambda log: {"enable": True, **log}},
        from_api={"log_config": lambda log: log if log.get("enable") else None},
    )
    rules = Rules(
        immutable=frozenset({"name", "network", "project", "direction", "params"}),
        defaults={"priority": 1000, "direction": "INGRESS"},
        from_provider=("project",),
        equal={"network": names_the_same},
        checks=(
            NAME,
            between("priority", 0, 65535),
            one_of("direction", "INGRESS", "EGRESS"),
            one_of("log_config.metadata", "EXCLUDE_ALL_METADATA", "INCLUDE_ALL_METADATA"),
            is_cidr("source_ranges"),
            conflicts("allow", "deny"),
            needs_one_of("allow", "deny"),
            conflicts("source_ranges", "destination_ranges"),
        ),
    )
