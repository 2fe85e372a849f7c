"""Regions and zones that the sandbox knows: those with the accelerators that the workbook speaks of, and a few more."""

from __future__ import annotations

from collections.abc import Mapping

REGIONS: Mapping[str, tuple[str, ...]] = {
    "asia-east1": ("a", "b", "c"),
    "asia-northeast1": ("a", "b", "c"),
    "asia-southeast1": ("a", "b", "c"),
    "europe-west1": ("b", "c", "d"),
    "europe-west2": ("a", "b", "c"),
    "europe-west3": ("a", "b", "c"),
    "europe-west4": ("a", "b", "c"),
    "us-central1": ("a", "b", "c", "f"),
    "us-east1": ("b", "c", "d"),
    "us-east4": ("a", "b", "c"),
    "us-west1": ("a", "b", "c"),
    "us-west4": ("a", "b", "c"),
}

QUOTAS: Mapping[str, float] = {
    "CPUS": 72.0,
    "DISKS_TOTAL_GB": 4096.0,
    "IN_USE_ADDRESSES": 8.0,
    "INSTANCES": 72.0,
    "NVIDIA_L4_GPUS": 8.0,
    "PREEMPTIBLE_NVIDIA_L4_GPUS": 8.0,
    "SSD_TOTAL_GB": 2048.0,
    "STATIC_ADDRESSES": 8.0,
}
"""Limits of a region, of the size that a new project gets."""

GLOBAL_QUOTAS: Mapping[str, float] = {"CPUS_ALL_REGIONS": 96.0, "GPUS_ALL_REGIONS": 8.0, "NETWORKS": 5.0}


def zones_of(region: str) -> tuple[str, ...]:
    """Names of a region's zones; none for a region that there is not."""
    return tuple(f"{region}-{letter}" for letter in REGIONS.get(region, ()))


def region_of(location: str) -> str:
    """The region that a location, region or zone, is in; empty for neither."""
    if location in REGIONS:
        return location
    region = location.rpartition("-")[0]
    return region if location in zones_of(region) else ""
