"""The APIs that a project can enable: title, and what each needs to be enabled with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Api:
    """An API as Service Usage lists it."""

    title: str
    needs: tuple[str, ...] = ()


_HUB_EXTENSIONS = ("gkehub.googleapis.com",)

CATALOG: Mapping[str, Api] = {
    "anthos.googleapis.com": Api("Anthos API", _HUB_EXTENSIONS),
    "anthosconfigmanagement.googleapis.com": Api("Anthos Config Management API", _HUB_EXTENSIONS),
    "anthospolicycontroller.googleapis.com": Api("Anthos Policy Controller API", _HUB_EXTENSIONS),
    "artifactregistry.googleapis.com": Api("Artifact Registry API"),
    "autoscaling.googleapis.com": Api("Cloud Autoscaling API"),
    "bigquery.googleapis.com": Api("BigQuery API"),
    "binaryauthorization.googleapis.com": Api("Binary Authorization API"),
    "cloudapis.googleapis.com": Api("Google Cloud APIs"),
    "cloudbilling.googleapis.com": Api("Cloud Billing API"),
    "cloudbuild.googleapis.com": Api("Cloud Build API", ("storage.googleapis.com",)),
    "cloudkms.googleapis.com": Api("Cloud Key Management Service (KMS) API"),
    "cloudresourcemanager.googleapis.com": Api("Cloud Resource Manager API"),
    "cloudtrace.googleapis.com": Api("Cloud Trace API"),
    "compute.googleapis.com": Api("Compute Engine API", ("oslogin.googleapis.com",)),
    "connectgateway.googleapis.com": Api("Connect Gateway API"),
    "container.googleapis.com": Api(
        "Kubernetes Engine API",
        (
            "artifactregistry.googleapis.com",
            "autoscaling.googleapis.com",
            "compute.googleapis.com",
            "containerfilesystem.googleapis.com",
            "dns.googleapis.com",
            "gkebackup.googleapis.com",
            "iam.googleapis.com",
            "logging.googleapis.com",
            "monitoring.googleapis.com",
            "networkconnectivity.googleapis.com",
        ),
    ),
    "containerfilesystem.googleapis.com": Api("Container File System API"),
    "containersecurity.googleapis.com": Api("Container Security API"),
    "dns.googleapis.com": Api("Cloud DNS API"),
    "file.googleapis.com": Api("Cloud Filestore API"),
    "gkebackup.googleapis.com": Api("Backup for GKE API"),
    "gkeconnect.googleapis.com": Api("GKE Connect API"),
    "gkehub.googleapis.com": Api("GKE Hub API"),
    "iam.googleapis.com": Api("Identity and Access Management (IAM) API", ("iamcredentials.googleapis.com",)),
    "iamcredentials.googleapis.com": Api("IAM Service Account Credentials API"),
    "iap.googleapis.com": Api("Cloud Identity-Aware Proxy API"),
    "logging.googleapis.com": Api("Cloud Logging API"),
    "lustre.googleapis.com": Api("Google Cloud Managed Lustre API"),
    "mesh.googleapis.com": Api("Mesh API", _HUB_EXTENSIONS),
    "monitoring.googleapis.com": Api("Cloud Monitoring API"),
    "multiclusteringress.googleapis.com": Api("Multi Cluster Ingress API", _HUB_EXTENSIONS),
    "networkconnectivity.googleapis.com": Api("Network Connectivity API"),
    "networkmanagement.googleapis.com": Api("Network Management API"),
    "networksecurity.googleapis.com": Api("Network Security API"),
    "networkservices.googleapis.com": Api("Network Services API"),
    "oslogin.googleapis.com": Api("Cloud OS Login API"),
    "pubsub.googleapis.com": Api("Cloud Pub/Sub API"),
    "secretmanager.googleapis.com": Api("Secret Manager API"),
    "servicemanagement.googleapis.com": Api("Service Management API"),
    "servicenetworking.googleapis.com": Api("Service Networking API"),
    "serviceusage.googleapis.com": Api("Service Usage API"),
    "sqladmin.googleapis.com": Api("Cloud SQL Admin API"),
    "storage-api.googleapis.com": Api("Google Cloud Storage JSON API"),
    "storage-component.googleapis.com": Api("Cloud Storage"),
    "storage.googleapis.com": Api("Cloud Storage API"),
    "sts.googleapis.com": Api("Security Token Service API"),
    "trafficdirector.googleapis.com": Api("Traffic Director API"),
}

ALWAYS_ANSWERING = frozenset(
    {"serviceusage.googleapis.com", "cloudresourcemanager.googleapis.com", "cloudbilling.googleapis.com"}
)
"""Services that answer in every project: a project that has them off could not be set up at all."""

ENABLED_AT_FIRST = (
    "servicemanagement.googleapis.com",
    "serviceusage.googleapis.com",
    "storage-api.googleapis.com",
    "storage-component.googleapis.com",
    "storage.googleapis.com",
)
"""What a new project has enabled."""
