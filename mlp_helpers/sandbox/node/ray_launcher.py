"""`ray start` for nodes that stay on loopback, run as a script: `python -P ray_launcher.py start ...`.

Ray listens on loopback only if a node's address is exactly 127.0.0.1, but its command line replaces that by the LAN
address unless RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER is off, and when it is off it refuses workers. So it is off for every
process, and only that refusal is lifted here.
"""

import sys

import ray._private.ray_constants as constants
import ray._private.services as services

constants.ENABLE_RAY_CLUSTER = True
services.get_node_ip_address = lambda address=None: "127.0.0.1"

from ray.scripts.scripts import main  # noqa: E402 - reads the constant above

sys.exit(main())  # type: ignore[no-untyped-call]
