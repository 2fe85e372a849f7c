"""`ray start` for nodes that stay on loopback, run as a script: `python -P ray_launcher.py start ...`.

Ray listens on loopback only if a node's address is exactly 127.0.0.1, but its command line replaces that by the LAN
address unless RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER is off, and when it is off it refuses workers. So it is off for every
process, and only that refusal is lifted here.

Ray also gives a node 30 seconds to register, which is not enough where several start on few cores at once.
"""

import sys
import time

import ray._private.ray_constants as constants
import ray._private.services as services

constants.ENABLE_RAY_CLUSTER = True
services.get_node_ip_address = lambda address=None: "127.0.0.1"

PATIENCE_SECONDS = 120.0
get_node = services.get_node


def get_node_patiently(gcs_address: str, node_id: str) -> object:
    """The node's record, once it has registered."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return get_node(gcs_address, node_id)  # type: ignore[no-untyped-call]
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


services.get_node = get_node_patiently

from ray.scripts.scripts import main  # noqa: E402 - reads the constant above

sys.exit(main())  # type: ignore[no-untyped-call]
