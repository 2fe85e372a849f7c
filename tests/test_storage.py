"""Buckets, against the emulated Cloud Storage through the real client."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from google.cloud.storage import Client

from mlp_helpers.errors import ServiceError
from mlp_helpers.storage import STATE_LIFECYCLE, Artifacts, delete_bucket, ensure_state_bucket
from tests.sandbox.google.conftest import PROJECT, Sandbox

LOCATION = "us-central1"


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    running = Sandbox(tmp_path_factory.mktemp("storage") / "home")
    yield running
    running.stop()


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return sandbox.storage()


@pytest.fixture
def name() -> str:
    return f"bucket-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def artifacts(client: Client, name: str) -> Artifacts:
    bucket = client.bucket(name)
    bucket.versioning_enabled = True
    bucket.create(location=LOCATION)
    return Artifacts(client, name)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.csv"
    path.write_text("a,b\n1,2\n")
    return path


def test_state_bucket_is_versioned_and_closed(client: Client, name: str) -> None:
    assert ensure_state_bucket(client, name, project=PROJECT, location=LOCATION)
    bucket = client.get_bucket(name)
    assert bucket.versioning_enabled
    assert bucket.iam_configuration.uniform_bucket_level_access_enabled
    assert bucket.iam_configuration.public_access_prevention == "enforced"
    assert bucket.soft_delete_policy.retention_duration_seconds == 604_800
    assert [dict(rule) for rule in bucket.lifecycle_rules] == list(STATE_LIFECYCLE)
    assert bucket.location == "US-CENTRAL1"


def test_state_bucket_is_made_once(client: Client, name: str) -> None:
    ensure_state_bucket(client, name, project=PROJECT, location=LOCATION)
    before = client.get_bucket(name).metageneration
    assert not ensure_state_bucket(client, name, project=PROJECT, location=LOCATION)
    assert client.get_bucket(name).metageneration == before


def test_state_bucket_that_drifted_is_brought_in_order_and_keeps_the_rest(client: Client, name: str) -> None:
    bucket = client.bucket(name)
    bucket.labels = {"owner": "ada"}
    bucket.add_lifecycle_delete_rule(age=1000)
    bucket.create(location=LOCATION)
    assert ensure_state_bucket(client, name, project=PROJECT, location=LOCATION)
    found = client.get_bucket(name)
    assert found.versioning_enabled
    assert found.labels == {"owner": "ada"}
    assert len(list(found.lifecycle_rules)) == 1 + len(STATE_LIFECYCLE)
    assert not ensure_state_bucket(client, name, project=PROJECT, location=LOCATION)


def test_name_of_someone_else_is_explained_with_a_free_one(sandbox: Sandbox, client: Client) -> None:
    name = "x" * 60
    with pytest.MonkeyPatch.context() as patch:
        client.bucket(name).create(location=LOCATION)
        patch.setattr(client, "list_buckets", lambda **_: [])  # the project has no such bucket
        with pytest.raises(ServiceError) as error:
            ensure_state_bucket(client, name, project=PROJECT, location=LOCATION)
    assert "belongs to another project" in error.value.what
    suggested = error.value.fix.rpartition(" ")[2]
    assert len(suggested) <= 63
    assert ensure_state_bucket(client, suggested, project=PROJECT, location=LOCATION)


def test_missing_permission_is_explained(sandbox: Sandbox, name: str) -> None:
    with pytest.raises(ServiceError) as error:
        ensure_state_bucket(sandbox.storage("nobody@example.com"), name, project=PROJECT, location=LOCATION)
    assert "(403)" in error.value.why
    assert "roles/storage.admin" in error.value.fix


def test_wrong_bucket_name_is_explained(client: Client) -> None:
    with pytest.raises(ServiceError, match="Invalid bucket name"):
        ensure_state_bucket(client, "Not_A_Bucket", project=PROJECT, location=LOCATION)


def test_bucket_with_contents_goes_only_when_told(client: Client, artifacts: Artifacts, file: Path) -> None:
    for text in ("one", "two"):
        file.write_text(text)
        artifacts.upload_file(file, "data.csv")
    for number in range(130):
        client.bucket(artifacts.bucket_name).blob(f"many/{number}").upload_from_string("x")
    with pytest.raises(ServiceError, match="It is not empty"):
        delete_bucket(client, artifacts.bucket_name, contents=False)
    assert delete_bucket(client, artifacts.bucket_name, contents=True)
    assert not delete_bucket(client, artifacts.bucket_name, contents=True)


def test_file_is_sent_once(artifacts: Artifacts, file: Path) -> None:
    assert artifacts.upload_file(file, "data/data.csv")
    assert not artifacts.upload_file(file, "data/data.csv")
    file.write_text("a,b\n3,4\n")
    assert artifacts.upload_file(file, "data/data.csv")
    assert artifacts.download("data/data.csv", file.with_name("back.csv")).read_text() == "a,b\n3,4\n"


def test_folder_is_sent_with_its_subfolders(artifacts: Artifacts, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "b.txt").write_text("b")
    assert artifacts.upload_folder(folder, "data/flights") == 2
    assert artifacts.upload_folder(folder, "data/flights/") == 0
    assert artifacts.list("data/flights") == ["data/flights/a.txt", "data/flights/deep/b.txt"]


def test_folder_does_not_mean_names_that_only_begin_alike(artifacts: Artifacts, file: Path) -> None:
    for name in ("data/a", "data-old/a"):
        artifacts.upload_file(file, name)
    assert artifacts.list("data") == ["data/a"]
    assert artifacts.delete_prefix("data") == 1
    assert artifacts.list() == ["data-old/a"]


def test_nothing_is_deleted_without_a_folder(artifacts: Artifacts) -> None:
    with pytest.raises(ValueError, match="needs a folder"):
        artifacts.delete_prefix("/")


def test_parquet_files_become_one_table(artifacts: Artifacts, tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / f"{number}.parquet"
        pd.DataFrame({"part": [number], "value": [number * 1.5]}).to_parquet(path)
        artifacts.upload_file(path, f"results/{path.name}")
    (tmp_path / "_SUCCESS").write_text("")
    artifacts.upload_file(tmp_path / "_SUCCESS", "results/_SUCCESS")
    found = artifacts.read_parquet("results")
    assert found.to_dict("list") == {"part": [0, 1, 2], "value": [0.0, 1.5, 3.0]}


def test_table_that_is_not_there_is_explained(artifacts: Artifacts) -> None:
    with pytest.raises(ServiceError) as error:
        artifacts.read_parquet("results")
    assert "There is no table in gs://" in error.value.what
    assert "Run the job" in error.value.fix


def test_bucket_that_is_not_there_is_explained(client: Client, name: str, file: Path) -> None:
    absent = Artifacts(client, name)
    with pytest.raises(ServiceError, match=r"404.*"):
        absent.list("data")
    with pytest.raises(ServiceError) as error:
        absent.download("data.csv", file.with_name("back.csv"))
    assert "has been provisioned" in error.value.fix
    assert not file.with_name("back.csv").exists()
    assert not file.with_name("back.csv.part").exists()
