"""GitHub on this machine: its REST API and Git over HTTP, over bare repositories."""
