"""Reduce Kubernetes' generated.proto files to the field numbers of the messages that clients may send.

    python tools/build_kubernetes_protobuf.py GO_SOURCES

GO_SOURCES is a folder with the Go packages k8s.io/api and k8s.io/apimachinery. Field numbers never change.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from mlp_helpers.sandbox.kubernetes.definitions import definitions
from mlp_helpers.sandbox.kubernetes.kinds import built_in_kinds

OUTPUT = Path("mlp_helpers/sandbox/kubernetes/data/protobuf.json.gz")
FIELD = re.compile(r"^\s*(optional|repeated|required)?\s*(map<string,\s*([\w.]+)>|[\w.]+)\s+(\w+)\s*=\s*(\d+)")
META = "k8s.io.apimachinery.pkg.apis.meta.v1"
OTHERS = {
    "authentication.k8s.io/v1 TokenRequest": "k8s.io.api.authentication.v1.TokenRequest",
    "policy/v1 Eviction": "k8s.io.api.policy.v1.Eviction",
    "autoscaling/v1 Scale": "k8s.io.api.autoscaling.v1.Scale",
    "v1 DeleteOptions": f"{META}.DeleteOptions",
    "meta.k8s.io/v1 DeleteOptions": f"{META}.DeleteOptions",
}

Field = list[str]  # name, type, shape: "", "map", "list" or "inline"


def parse(path: Path) -> Iterator[tuple[str, dict[str, Field]]]:
    """Each message of a file by its full name, with its fields by number."""
    text = path.read_text()
    found = re.search(r"^package ([\w.]+);", text, re.MULTILINE)
    if found is None:
        return
    package = found[1]
    for message, body in re.findall(r"^message (\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL):
        fields: dict[str, Field] = {}
        for line in body.splitlines():
            if match := FIELD.match(line):
                label, kind, of_map, name, number = match.groups()
                target = of_map or kind
                if target[0].isupper():
                    target = f"{package}.{target}"
                fields[number] = [name, target.lstrip("."), "map" if of_map else "list" if label == "repeated" else ""]
        yield f"{package}.{message}", fields


def roots() -> dict[str, str]:
    """The message of each kind that a client may send."""
    found = {}
    for kind in built_in_kinds():
        if "apiextensions" not in kind.group:
            folder = kind.group.partition(".")[0] or "core"
            found[f"{kind.api_version} {kind.name}"] = f"k8s.io.api.{folder}.{kind.version}.{kind.name}"
    return found | OTHERS


def inline_fields(kept: dict[str, dict[str, Field]]) -> None:
    """Mark messages whose fields their parent's JSON has among its own."""
    schemas = definitions()
    for name, fields in kept.items():
        known = schemas.get(
            "io." + name[4:].replace("k8s.io", "k8s"), schemas.get(name.replace("k8s.io", "io.k8s"), {})
        )
        for entry in fields.values():
            if entry[1] in kept and known.get("properties") and entry[0] not in known["properties"]:
                entry[2] = "inline"


def main(sources: Path) -> None:
    """Write the data file."""
    messages = dict(message for path in sources.rglob("generated.proto") for message in parse(path))
    kinds = {name: message for name, message in roots().items() if message in messages}
    kept: dict[str, dict[str, Field]] = {}
    wanted = list(kinds.values())
    while wanted:
        name = wanted.pop()
        if name in messages and name not in kept:
            kept[name] = messages[name]
            wanted += [target for _, target, _ in messages[name].values()]
    inline_fields(kept)
    with gzip.GzipFile(OUTPUT, "wb", mtime=0) as out:
        out.write(json.dumps({"kinds": kinds, "messages": kept}, separators=(",", ":"), sort_keys=True).encode())
    print(f"{len(kinds)} kinds, {len(kept)} messages, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
