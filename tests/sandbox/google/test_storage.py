"""Cloud Storage through its real client."""

from __future__ import annotations

import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from google.api_core import exceptions
from google.cloud import storage

from tests.sandbox.google.conftest import NUMBER, PROJECT, Sandbox


def test_a_new_bucket_reads_back_as_it_was_asked_for(sandbox: Sandbox) -> None:
    bucket = sandbox.storage().bucket("settings-bucket")
    bucket.versioning_enabled = True
    bucket.labels = {"team": "ml"}
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.soft_delete_policy.retention_duration_seconds = 0
    bucket.add_lifecycle_delete_rule(age=30, is_live=False)
    bucket.create(location="us-central1")

    read = sandbox.storage().get_bucket("settings-bucket")

    assert read.versioning_enabled
    assert read.labels == {"team": "ml"}
    assert read.iam_configuration.uniform_bucket_level_access_enabled
    assert read.iam_configuration.public_access_prevention == "enforced"
    assert read.soft_delete_policy.retention_duration_seconds == 0
    assert [rule["condition"] for rule in read.lifecycle_rules] == [{"age": 30, "isLive": False}]
    assert (read.location, read.location_type, str(read.project_number)) == ("US-CENTRAL1", "region", NUMBER)


def test_a_bucket_name_is_taken_once_and_checked(sandbox: Sandbox) -> None:
    client = sandbox.storage()
    client.create_bucket("taken-once")
    with pytest.raises(exceptions.Conflict, match="you already own it"):
        client.create_bucket("taken-once")
    with pytest.raises(exceptions.BadRequest, match="Invalid bucket name"):
        client.create_bucket("Not_A_Bucket")


def test_a_patch_changes_labels_and_lifecycle_and_counts(bucket: storage.Bucket) -> None:
    bucket.labels = {"a": "1", "b": "2"}
    bucket.patch()
    labels = bucket.labels
    del labels["a"]
    bucket.labels = labels
    bucket.add_lifecycle_delete_rule(number_of_newer_versions=3)
    bucket.patch()

    bucket.reload()

    assert bucket.labels == {"b": "2"}
    assert len(list(bucket.lifecycle_rules)) == 1
    assert bucket.metageneration == 3
    bucket.versioning_enabled = False
    bucket.update()
    bucket.reload()
    assert not bucket.versioning_enabled


def test_buckets_are_listed_by_prefix_and_page(sandbox: Sandbox) -> None:
    client = sandbox.storage()
    for number in range(5):
        client.create_bucket(f"paged-{number}")
    assert [found.name for found in client.list_buckets(prefix="paged-", page_size=2)] == [
        f"paged-{n}" for n in range(5)
    ]
    assert client.lookup_bucket("paged-nine") is None


def test_a_bucket_with_objects_or_versions_cannot_be_deleted(bucket: storage.Bucket) -> None:
    bucket.blob("kept").upload_from_string("1")
    with pytest.raises(exceptions.Conflict, match="not empty"):
        bucket.delete()
    bucket.blob("kept").delete()
    with pytest.raises(exceptions.Conflict, match="not empty"):
        bucket.delete()
    for version in bucket.list_blobs(versions=True):
        version.delete()
    bucket.delete()
    assert not bucket.exists()


def test_bytes_come_back_with_their_checksums(bucket: storage.Bucket) -> None:
    content = os.urandom(3_000_000)
    blob = bucket.blob("folder/with space/ü#?.bin")
    blob.metadata = {"kind": "test"}
    blob.cache_control = "no-cache"
    blob.upload_from_string(content, content_type="application/x-test")

    read = bucket.get_blob("folder/with space/ü#?.bin")

    assert read.download_as_bytes() == content
    assert read.download_as_bytes(start=10, end=19) == content[10:20]
    assert read.download_as_bytes(start=2_999_990) == content[-10:]
    assert (read.size, read.content_type, read.metadata) == (3_000_000, "application/x-test", {"kind": "test"})
    assert read.crc32c
    assert read.md5_hash
    assert read.media_link.startswith("http://127.0.0.1:")


def test_an_empty_object_is_an_object(bucket: storage.Bucket) -> None:
    bucket.blob("empty").upload_from_string(b"")
    assert bucket.blob("empty").download_as_bytes() == b""
    assert bucket.get_blob("empty").size == 0


def test_a_resumable_upload_arrives_in_chunks(bucket: storage.Bucket) -> None:
    content = os.urandom(1_200_000)
    blob = bucket.blob("chunked", chunk_size=256 * 1024)
    blob.upload_from_file(io.BytesIO(content), content_type="application/x-chunks")
    assert blob.content_type == "application/x-chunks"
    assert bucket.blob("chunked").download_as_bytes() == content


def test_a_resumable_upload_of_unknown_length_ends_with_its_last_chunk(bucket: storage.Bucket) -> None:
    with bucket.blob("streamed").open("wb", chunk_size=256 * 1024) as writer:
        for _ in range(3):
            writer.write(os.urandom(200_000))
    assert bucket.get_blob("streamed").size == 600_000
    with bucket.blob("streamed").open("rb") as reader:
        assert len(reader.read(100)) == 100


def test_a_resumable_upload_goes_on_where_it_was_broken(bucket: storage.Bucket, sandbox: Sandbox) -> None:
    url = bucket.blob("broken").create_resumable_upload_session(size=6)
    headers = {"Authorization": f"Bearer {sandbox.owner_token}"}
    first = requests.put(url, b"abc", headers=headers | {"Content-Range": "bytes 0-2/6"}, timeout=5)
    asked = requests.put(url, headers=headers | {"Content-Range": "bytes */6"}, timeout=5)
    last = requests.put(url, b"def", headers=headers | {"Content-Range": "bytes 3-5/6"}, timeout=5)
    assert (first.status_code, asked.status_code, last.status_code) == (308, 308, 200)
    assert asked.headers["Range"] == "bytes=0-2"
    assert bucket.blob("broken").download_as_bytes() == b"abcdef"


def test_an_upload_with_a_wrong_checksum_is_refused(bucket: storage.Bucket) -> None:
    blob = bucket.blob("damaged")
    blob.md5_hash = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(exceptions.BadRequest, match="doesn't match calculated MD5"):
        blob.upload_from_string("other bytes")
    assert not blob.exists()


def test_generation_zero_writes_only_once(bucket: storage.Bucket) -> None:
    bucket.blob("lock").upload_from_string("1", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("lock").upload_from_string("2", if_generation_match=0)
    assert bucket.blob("lock").download_as_bytes() == b"1"


def test_of_sixteen_creators_one_wins(bucket: storage.Bucket) -> None:
    def create(number: int) -> bool:
        try:
            bucket.blob("race").upload_from_string(str(number), if_generation_match=0)
        except exceptions.PreconditionFailed:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(create, range(16))) == 1


def test_writes_and_deletes_of_a_wrong_generation_are_refused(bucket: storage.Bucket) -> None:
    blob = bucket.blob("guarded")
    blob.upload_from_string("1")
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("guarded").upload_from_string("2", if_generation_match=blob.generation + 1)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("guarded").delete(if_generation_match=blob.generation + 1)
    bucket.blob("guarded").upload_from_string("3", if_generation_match=blob.generation)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.patch(if_metageneration_match=7)


def test_a_read_that_finds_nothing_new_is_not_modified(bucket: storage.Bucket) -> None:
    blob = bucket.blob("same")
    blob.upload_from_string("1")
    with pytest.raises(exceptions.NotModified):
        blob.reload(if_generation_not_match=blob.generation)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.download_as_bytes(if_generation_match=1)


def test_versions_are_kept_listed_and_read(bucket: storage.Bucket) -> None:
    for text in ("one", "two", "three"):
        bucket.blob("versioned").upload_from_string(text)
    versions = list(bucket.list_blobs(versions=True))
    assert [version.download_as_bytes() for version in versions] == [b"one", b"two", b"three"]
    assert [version.time_deleted is None for version in versions] == [False, False, True]
    assert [found.name for found in bucket.list_blobs()] == ["versioned"]
    bucket.blob("versioned").delete()
    assert not bucket.blob("versioned").exists()
    assert bucket.blob("versioned", generation=versions[0].generation).download_as_bytes() == b"one"
    assert len(list(bucket.list_blobs(versions=True))) == 3


def test_without_versioning_the_old_bytes_are_gone(sandbox: Sandbox) -> None:
    bucket = sandbox.storage().create_bucket("unversioned-bucket")
    files = sandbox.home / "google" / "storage" / "contents"
    bucket.blob("only").upload_from_string("1")
    before = sum(1 for _ in files.glob("*/*"))
    bucket.blob("only").upload_from_string("2")
    assert len(list(bucket.list_blobs(versions=True))) == 1
    assert sum(1 for _ in files.glob("*/*")) == before


def test_listing_by_prefix_delimiter_and_page(bucket: storage.Bucket) -> None:
    for name in ("a.txt", "dir/", "dir/1", "dir/2", "dir/sub/3", "dir2/4", "z.txt"):
        bucket.blob(name).upload_from_string(name)
    top = bucket.list_blobs(delimiter="/", page_size=2)
    assert [blob.name for blob in top] == ["a.txt", "z.txt"]
    assert top.prefixes == {"dir/", "dir2/"}
    inner = bucket.list_blobs(prefix="dir/", delimiter="/")
    assert [blob.name for blob in inner] == ["dir/", "dir/1", "dir/2"]
    assert inner.prefixes == {"dir/sub/"}
    assert [blob.name for blob in bucket.list_blobs(page_size=3)][-1] == "z.txt"
    assert [blob.name for blob in bucket.list_blobs(start_offset="dir/2", end_offset="dir2/")] == ["dir/2", "dir/sub/3"]
    assert [blob.name for blob in bucket.list_blobs(match_glob="dir/*")] == ["dir/", "dir/1", "dir/2"]
    assert [blob.name for blob in bucket.list_blobs(match_glob="**.txt")] == ["a.txt", "z.txt"]


def test_copy_rewrite_rename_and_compose(bucket: storage.Bucket) -> None:
    source = bucket.blob("source")
    source.metadata = {"k": "v"}
    source.upload_from_string("abc", content_type="text/x-a")
    copied = bucket.copy_blob(source, bucket, "copied")
    assert (copied.download_as_bytes(), copied.content_type) == (b"abc", "text/x-a")
    target = bucket.blob("rewritten")
    token, done, total = target.rewrite(source)
    assert (token, done, total) == (None, 3, 3)
    renamed = bucket.rename_blob(target, "renamed")
    assert renamed.download_as_bytes() == b"abc"
    assert not bucket.blob("rewritten").exists()
    joined = bucket.blob("joined")
    joined.compose([source, copied])
    joined.reload()
    assert joined.download_as_bytes() == b"abcabc"
    assert (joined.component_count, joined.md5_hash) == (2, None)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("joined").compose([source], if_generation_match=0)


def test_metadata_of_an_object_is_patched(bucket: storage.Bucket) -> None:
    blob = bucket.blob("described")
    blob.upload_from_string("1")
    blob.metadata = {"stage": "prod"}
    blob.content_type = "text/csv"
    blob.patch()
    read = bucket.get_blob("described")
    assert (read.metadata, read.content_type, read.metageneration) == ({"stage": "prod"}, "text/csv", 2)
    assert read.generation == blob.generation


def test_a_batch_deletes_many_and_tells_of_the_missing(sandbox: Sandbox, bucket: storage.Bucket) -> None:
    for number in range(10):
        bucket.blob(f"batch/{number}").upload_from_string("x")
    client = sandbox.storage()
    with client.batch():
        for number in range(10):
            client.bucket(bucket.name).blob(f"batch/{number}").delete()
    assert list(bucket.list_blobs()) == []
    with pytest.raises(exceptions.NotFound), client.batch():
        client.bucket(bucket.name).blob("missing").delete()


def test_delete_bucket_by_force(bucket: storage.Bucket) -> None:
    bucket.blob("x").upload_from_string("1")
    bucket.blob("x").upload_from_string("2")
    bucket.delete(force=True)
    assert not bucket.exists()


def test_missing_things_are_not_found(sandbox: Sandbox, bucket: storage.Bucket) -> None:
    with pytest.raises(exceptions.NotFound, match="No such object"):
        bucket.blob("missing").download_as_bytes()
    with pytest.raises(exceptions.NotFound, match="bucket does not exist"):
        sandbox.storage().get_bucket("missing-bucket")
    with pytest.raises(exceptions.NotFound, match="bucket does not exist"):
        sandbox.storage().bucket("missing-bucket").blob("x").upload_from_string("1")


def test_the_bucket_policy_rules_others(sandbox: Sandbox, bucket: storage.Bucket) -> None:
    reader = sandbox.storage("reader@example.com").bucket(bucket.name)
    bucket.blob("shared").upload_from_string("1")
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.get"):
        reader.blob("shared").download_as_bytes()

    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"user:reader@example.com"}})
    bucket.set_iam_policy(policy)

    assert reader.blob("shared").download_as_bytes() == b"1"
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.create"):
        reader.blob("shared").upload_from_string("2")
    assert reader.test_iam_permissions(["storage.objects.get", "storage.objects.create"]) == ["storage.objects.get"]
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.set_iam_policy(policy)


def test_a_policy_with_an_unknown_role_or_member_is_refused(bucket: storage.Bucket) -> None:
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.nothing", "members": {"user:a@example.com"}})
    with pytest.raises(exceptions.BadRequest, match="not supported"):
        bucket.set_iam_policy(policy)
    policy.bindings[-1] = {"role": "roles/storage.admin", "members": {"somebody"}}
    with pytest.raises(exceptions.BadRequest, match="not of a known type"):
        bucket.set_iam_policy(policy)


def test_a_bad_token_is_401_everywhere(sandbox: Sandbox, bucket: storage.Bucket) -> None:
    headers = {"Authorization": "Bearer nobody"}
    for path in (
        f"/storage/v1/b/{bucket.name}",
        f"/{bucket.name}/object",
        "/storage/v1/b/no-bucket",
        "/storage/v1/nothing",
    ):
        assert requests.get(sandbox.url + path, headers=headers, timeout=5).status_code == 401, path
        assert requests.get(sandbox.url + path, timeout=5).status_code == 401, path


def test_the_xml_path_reads_objects(sandbox: Sandbox, bucket: storage.Bucket) -> None:
    bucket.blob("a/b").upload_from_string("text", content_type="text/x-b")
    headers = {"Authorization": f"Bearer {sandbox.owner_token}"}
    whole = requests.get(f"{sandbox.url}/{bucket.name}/a/b", headers=headers, timeout=5)
    part = requests.get(f"{sandbox.url}/{bucket.name}/a/b", headers=headers | {"Range": "bytes=1-2"}, timeout=5)
    head = requests.head(f"{sandbox.url}/{bucket.name}/a/b", headers=headers, timeout=5)
    missing = requests.get(f"{sandbox.url}/{bucket.name}/c", headers=headers, timeout=5)
    assert (whole.text, part.text, part.status_code) == ("text", "ex", 206)
    assert part.headers["Content-Range"] == "bytes 1-2/4"
    assert (head.headers["Content-Length"], head.headers["X-Goog-Generation"]) == (
        "4",
        whole.headers["X-Goog-Generation"],
    )
    assert missing.status_code == 404
    assert "<Code>NoSuchKey</Code>" in missing.text


def test_what_gcloud_asks_of_a_bucket_is_answered(sandbox: Sandbox, bucket: storage.Bucket) -> None:
    headers = {"Authorization": f"Bearer {sandbox.owner_token}"}
    base = f"{sandbox.url}/storage/v1/b/{bucket.name}"
    assert requests.get(f"{base}/storageLayout", headers=headers, timeout=5).json()["hierarchicalNamespace"] == {
        "enabled": False
    }
    assert requests.get(f"{base}/managedFolders", headers=headers, timeout=5).json()["items"] == []


def test_what_is_not_emulated_says_so(sandbox: Sandbox, bucket: storage.Bucket) -> None:
    headers = {"Authorization": f"Bearer {sandbox.owner_token}"}
    read = requests.get(f"{sandbox.url}/storage/v1/b/{bucket.name}/acl", headers=headers, timeout=5)
    write = requests.post(f"{sandbox.url}/storage/v1/b/{bucket.name}/acl", headers=headers, timeout=5)
    assert (read.status_code, write.status_code) == (501, 400)
    assert read.json()["error"]["message"].startswith("not emulated in the sandbox: GET /storage/v1/b/")


def test_a_multipart_body_with_bare_line_ends_is_read(sandbox: Sandbox, bucket: storage.Bucket) -> None:
    resource = b'--===1===\nContent-Type: application/json\n\n{"name": "bare"}\n'
    body = resource + b"--===1===\nContent-Type: text/x-g\n\nline\n\n--===1===--\n"
    headers = {
        "Authorization": f"Bearer {sandbox.owner_token}",
        "Content-Type": "multipart/related; boundary='===1==='",
    }
    url = f"{sandbox.url}/upload/storage/v1/b/{bucket.name}/o?uploadType=multipart"
    assert requests.post(url, body, headers=headers, timeout=5).json()["contentType"] == "text/x-g"
    assert bucket.blob("bare").download_as_bytes() == b"line\n"


def test_objects_outlive_the_server(start_sandbox: type[Sandbox], tmp_path: Path) -> None:
    first = start_sandbox()
    bucket = first.storage().create_bucket("kept-bucket")
    bucket.blob("kept").upload_from_string("1")
    generation = bucket.get_blob("kept").generation
    session = bucket.blob("later").create_resumable_upload_session(size=4)
    port = int(first.url.rpartition(":")[2])
    token = {"Authorization": f"Bearer {first.owner_token}"}
    requests.put(session, b"ab", headers=token | {"Content-Range": "bytes 0-1/4"}, timeout=5)
    first.stop()

    second = start_sandbox(http_port=port)
    again = second.storage().bucket("kept-bucket")

    assert again.get_blob("kept").generation == generation
    assert again.blob("kept").download_as_bytes() == b"1"
    assert requests.put(session, b"cd", headers=token | {"Content-Range": "bytes 2-3/4"}, timeout=5).status_code == 200
    assert again.blob("later").download_as_bytes() == b"abcd"


def test_a_project_without_the_service_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(exceptions.Forbidden, match="Permission denied on resource project"):
        storage.Client(
            project="no-such-project", credentials=sandbox.credentials(), client_options={"api_endpoint": sandbox.url}
        ).create_bucket("nobodys-bucket")
    assert PROJECT == "mlp-sandbox"
