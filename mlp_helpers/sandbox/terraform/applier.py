"""Apply a planned change, and decide what Terraform must remember when it fails on the way."""

from __future__ import annotations

from dataclasses import dataclass

from mlp_helpers.sandbox.terraform.api import Services
from mlp_helpers.sandbox.terraform.errors import HalfMadeError, ProviderError
from mlp_helpers.sandbox.terraform.resources.base import Resource
from mlp_helpers.sandbox.terraform.values import Values, without_unknowns


@dataclass(frozen=True)
class Outcome:
    """The state to save, and what went wrong. A new object saved with a failure is tainted by Terraform."""

    state: Values | None
    failure: ProviderError | None = None


def apply(resource: Resource, services: Services, prior: Values | None, planned: Values | None) -> Outcome:
    """Create, update or delete, then read back what the service shows: never an echo of the plan."""
    if planned is None:
        return _delete(resource, services, prior or {})
    values: Values = without_unknowns(planned)
    if prior is None:
        return _create(resource, services, values)
    return _update(resource, services, prior, values)


def _create(resource: Resource, services: Services, values: Values) -> Outcome:
    try:
        values |= resource.create(services, values)
    except HalfMadeError as error:
        values |= resource.identity(values)
        found = _read_or_keep(resource, services, values)
        return Outcome(values if found is None and error.goes_on else found, None if error.resumable else error)
    except ProviderError as error:
        return Outcome(None, error)
    return _read(resource, services, values)


def _update(resource: Resource, services: Services, prior: Values, values: Values) -> Outcome:
    try:
        resource.update(services, prior, values)
    except ProviderError as error:
        return Outcome(_read_or_keep(resource, services, prior), error)
    return _read(resource, services, values)


def _delete(resource: Resource, services: Services, prior: Values) -> Outcome:
    policy = prior.get("deletion_policy")
    if policy == "ABANDON":
        return Outcome(None)
    if policy == "PREVENT":
        why = (
            f'{prior.get("id")} has deletion_policy = "PREVENT" in the state. Apply another policy first, then destroy.'
        )
        return Outcome(prior, ProviderError("The object must not be destroyed", why))
    try:
        resource.delete(services, prior)
    except ProviderError as error:
        return Outcome(prior, error)
    return Outcome(None)


def _read(resource: Resource, services: Services, values: Values) -> Outcome:
    try:
        state = resource.read(services, values)
    except ProviderError as error:
        return Outcome(values, error)
    if state is None:
        return Outcome(
            None, ProviderError("The object is gone right after the change", f"Nothing is left of {values.get('id')}.")
        )
    return Outcome(state)


def _read_or_keep(resource: Resource, services: Services, values: Values) -> Values | None:
    try:
        return resource.read(services, values)
    except ProviderError:
        return values  # not known: better remembered than lost
