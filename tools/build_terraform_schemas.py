"""Rebuild the real providers' schemas, for the types that the sandbox emulates, from prebuilt CDK Terrain bindings.

    python -m pip download --no-deps --dest FOLDER cdktn-provider-google==21.1.0 cdktn-provider-github==18.0.0
    python tools/build_terraform_schemas.py FOLDER

The bindings are generated from the providers' own schemas, and their compiled JavaScript (a jsii tarball inside the
wheel) still says everything but a few facts, which `terraform_schema_facts.py` adds. The output has the shape of
`terraform providers schema -json` for one provider. The same wheels give the same bytes.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import tarfile
import zipfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terraform_schema_facts import DATA_SOURCES, RESOURCES, add_lost_facts

OUTPUT = Path(__file__).parents[1] / "mlp_helpers/sandbox/terraform/schemas"
PROVIDERS = {"google": "hashicorp/google", "github": "integrations/github"}

Json = dict[str, Any]

_CLASS = re.compile(r"^class (\w+) extends \w+\.(\w+) \{", re.M)
_TO_HCL = re.compile(r"^function (\w+)ToHclTerraform\(struct\) \{", re.M)
_FLAGS = re.compile(r"// (\w+) - computed: (true|false), optional: (true|false), required: (true|false)")
_NESTED = re.compile(r"= new (?:\w+\.)?(\w+)\(this, [\"'](\w+)[\"'](?:, (true|false))?\)")
_GETTER = re.compile(r"return (?:\w+\.Fn\.(tolist)\()?this\.get(\w+?)Attribute\('(\w+)'\)")
_HCL = re.compile(
    r"^\s+(\w+): \{\n\s+value: (.*?),\n\s+isBlock: (true|false),\n\s+type: \"(\w+)\",\n\s+storageClassType: \"(\w+)\",",
    re.M,
)
_TYPE_NAME = re.compile(r"tfResourceType = \"([\w-]+)\"")
_PROVIDER_NAME = re.compile(r"terraformResourceType: '([\w-]+)'")
_VERSION = re.compile(r"/providers/[\w-]+/[\w-]+/([\d.]+)")
_INTERFACE = re.compile(r"export interface (\w+)[^{]*\{(.*?)\n\}", re.S)

_GETTER_TYPES: dict[str, Any] = {
    "String": "string",
    "Number": "number",
    "Boolean": "bool",
    "Any": "dynamic",
    "List": ["list", "string"],
    "NumberList": ["list", "number"],
    "BooleanList": ["list", "bool"],
    "StringMap": ["map", "string"],
    "NumberMap": ["map", "number"],
    "BooleanMap": ["map", "bool"],
    "AnyMap": ["map", "dynamic"],
}
_STORAGE_TYPES = {"string": "string", "number": "number", "boolean": "bool", "any": "dynamic"}
_MAP_CLASSES = ("StringMap", "NumberMap", "BooleanMap", "AnyMap")


def storage_type(storage: str, kind: str) -> Any:
    """The schema type of a `storageClassType`, or None for a structure."""
    collection = "set" if kind == "set" else "list"
    for prefix, primitive in _STORAGE_TYPES.items():
        shapes: dict[str, Any] = {
            prefix: primitive,
            f"{prefix}List": [collection, primitive],
            f"{prefix}Map": ["map", primitive],
            f"{prefix}ListList": [collection, ["list", primitive]],
            f"{prefix}MapList": [collection, ["map", primitive]],
        }
        if storage in shapes:
            return shapes[storage]
    return None


def object_type(block: Json) -> Any:
    """A block as an object type: what computed structures are."""
    attributes = {name: attribute["type"] for name, attribute in block["attributes"].items()}
    for name, nested in block["block_types"].items():
        inner = object_type(nested["block"])
        attributes[name] = inner if nested["nesting_mode"] == "single" else [nested["nesting_mode"], inner]
    return ["object", attributes]


def _base(class_name: str) -> str:
    return re.sub(r"(OutputReference|List|Map)$", "", class_name)


@dataclass
class Members:
    """What one class of the bindings says about its members."""

    flags: dict[str, tuple[bool, bool, bool]]  # computed, optional, required
    nested: dict[str, tuple[str, bool]]  # class, is a set
    getters: dict[str, tuple[str, bool]]  # getter, wrapped in tolist
    hcl: dict[str, tuple[str, str, str]]  # value expression, kind, storage class

    def names(self) -> list[str]:
        """Every member; `count` and `for_each` belong to Terraform unless the provider declares them."""
        declared = set(self.hcl) | set(self.flags)
        return sorted((declared | set(self.nested) | set(self.getters)) - ({"count", "for_each"} - declared))


@dataclass
class Module:
    """The classes of one resource's or data source's module."""

    javascript: str
    declarations: str
    classes: dict[str, tuple[str, str]] = field(default_factory=dict)
    to_hcl: dict[str, str] = field(default_factory=dict)
    interfaces: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for match in _CLASS.finditer(self.javascript):
            self.classes[match[1]] = (match[2], self._body(match.start()))
        for match in _TO_HCL.finditer(self.javascript):
            self.to_hcl[match[1][0].upper() + match[1][1:]] = self._body(match.start())
        self.interfaces = {match[1]: match[2] for match in _INTERFACE.finditer(self.declarations)}

    def _body(self, start: int) -> str:
        return self.javascript[start : self.javascript.index("\n}", start)]

    def members(self, class_name: str, hcl: str) -> Members:
        """Collect what the class's text says."""
        body = self.classes[class_name][1]
        return Members(
            flags={m[1]: (m[2] == "true", m[3] == "true", m[4] == "true") for m in _FLAGS.finditer(body)},
            nested={m[2]: (m[1], m[3] == "true") for m in _NESTED.finditer(body)},
            getters={m[3]: (m[2], bool(m[1])) for m in _GETTER.finditer(body)},
            hcl={m[1]: (m[2], m[4], m[5]) for m in _HCL.finditer(hcl)},
        )

    def block(self, class_name: str, hcl: str, interface: str) -> Json:
        """The schema block of a class."""
        members = self.members(class_name, hcl)
        block: Json = {"attributes": {}, "block_types": {}}
        for name in members.names():
            if name in members.hcl:
                self._configurable(block, name, members, interface)
            elif name in members.nested and not members.nested[name][0].startswith(_MAP_CLASSES):
                block["attributes"][name] = {"type": self._computed_structure(members.nested[name]), "computed": True}
            else:
                block["attributes"][name] = {"type": self._computed_type(name, members), "computed": True}
        return block

    def _configurable(self, block: Json, name: str, members: Members, interface: str) -> None:
        value, kind, storage = members.hcl[name]
        computed, _, required = members.flags.get(name, (False, True, self._is_required(interface, name, value)))
        primitive = storage_type(storage, kind)
        if primitive is not None:
            attribute: Json = {"type": primitive, "required" if required else "optional": True}
            block["attributes"][name] = attribute | ({"computed": True} if computed else {})
            return
        nested_class = members.nested.get(name, (storage, False))[0]
        inner = self._inner(_base(nested_class))
        if computed:  # a structure in attribute syntax
            collection = "list" if kind == "struct" else kind
            block["attributes"][name] = {
                "type": [collection, object_type(inner)],
                "optional": not required,
                "computed": True,
            }
            return
        nested: Json = {"nesting_mode": "single" if kind == "struct" else kind, "block": inner}
        if kind in ("list", "set"):
            if nested_class.endswith("OutputReference"):
                nested["max_items"] = 1
            if required:
                nested["min_items"] = 1
        block["block_types"][name] = nested

    def _is_required(self, interface: str, name: str, value: str) -> bool:
        match = re.search(r"(?:struct\.|this\._)(\w+)", value)
        return re.search(rf"readonly {match[1] if match else name}: ", self.interfaces.get(interface, "")) is not None

    def _inner(self, base: str) -> Json:
        reference = f"{base}OutputReference"
        if reference not in self.classes:
            return {"attributes": {}, "block_types": {}}
        return self.block(reference, self.to_hcl.get(base, ""), base)

    def _computed_structure(self, nested: tuple[str, bool]) -> Any:
        class_name, is_set = nested
        inner = object_type(self._inner(_base(class_name)))
        if class_name.endswith("OutputReference"):
            return inner
        return ["map" if class_name.endswith("Map") else "set" if is_set else "list", inner]

    def _computed_type(self, name: str, members: Members) -> Any:
        if name in members.nested:
            class_name = members.nested[name][0]
            return (
                ["list", _GETTER_TYPES[class_name[:-4]]] if class_name.endswith("List") else _GETTER_TYPES[class_name]
            )
        getter, as_list = members.getters.get(name, ("String", False))
        found = _GETTER_TYPES[getter]
        return ["set", *found[1:]] if as_list else found


def folder_of(type_name: str, *, is_data: bool = False) -> set[str]:
    """google_container_cluster → container-cluster; GitHub's bindings keep the provider's name in data sources only."""
    prefix = "data-" if is_data else ""
    return {prefix + name.replace("_", "-") for name in (type_name, type_name.split("_", 1)[1])}


def read_modules(wheel: Path, wanted: set[str]) -> dict[str, Module]:
    """The compiled modules of the wanted folders in a wheel."""
    texts: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"js": [], "ts": []})
    with zipfile.ZipFile(wheel) as archive:
        package = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(archive.read(package))) as tarball:
            for member in tarball:
                parts = member.name.split("/")
                if (
                    len(parts) < 4
                    or parts[1] != "lib"
                    or parts[2] not in wanted
                    or not member.name.endswith((".js", ".d.ts"))
                ):
                    continue
                file = tarball.extractfile(member)
                assert file is not None, member.name
                texts[parts[2]][member.name[-2:]].append(file.read().decode())
    return {folder: Module("\n".join(text["js"]), "\n".join(text["ts"])) for folder, text in texts.items()}


def convert(wheel: Path, provider: str) -> Json:
    """The schemas of a provider's wanted types."""
    wanted = {"provider"}
    for name in RESOURCES[provider]:
        wanted |= folder_of(name)
    for name in DATA_SOURCES[provider]:
        wanted |= folder_of(name, is_data=True)
    out: Json = {"source": PROVIDERS[provider], "resource_schemas": {}, "data_source_schemas": {}}
    for module in read_modules(wheel, wanted).values():
        for class_name, (parent, body) in module.classes.items():
            hcl = body[body.index("synthesizeHclAttributes") :] if "synthesizeHclAttributes" in body else ""
            if parent == "TerraformProvider":
                out["provider"] = {"version": 0, "block": module.block(class_name, hcl, f"{class_name}Config")}
                out["provider"]["block"]["attributes"].pop("alias", None)  # Terraform's own
                out["version"] = _first(_VERSION, module.javascript)
            elif parent in ("TerraformResource", "TerraformDataSource"):
                kind = "resource_schemas" if parent == "TerraformResource" else "data_source_schemas"
                name = _first(_TYPE_NAME, body)
                out[kind][name] = {"version": 0, "block": module.block(class_name, hcl, f"{class_name}Config")}
    missing = (set(RESOURCES[provider]) - set(out["resource_schemas"])) | (
        set(DATA_SOURCES[provider]) - set(out["data_source_schemas"])
    )
    if missing:
        raise ValueError(f"The wheel has no {', '.join(sorted(missing))}.")
    add_lost_facts(out)
    return out


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    assert match is not None, pattern.pattern
    return match[1]


def main(folder: Path) -> None:
    """Write one compressed JSON file a provider."""
    for provider in PROVIDERS:
        wheel = next(folder.glob(f"cdktn_provider_{provider}-*.whl"))
        text = json.dumps(convert(wheel, provider), separators=(",", ":"), sort_keys=True)
        target = OUTPUT / f"{provider}.json.gz"
        target.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
        print(f"{target.name}: {len(text)} characters, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
