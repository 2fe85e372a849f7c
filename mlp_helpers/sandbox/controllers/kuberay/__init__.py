"""The KubeRay operator: turns RayClusters and RayJobs into pods, services and jobs."""
