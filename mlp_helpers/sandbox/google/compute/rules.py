"""What Compute Engine checks and fills in, kind by kind; pure functions over resources."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from mlp_helpers.sandbox.google.compute import errors

Json = dict[str, Any]
Network = ipaddress.IPv4Network

_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
_SMALLEST_PREFIX, _LARGEST_PREFIX = 29, 4
LINK = "https://www.googleapis.com/compute/v1/"


def relative(link: str) -> str:
    """A resource's path `projects/…` from any way in which it is written."""
    return link[link.index("projects/") :] if "projects/" in link else link


def fingerprint(resource: Mapping[str, Any]) -> str:
    """What a change must quote, so that it changes what its author saw."""
    content = {key: value for key, value in resource.items() if key != "fingerprint"}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def check_name(name: str) -> None:
    """Refuse a name that is no DNS label."""
    if not _NAME.fullmatch(name):
        raise errors.invalid("resource.name", name, f"Must be a match of regex '(?:{_NAME.pattern})'")


def new_network(body: Json) -> Json:
    """A network with its defaults."""
    if "IPv4Range" in body:
        raise errors.invalid("resource.IPv4Range", body["IPv4Range"], "Legacy networks are not supported.")
    automatic = bool(body.get("autoCreateSubnetworks", False))
    if automatic:
        raise errors.invalid(
            "resource.autoCreateSubnetworks", True, "not emulated in the sandbox: automatic subnetworks"
        )
    return {
        "autoCreateSubnetworks": automatic,
        "mtu": 1460,
        "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
        **body,
        "routingConfig": {
            "routingMode": "REGIONAL",
            "bgpBestPathSelectionMode": "LEGACY",
            **body.get("routingConfig", {}),
        },
    }


def new_subnetwork(body: Json) -> Json:
    """A subnetwork with its defaults; its ranges are checked on their own."""
    if not body.get("network"):
        raise errors.required("resource.network")
    primary = parse_range("resource.ipCidrRange", str(body.get("ipCidrRange", "")))
    secondary = body.get("secondaryIpRanges") or []
    _check_secondary(secondary)
    check_disjoint(primary, secondary)
    subnetwork: Json = {
        "privateIpGoogleAccess": False,
        "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
        "purpose": "PRIVATE",
        "stackType": "IPV4_ONLY",
        **body,
        "network": LINK + relative(body["network"]),
        "gatewayAddress": str(primary.network_address + 1),
    }
    return with_flow_logs(subnetwork)


def with_flow_logs(subnetwork: Json) -> Json:
    """Both ways in which flow logs are said to be on."""
    logs = subnetwork.get("logConfig")
    on = bool(logs.get("enable")) if logs else bool(subnetwork.get("enableFlowLogs"))
    if logs or on:
        defaults = {"aggregationInterval": "INTERVAL_5_SEC", "flowSampling": 0.5, "metadata": "INCLUDE_ALL_METADATA"}
        subnetwork["logConfig"] = {**(defaults if on else {}), **(logs or {}), "enable": on}
    subnetwork["enableFlowLogs"] = on
    return subnetwork


def parse_range(field: str, text: str) -> Network:
    """A range of addresses, or the refusal of what is none."""
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise errors.invalid(field, text, f"Must be a valid CIDR address range: {error}.") from None
    if not isinstance(network, Network) or not _LARGEST_PREFIX <= network.prefixlen <= _SMALLEST_PREFIX:
        raise errors.invalid(field, text, f"The prefix must be between /{_LARGEST_PREFIX} and /{_SMALLEST_PREFIX}.")
    return network


def _check_secondary(ranges: Iterable[Mapping[str, str]]) -> None:
    names = [entry.get("rangeName", "") for entry in ranges]
    for name in names:
        check_name(name)
        if names.count(name) > 1:
            raise errors.invalid("resource.secondaryIpRanges.rangeName", name, "Range names must be unique.")


def check_disjoint(primary: Network, secondary: Iterable[Mapping[str, str]]) -> None:
    """Refuse ranges of one subnetwork that overlap."""
    seen = [primary]
    for entry in secondary:
        text = str(entry.get("ipCidrRange", ""))
        network = parse_range("resource.secondaryIpRanges.ipCidrRange", text)
        if any(network.overlaps(other) for other in seen):
            raise errors.invalid(
                "resource.secondaryIpRanges", text, "The range overlaps another range of the subnetwork."
            )
        seen.append(network)


def ranges_of(subnetwork: Mapping[str, Any]) -> list[Network]:
    """All ranges of a subnetwork."""
    secondary = [entry["ipCidrRange"] for entry in subnetwork.get("secondaryIpRanges") or ()]
    return [Network(text) for text in (subnetwork["ipCidrRange"], *secondary)]


def check_overlap(subnetwork: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> None:
    """Refuse ranges that another subnetwork of the network has."""
    own = ranges_of(subnetwork)
    for other in others:
        if clashes := [str(mine) for mine in own if any(mine.overlaps(theirs) for theirs in ranges_of(other))]:
            raise errors.overlap(relative(other["selfLink"]), clashes)


def new_router(body: Json) -> Json:
    """A router with its defaults."""
    if not body.get("network"):
        raise errors.required("resource.network")
    return with_nats({**body, "network": LINK + relative(body["network"])})


def with_nats(router: Json) -> Json:
    """The router with the defaults of its NATs."""
    nats = [_nat(nat) for nat in router.get("nats") or ()]
    names = [nat["name"] for nat in nats]
    for name in names:
        if names.count(name) > 1:
            raise errors.invalid("resource.nats", name, "NAT names must be unique within a router.")
    return {**router, "nats": nats} if nats else {key: value for key, value in router.items() if key != "nats"}


def _nat(nat: Json) -> Json:
    check_name(str(nat.get("name", "")))
    if nat.get("natIpAllocateOption") == "MANUAL_ONLY" and not nat.get("natIps"):
        raise errors.invalid(
            "resource.nats.natIps", "", "natIps must be given when natIpAllocateOption is MANUAL_ONLY."
        )
    if not nat.get("sourceSubnetworkIpRangesToNat"):
        raise errors.required("resource.nats.sourceSubnetworkIpRangesToNat")
    return {
        "autoNetworkTier": "PREMIUM",
        "enableEndpointIndependentMapping": False,
        "endpointTypes": ["ENDPOINT_TYPE_VM"],
        "natIpAllocateOption": "AUTO_ONLY",
        "type": "PUBLIC",
        **nat,
    }


def new_address(body: Json) -> Json:
    """A reserved address; the number in it is taken from the range that is set aside for documentation."""
    digest = hashlib.sha256(str(body.get("name")).encode()).digest()
    external = {"address": f"203.0.113.{digest[0] % 254 + 1}", "networkTier": "PREMIUM"}
    internal = {"address": f"10.255.{digest[0]}.{digest[1] % 254 + 1}"}
    is_internal = body.get("addressType") == "INTERNAL"
    return {
        "addressType": "EXTERNAL",
        "status": "RESERVED",
        "ipVersion": "IPV4",
        **(internal if is_internal else external),
        **body,
    }


def new_firewall(body: Json) -> Json:
    """A firewall rule with its defaults."""
    if not body.get("allowed") and not body.get("denied"):
        raise errors.required("resource.allowed")
    network = LINK + relative(str(body.get("network", "")))
    open_to_all = (
        {} if body.keys() & {"sourceRanges", "sourceTags", "destinationRanges"} else {"sourceRanges": ["0.0.0.0/0"]}
    )
    defaults = {"direction": "INGRESS", "priority": 1000, "disabled": False, "logConfig": {"enable": False}}
    return {**defaults, **open_to_all, **body, "network": network}


def as_is(body: Json) -> Json:
    """A kind that is kept as it was sent."""
    return dict(body)
