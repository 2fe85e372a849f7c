"""Google's control planes on this machine: one HTTP port for every service, one gRPC port for GKE."""
