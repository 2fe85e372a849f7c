"""Service Usage's refusals, and the refusal of every service that is not enabled."""

from __future__ import annotations

from mlp_helpers.sandbox.google.errors import GoogleError, error_info

SERVICE = "serviceusage.googleapis.com"


def service_disabled(service: str, title: str, number: str) -> GoogleError:
    """What any API answers in a project where it is off."""
    url = f"https://console.developers.google.com/apis/api/{service}/overview?project={number}"
    message = (
        f"{title} has not been used in project {number} before or it is disabled. Enable it by visiting {url} then "
        "retry. "
        "If you enabled this API recently, wait a few minutes for the action to propagate to our systems and retry."
    )
    info = error_info(
        "SERVICE_DISABLED",
        "googleapis.com",
        service=service,
        consumer=f"projects/{number}",
        serviceTitle=title,
        containerInfo=number,
        activationUrl=url,
    )
    help_links = {
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [{"description": "Google developers console API activation", "url": url}],
    }
    text = {"@type": "type.googleapis.com/google.rpc.LocalizedMessage", "locale": "en-US", "message": message}
    return GoogleError("PERMISSION_DENIED", message, reason="accessNotConfigured", details=(info, text, help_links))


def service_not_found(service: str) -> GoogleError:
    return GoogleError(
        "PERMISSION_DENIED",
        f"Not found or permission denied for service(s): {service}.",
        details=(error_info("SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED", SERVICE, services=service),),
    )


def has_dependents(service: str, dependents: list[str], number: str) -> GoogleError:
    names = ",".join(dependents)
    info = error_info("COMMON_SU_SERVICE_HAS_DEPENDENT_SERVICES", SERVICE, services=names, project=number)
    return GoogleError(
        "FAILED_PRECONDITION",
        f"The service {service} is depended on by the following active service(s): {names}. Please specify "
        "disable_dependent_services=true if you want to proceed with disabling all services.",
        details=(info,),
    )
