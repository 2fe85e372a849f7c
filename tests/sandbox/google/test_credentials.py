"""The service account's key and the pods' metadata server, used by google-auth itself."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys

import google.auth
import google.auth.transport.requests
import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage
from google.oauth2 import service_account

from tests.sandbox.google.conftest import NUMBER, PROJECT, Sandbox

POOL = f"principal://iam.googleapis.com/projects/{NUMBER}/locations/global/workloadIdentityPools/{PROJECT}.svc.id.goog"

AS_A_POD = """
import google.auth, google.auth.transport.requests, json, sys
from google.cloud import storage
credentials, project = google.auth.default()
credentials.refresh(google.auth.transport.requests.Request())
try:
    text = storage.Client().bucket(sys.argv[1]).blob("shared").download_as_bytes().decode()
except Exception as error:
    text = type(error).__name__
print(json.dumps({"token": credentials.token, "project": project, "kind": type(credentials).__module__, "text": text}))
"""


def run_as_pod(environment: dict[str, str], bucket: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GOOGLE_", "CLOUDSDK_", "GCE_"))}
    command = [sys.executable, "-c", AS_A_POD, bucket]
    done = subprocess.run(command, env=kept | environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_key_file_is_private_and_gives_tokens(sandbox: Sandbox) -> None:
    file = sandbox.home / "credentials" / "service-account.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    credentials = service_account.Credentials.from_service_account_file(
        file, scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    credentials.refresh(google.auth.transport.requests.Request())
    identity = sandbox.identities.authenticate(credentials.token)
    assert identity is not None
    assert identity.is_admin
    client = storage.Client(project=PROJECT, credentials=credentials, client_options={"api_endpoint": sandbox.url})
    assert isinstance(list(client.list_buckets()), list)


def test_a_jwt_signed_by_the_key_is_a_token_and_others_are_not(sandbox: Sandbox) -> None:
    file = sandbox.home / "credentials" / "service-account.json"
    credentials = service_account.Credentials.from_service_account_file(file).with_always_use_jwt_access(True)
    credentials._create_self_signed_jwt("https://storage.googleapis.com/")
    credentials.refresh(google.auth.transport.requests.Request())
    url = f"{sandbox.url}/storage/v1/b?project={PROJECT}"
    assert requests.get(url, headers={"Authorization": f"Bearer {credentials.token}"}, timeout=5).status_code == 200
    forged = credentials.token[:-8] + "AAAAAAAA"
    assert requests.get(url, headers={"Authorization": f"Bearer {forged}"}, timeout=5).status_code == 401


def test_the_token_endpoint_refuses_what_the_key_did_not_sign(sandbox: Sandbox) -> None:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "a.b.c"}
    assert requests.post(f"{sandbox.url}/token", data=form, timeout=5).status_code == 400


def test_a_pod_is_its_principal_for_every_client(sandbox: Sandbox, bucket: storage.Bucket) -> None:
    bucket.blob("shared").upload_from_string("hello")
    principal = f"{POOL}/subject/ns/ml-team/sa/ray"
    environment = sandbox.google.pod_environment(principal)

    refused = run_as_pod(environment, bucket.name)
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectUser", "members": {principal}})
    bucket.set_iam_policy(policy)
    seen = run_as_pod(environment, bucket.name)

    assert refused["text"] == "Forbidden"
    assert (seen["text"], seen["project"], seen["kind"]) == ("hello", PROJECT, "google.auth.compute_engine.credentials")
    identity = sandbox.identities.authenticate(seen["token"])
    assert identity is not None
    assert identity.email == principal
    assert environment == sandbox.google.pod_environment(principal)


def test_the_metadata_server_asks_for_the_secret_and_the_header(sandbox: Sandbox) -> None:
    root = sandbox.google.pod_environment(f"{POOL}/subject/ns/a/sa/b")["GCE_METADATA_HOST"]
    email = "computeMetadata/v1/instance/service-accounts/default/email"
    flavor = {"Metadata-Flavor": "Google"}
    assert requests.get(f"http://{root}/{email}", headers=flavor, timeout=5).text == f"{PROJECT}.svc.id.goog"
    assert requests.get(f"http://{root}/{email}", timeout=5).status_code == 403
    assert requests.get(f"{sandbox.url}/pods/guess/{email}", headers=flavor, timeout=5).status_code == 401
    assert requests.get(f"{sandbox.url}/{email}", headers=flavor, timeout=5).status_code == 401
    assert requests.get(f"http://{root}/computeMetadata/v1/nothing", headers=flavor, timeout=5).status_code == 404


def test_all_service_accounts_of_a_namespace_can_be_granted_at_once(sandbox: Sandbox, bucket: storage.Bucket) -> None:
    token = sandbox.identities.issue(f"{POOL}/subject/ns/ns-wide/sa/any")
    url = f"{sandbox.url}/storage/v1/b/{bucket.name}/o"
    headers = {"Authorization": f"Bearer {token}"}
    assert requests.get(url, headers=headers, timeout=5).status_code == 403
    policy = bucket.get_iam_policy(requested_policy_version=3)
    wide = POOL.replace("principal://", "principalSet://")
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {f"{wide}/namespace/ns-wide"}})
    bucket.set_iam_policy(policy)
    assert requests.get(url, headers=headers, timeout=5).status_code == 200
    with pytest.raises(exceptions.Forbidden):
        sandbox.storage("someone@example.com").bucket(bucket.name).blob("x").upload_from_string("1")
