"""The REST API: what each path does. The most specific templates come first."""

from __future__ import annotations

from mlp_helpers.sandbox.github.calls import Route
from mlp_helpers.sandbox.github.routes import (
    accounts,
    branches,
    checks,
    contents,
    git_data,
    protections,
    pulls,
    repositories,
    reviews,
    rulesets,
)

ROUTES: tuple[Route, ...] = (
    *accounts.ROUTES,
    *protections.ROUTES,
    *branches.ROUTES,
    *git_data.ROUTES,
    *checks.ROUTES,
    *contents.ROUTES,
    *reviews.ROUTES,
    *pulls.ROUTES,
    *rulesets.ROUTES,
    *repositories.ROUTES,
)
