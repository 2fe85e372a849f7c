"""A cluster's control plane beside the API server: ordinary clients that hold a kubeconfig and nothing else."""
