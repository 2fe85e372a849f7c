"""What a Compute Engine machine type has, and what of it GKE leaves to pods."""

from __future__ import annotations

import re

MEMORY_PER_CPU = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0, "megamem": 14.9, "ultramem": 28.0}  # GiB
SMALL = {"e2-micro": (2, 1.0), "e2-small": (2, 2.0), "e2-medium": (2, 4.0)}
GPUS = {"g2-standard-4": 1, "g2-standard-8": 1, "g2-standard-12": 1, "g2-standard-24": 2, "g2-standard-48": 4}
# Shares of a machine that GKE keeps for itself, step by step; GKE documentation, "Plan node sizes".
CPU_RESERVED = ((1, 0.06), (1, 0.01), (2, 0.005), (10**6, 0.0025))
MEMORY_RESERVED = ((4, 0.25), (4, 0.20), (8, 0.10), (112, 0.06), (10**6, 0.02))
EVICTION_MIB = 100
PODS = 110


def machine(machine_type: str) -> tuple[int, float]:
    """Processors and GiB of memory of a machine type; one that is not known counts as e2-standard-4."""
    if machine_type in SMALL:
        return SMALL[machine_type]
    found = re.fullmatch(r"[a-z0-9]+-(standard|highmem|highcpu|megamem|ultramem)-(\d+)", machine_type)
    if found is None:
        return 4, 16.0
    cpus = int(found[2])
    return cpus, cpus * MEMORY_PER_CPU[found[1]]


def allocatable(machine_type: str) -> dict[str, str]:
    """What pods may request on such a machine, as Kubernetes quantities."""
    cpus, gibibytes = machine(machine_type)
    millicores = round((cpus - _reserved(cpus, CPU_RESERVED)) * 1000)
    mebibytes = round((gibibytes - _reserved(gibibytes, MEMORY_RESERVED)) * 1024) - EVICTION_MIB
    found = {"cpu": f"{millicores}m", "memory": f"{mebibytes}Mi", "pods": str(PODS), "ephemeral-storage": "47093746742"}
    if machine_type in GPUS:
        found["nvidia.com/gpu"] = str(GPUS[machine_type])
    return found


def _reserved(amount: float, steps: tuple[tuple[int, float], ...]) -> float:
    reserved = 0.0
    for size, share in steps:
        part = min(amount, size)
        reserved += part * share
        amount -= part
    return reserved
