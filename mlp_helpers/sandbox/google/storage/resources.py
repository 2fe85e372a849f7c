"""Bucket and object resources: what the caller said, and what Cloud Storage adds."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from mlp_helpers.sandbox.google.storage import errors

Json = dict[str, Any]

BUCKET_FIELDS = frozenset(
    {
        "autoclass",
        "billing",
        "cors",
        "customPlacementConfig",
        "defaultEventBasedHold",
        "encryption",
        "hierarchicalNamespace",
        "iamConfiguration",
        "ipFilter",
        "labels",
        "lifecycle",
        "logging",
        "objectRetention",
        "retentionPolicy",
        "rpo",
        "softDeletePolicy",
        "storageClass",
        "versioning",
        "website",
    }
)
"""Fields of a bucket that a caller may set later. Others in a PATCH are read-only; gcloud sends them back: ignored."""

OBJECT_FIELDS = frozenset(
    {
        "cacheControl",
        "contentDisposition",
        "contentEncoding",
        "contentLanguage",
        "contentType",
        "contexts",
        "customTime",
        "eventBasedHold",
        "metadata",
        "retention",
        "storageClass",
        "temporaryHold",
    }
)

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_MULTI_REGIONS = {"US", "EU", "ASIA"}
_DUAL_REGIONS = {"NAM4", "EUR4", "EUR5", "EUR7", "EUR8", "ASIA1"}
_WEEK_SECONDS = "604800"


@dataclass(frozen=True)
class Digest:
    """Size and checksums of an object's bytes, as the API writes them; a composed object has no MD5."""

    size: int
    crc32c: str
    md5: str

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> Digest:
        """What an object's resource says of its bytes."""
        return cls(int(resource["size"]), resource["crc32c"], resource.get("md5Hash", ""))


def timestamp(seconds: float | None = None) -> str:
    """Now, or a moment, as Cloud Storage writes it."""
    moment = time.time() if seconds is None else seconds
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03d}Z"


def etag(*numbers: int) -> str:
    """An etag as Cloud Storage makes it: the numbers as protobuf fields, in base64."""
    encoded = b"".join(bytes([8 * field]) + _varint(number) for field, number in enumerate(numbers, 1))
    return base64.b64encode(encoded).decode()


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def check_bucket_name(name: str) -> None:
    """Refuse a name that Cloud Storage refuses."""
    too_long = any(len(part) > 63 for part in name.split("."))
    if not _BUCKET_NAME.fullmatch(name) or too_long or name.startswith("goog") or "google" in name or ".." in name:
        raise errors.invalid(f"Invalid bucket name: '{name}'")


def check_object_name(name: str) -> None:
    """Refuse a name that Cloud Storage refuses."""
    if not name:
        raise errors.invalid("Required parameter: name", "required")
    if len(name.encode()) > 1024 or "\r" in name or "\n" in name or name in (".", ".."):
        raise errors.invalid(f"Invalid object name: '{name}'")


def new_bucket(body: Mapping[str, Any], *, project_number: str) -> Json:
    """A bucket with the defaults of the service."""
    now = timestamp()
    location = str(body.get("location") or "US").upper()
    bucket: Json = {
        "kind": "storage#bucket",
        "id": body["name"],
        "name": body["name"],
        "projectNumber": project_number,
        "generation": str(time.time_ns() // 1000),
        "metageneration": "1",
        "location": location,
        "locationType": _location_type(location),
        "storageClass": "STANDARD",
        "timeCreated": now,
        "updated": now,
        "etag": etag(1),
        "softDeletePolicy": {"retentionDurationSeconds": _WEEK_SECONDS},
        **{field: value for field, value in body.items() if field in BUCKET_FIELDS and value is not None},
    }
    return complete_bucket(bucket, now)


def complete_bucket(bucket: Json, now: str) -> Json:
    """Fill in what depends on other fields: both names of uniform access, and the moments from which policies count."""
    access = dict(bucket.get("iamConfiguration") or {})
    uniform = dict(access.get("uniformBucketLevelAccess") or access.get("bucketPolicyOnly") or {"enabled": False})
    if uniform.get("enabled"):
        uniform.setdefault("lockedTime", timestamp(time.time() + 90 * 86400))
    else:
        uniform = {"enabled": False}
    access |= {"uniformBucketLevelAccess": uniform, "bucketPolicyOnly": uniform}
    access.setdefault("publicAccessPrevention", "inherited")
    bucket["iamConfiguration"] = access
    if soft_delete := bucket.get("softDeletePolicy"):
        soft_delete["retentionDurationSeconds"] = str(soft_delete.get("retentionDurationSeconds", _WEEK_SECONDS))
        soft_delete.setdefault("effectiveTime", now)
    if retention := bucket.get("retentionPolicy"):
        retention.setdefault("effectiveTime", now)
    return bucket


def changed_bucket(bucket: Json, patch: Mapping[str, Any], *, replace: bool) -> Json:
    """The bucket after a PATCH (merge; null removes) or a PUT (what is absent goes)."""
    changed = {field: value for field, value in bucket.items() if not replace or field not in BUCKET_FIELDS}
    if replace:
        changed.setdefault("storageClass", bucket["storageClass"])
        changed.setdefault("iamConfiguration", bucket["iamConfiguration"])
    for field in BUCKET_FIELDS & patch.keys():
        _merge(changed, field, patch[field])
    now = timestamp()
    metageneration = int(bucket["metageneration"]) + 1
    changed |= {"metageneration": str(metageneration), "updated": now, "etag": etag(metageneration)}
    return complete_bucket(changed, now)


def _merge(target: Json, field: str, value: Any) -> None:
    if value is None:
        target.pop(field, None)
    elif isinstance(value, dict) and field != "lifecycle":
        nested = dict(target.get(field) or {})
        for key, inner in value.items():
            _merge(nested, key, inner)
        target[field] = nested
        if field == "iamConfiguration" and "uniformBucketLevelAccess" not in value and "bucketPolicyOnly" in value:
            nested["uniformBucketLevelAccess"] = nested["bucketPolicyOnly"]
    else:
        target[field] = value


def _location_type(location: str) -> str:
    if location in _MULTI_REGIONS:
        return "multi-region"
    return "dual-region" if location in _DUAL_REGIONS else "region"


def new_object(
    bucket: str, name: str, generation: int, digest: Digest, fields: Mapping[str, Any], storage_class: str
) -> Json:
    """An object with what the service adds."""
    now = timestamp()
    resource: Json = {
        "kind": "storage#object",
        "id": f"{bucket}/{name}/{generation}",
        "name": name,
        "bucket": bucket,
        "generation": str(generation),
        "metageneration": "1",
        "contentType": "application/octet-stream",
        "storageClass": storage_class,
        "size": str(digest.size),
        "crc32c": digest.crc32c,
        "etag": etag(generation, 1),
        "timeCreated": now,
        "updated": now,
        "timeStorageClassUpdated": now,
        "timeFinalized": now,
        **{field: value for field, value in fields.items() if field in OBJECT_FIELDS and value is not None},
    }
    if digest.md5:
        resource["md5Hash"] = digest.md5
    return resource


def changed_object(resource: Json, patch: Mapping[str, Any], *, replace: bool) -> Json:
    """The object's metadata after a PATCH or PUT."""
    kept = ("contentType", "storageClass")
    changed = {
        field: value for field, value in resource.items() if not replace or field not in OBJECT_FIELDS or field in kept
    }
    for field in OBJECT_FIELDS & patch.keys():
        _merge(changed, field, patch[field])
    metageneration = int(resource["metageneration"]) + 1
    changed |= {
        "metageneration": str(metageneration),
        "updated": timestamp(),
        "etag": etag(int(resource["generation"]), metageneration),
    }
    return changed


def bucket_links(bucket: Json, base_url: str) -> Json:
    """The bucket with its address, which depends on the caller's way in."""
    return {**bucket, "selfLink": f"{base_url}/storage/v1/b/{bucket['name']}"}


def object_links(resource: Json, base_url: str) -> Json:
    """The object with its addresses; gcloud cannot read an object without `mediaLink`."""
    path = f"storage/v1/b/{resource['bucket']}/o/{quote(resource['name'], safe='')}"
    return {
        **resource,
        "selfLink": f"{base_url}/{path}",
        "mediaLink": f"{base_url}/download/{path}?generation={resource['generation']}&alt=media",
    }


def default_policy(bucket: str, project: str, *, uniform: bool) -> Json:
    """The IAM policy of a new bucket: the project's owners, editors and viewers."""
    owners = [f"projectEditor:{project}", f"projectOwner:{project}"]
    bindings = [
        {"role": "roles/storage.legacyBucketOwner", "members": owners},
        {"role": "roles/storage.legacyBucketReader", "members": [f"projectViewer:{project}"]},
    ]
    if uniform:
        bindings += [
            {"role": "roles/storage.legacyObjectOwner", "members": owners},
            {"role": "roles/storage.legacyObjectReader", "members": [f"projectViewer:{project}"]},
        ]
    return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{bucket}", "version": 1, "bindings": bindings}
