"""Service accounts and their policies."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from mlp_helpers.sandbox.google.documents import Documents
from mlp_helpers.sandbox.google.iam import errors
from mlp_helpers.sandbox.google.policies import Policy, replaced, with_etag

_ACCOUNTS, _POLICIES = "service-accounts", "service-account-policies"
_ACCOUNT_ID = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")


@dataclass(frozen=True)
class ServiceAccount:
    """A service account."""

    email: str
    project: str
    unique_id: str
    display_name: str = ""
    description: str = ""
    disabled: bool = False


class AccountStore:
    """Service accounts by e-mail, which is unique in the world."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def create(self, project: str, account_id: str, *, display_name: str, description: str) -> ServiceAccount:
        """A new service account."""
        if not _ACCOUNT_ID.fullmatch(account_id):
            raise errors.account_id_invalid(account_id)
        email = f"{account_id}@{project}.iam.gserviceaccount.com"
        if self._documents.get(_ACCOUNTS, email):
            raise errors.account_exists(account_id, project)
        unique_id = f"1{secrets.randbelow(10**20):020d}"
        return self.write(ServiceAccount(email, project, unique_id, display_name, description))

    def write(self, account: ServiceAccount) -> ServiceAccount:
        """Write an account back."""
        self._documents.put(_ACCOUNTS, account.email, asdict(account))
        return account

    def get(self, project: str, name: str) -> ServiceAccount:
        """An account by e-mail or unique id; the project `-` stands for any."""
        for account in self.all():
            if name in (account.email, account.unique_id) and project in ("-", account.project):
                return account
        raise errors.account_not_found(name, project)

    def all(self, project: str = "") -> list[ServiceAccount]:
        """The accounts of a project, or all."""
        accounts = [ServiceAccount(**body) for _, body in self._documents.list(_ACCOUNTS)]
        return [account for account in accounts if not project or account.project == project]

    def delete(self, account: ServiceAccount) -> None:
        """Remove an account and its policy."""
        with self._documents.transaction():
            self._documents.delete(_ACCOUNTS, account.email)
            self._documents.delete(_POLICIES, account.email)

    def policy(self, account: ServiceAccount) -> Policy:
        """Who may act as an account."""
        return with_etag(self._documents.get(_POLICIES, account.email) or {"version": 1})

    def set_policy(self, account: ServiceAccount, wanted: Mapping[str, object]) -> Policy:
        """Replace an account's policy."""
        policy = replaced(self.policy(account), wanted, stale=errors.policy_changed())
        self._documents.put(_POLICIES, account.email, policy)
        return policy
