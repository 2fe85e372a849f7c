"""Config Sync: keeps a cluster as a Git repository says. Controllers that hold a kubeconfig and nothing else."""
