"""Compute Engine, as far as a platform's network needs it: networks, subnetworks, routers, addresses, firewalls."""
