"""State and artifact buckets in Cloud Storage."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlp_helpers.errors import ServiceError

if TYPE_CHECKING:
    import pandas as pd
    from google.cloud.storage import Blob, Bucket, Client

__all__ = ["Artifacts", "delete_bucket", "ensure_state_bucket"]

SOFT_DELETE_SECONDS = 7 * 86_400
KEPT_VERSIONS, KEPT_DAYS = 10, 90  # of a state: whichever keeps more
STATE_LIFECYCLE: tuple[dict[str, Any], ...] = (
    {
        "action": {"type": "Delete"},
        "condition": {"daysSinceNoncurrentTime": KEPT_DAYS, "numNewerVersions": KEPT_VERSIONS, "isLive": False},
    },
    # each lock that Terraform takes and gives back leaves a version behind
    {"action": {"type": "Delete"}, "condition": {"age": 1, "isLive": False, "matchesSuffix": [".tflock"]}},
)
LONGEST_NAME = 63
BATCH = 100  # what the service takes in one call
TRANSFERS = 8

Names = list[str]


def ensure_state_bucket(client: Client, name: str, *, project: str, location: str) -> bool:
    """Make the bucket for Terraform's state, or bring the one that is there in order.

    It keeps old versions, is not public, is governed by IAM alone, and what is deleted can be got back for a week.

    Args:
        client: A client of Cloud Storage.
        name: Name of the bucket; bucket names are worldwide.
        project: Project that the bucket belongs to.
        location: Region or multi-region.

    Returns:
        Whether the bucket was made or changed.

    Raises:
        ServiceError: The name belongs to someone else, or the service refused.
    """
    from google.api_core import exceptions

    with _explaining(f"The state bucket gs://{name} cannot be made"):
        bucket = client.bucket(name)
        _secure(bucket)
        try:
            bucket.create(project=project, location=location)
        except exceptions.Conflict as conflict:
            present = _own_bucket(client, name, project, conflict)
            return _secure(present) and _patched(present)
    return True


def _own_bucket(client: Client, name: str, project: str, conflict: Exception) -> Bucket:
    """The bucket of a taken name, if the project has it."""
    from google.api_core import exceptions

    try:
        if any(each.name == name for each in client.list_buckets(project=project, prefix=name)):
            return client.get_bucket(name)
    except exceptions.Forbidden as error:
        raise ServiceError(
            f"gs://{name} is there, but you may not read it.",
            why=error.message,
            fix=f"Ask for roles/storage.admin on the project {project}.",
        ) from error
    suffix = hashlib.sha256(project.encode()).hexdigest()[:6]
    free = f"{name[: LONGEST_NAME - len(suffix) - 1]}-{suffix}"
    raise ServiceError(
        f"The bucket name {name} belongs to another project.",
        why=f"Bucket names are worldwide, and {project} has no bucket of this name.",
        fix=f"Choose another in mlp.yaml, for instance\n  buckets:\n    state: {free}",
    ) from conflict


def _secure(bucket: Bucket) -> bool:
    """Give a bucket the settings of a state bucket; whether any was missing. Its other settings stay."""
    iam, rules = bucket.iam_configuration, [dict(rule) for rule in bucket.lifecycle_rules]
    missing = [rule for rule in STATE_LIFECYCLE if rule not in rules]
    is_secure = (
        bucket.versioning_enabled
        and iam.uniform_bucket_level_access_enabled
        and iam.public_access_prevention == "enforced"
        and (bucket.soft_delete_policy.retention_duration_seconds or 0) >= SOFT_DELETE_SECONDS
    )
    if is_secure and not missing:
        return False
    bucket.versioning_enabled = True
    iam.uniform_bucket_level_access_enabled = True
    iam.public_access_prevention = "enforced"
    if (bucket.soft_delete_policy.retention_duration_seconds or 0) < SOFT_DELETE_SECONDS:
        bucket.soft_delete_policy.retention_duration_seconds = SOFT_DELETE_SECONDS
    bucket.lifecycle_rules = [*rules, *missing]
    return True


def _patched(bucket: Bucket) -> bool:
    bucket.patch()
    return True


def delete_bucket(client: Client, name: str, *, contents: bool) -> bool:
    """Delete a bucket.

    Args:
        client: A client of Cloud Storage.
        name: Name of the bucket.
        contents: Whether everything in it goes too, old versions included.

    Returns:
        Whether there was such a bucket.

    Raises:
        ServiceError: The bucket is not empty and `contents` is false, or the service refused.
    """
    from google.api_core import exceptions

    with _explaining(f"The bucket gs://{name} cannot be deleted"):
        bucket = client.lookup_bucket(name)
        if bucket is None:
            return False
        if contents:
            _delete_blobs(client, client.list_blobs(name, versions=True))
        try:
            bucket.delete()
        except exceptions.NotFound:
            return False
        except exceptions.Conflict as error:
            raise ServiceError(
                f"The bucket gs://{name} cannot be deleted.",
                why="It is not empty." if not contents else "Something was written to it in the meantime.",
                fix="Pass contents=True to delete what is in it." if not contents else "Run the step again.",
            ) from error
    return True


def _delete_blobs(client: Client, blobs: Iterable[Blob]) -> int:
    """Delete exactly these versions; what is gone already does not matter."""
    count, rest = 0, iter(blobs)
    while batch := list(islice(rest, BATCH)):
        with client.batch(raise_exception=False):
            for blob in batch:
                blob.bucket.blob(blob.name, generation=blob.generation).delete()
        count += len(batch)
    return count


class Artifacts:
    """A bucket for data and results.

    A folder, in what follows, is the beginning of objects' names up to a slash, as in `data/flights`.

    Args:
        client: A client of Cloud Storage.
        bucket: Name of the bucket.
    """

    def __init__(self, client: Client, bucket: str) -> None:
        self._client = client
        self.bucket_name = bucket

    def upload_file(self, path: Path, name: str) -> bool:
        """Upload a file; whether it had to be sent, which it has not if the same content is there."""
        with _explaining(f"{path.name} cannot be uploaded to gs://{self.bucket_name}/{name}"):
            present = self._bucket.get_blob(name)
            if present is not None and present.size == path.stat().st_size and present.crc32c == _crc32c(path):
                return False
            self._bucket.blob(name).upload_from_filename(str(path))
        return True

    def upload_folder(self, folder: Path, target: str) -> int:
        """Upload the files of a folder, subfolders too; how many had to be sent."""
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        prefix = _folder(target)
        with ThreadPoolExecutor(TRANSFERS) as pool:
            sent = pool.map(lambda path: self.upload_file(path, prefix + path.relative_to(folder).as_posix()), files)
            return sum(sent)

    def download(self, name: str, path: Path) -> Path:
        """Download an object into a file; a download that breaks off leaves no file."""
        trial = path.with_name(path.name + ".part")
        with _explaining(f"gs://{self.bucket_name}/{name} cannot be downloaded"):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._bucket.blob(name).download_to_filename(str(trial))
                trial.replace(path)
            finally:
                trial.unlink(missing_ok=True)
        return path

    def list(self, folder: str = "") -> Names:
        """Names of the objects in a folder, subfolders too, sorted."""
        with _explaining(f"gs://{self.bucket_name}/{folder} cannot be listed"):
            return sorted(blob.name for blob in self._client.list_blobs(self.bucket_name, prefix=_folder(folder)))

    def read_parquet(self, folder: str) -> pd.DataFrame:
        """The Parquet files of a folder as one table, in the order of their names.

        Raises:
            ServiceError: There are none, or the service refused.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = [name for name in self.list(folder) if name.endswith(".parquet")]
        if not names:
            raise ServiceError(
                f"There is no table in gs://{self.bucket_name}/{folder}.",
                why="No object in it ends with .parquet.",
                fix="Run the job that writes it, and look at its log.",
            )
        with _explaining(f"The table in gs://{self.bucket_name}/{folder} cannot be read"):
            with ThreadPoolExecutor(TRANSFERS) as pool:
                contents = pool.map(lambda name: self._bucket.blob(name).download_as_bytes(), names)
                tables = [pq.read_table(io.BytesIO(content)) for content in contents]
            frame: pd.DataFrame = pa.concat_tables(tables, promote_options="default").to_pandas()
        return frame

    def delete_prefix(self, folder: str) -> int:
        """Delete the objects of a folder; how many there were. Old versions go by the bucket's lifecycle.

        Raises:
            ValueError: No folder is named; a whole bucket is emptied by `delete_bucket`.
        """
        if not folder.strip("/"):
            raise ValueError("delete_prefix needs a folder; delete_bucket empties a bucket")
        with _explaining(f"gs://{self.bucket_name}/{folder} cannot be deleted"):
            found = list(self._client.list_blobs(self.bucket_name, prefix=_folder(folder)))
            with ThreadPoolExecutor(TRANSFERS) as pool:
                return sum(pool.map(self._delete, (blob.name for blob in found)))

    def _delete(self, name: str) -> bool:
        from google.api_core import exceptions

        try:
            self._bucket.blob(name).delete()
        except exceptions.NotFound:
            return False
        return True

    @property
    def _bucket(self) -> Bucket:
        return self._client.bucket(self.bucket_name)


def _folder(name: str) -> str:
    name = name.strip("/")
    return f"{name}/" if name else ""


def _crc32c(path: Path) -> str:
    import google_crc32c

    checksum: Any = google_crc32c.Checksum()  # type: ignore[no-untyped-call]
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            checksum.update(piece)
    return base64.b64encode(checksum.digest()).decode()


@contextmanager
def _explaining(what: str) -> Iterator[None]:
    """Turn a refusal of Cloud Storage into an error that a person can act on."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    try:
        yield
    except exceptions.GoogleAPICallError as error:
        raise ServiceError(
            f"{what}.", why=f"Cloud Storage says ({error.code}): {error.message}", fix=_fix(error)
        ) from error
    except GoogleAuthError as error:
        raise ServiceError(
            f"{what}.", why=f"The credentials do not work: {error}", fix="gcloud auth application-default login"
        ) from error
    except (exceptions.RetryError, RequestException) as error:
        raise ServiceError(
            f"{what}.",
            why=f"Cloud Storage does not answer: {type(error).__name__}.",
            fix="Check the network and any proxy, then run the step again.",
        ) from error


def _fix(error: Exception) -> str:
    from google.api_core import exceptions

    match error:
        case exceptions.Unauthorized():
            return "Sign in again: gcloud auth application-default login"
        case exceptions.Forbidden():
            return "Ask for the permission that the message names; roles/storage.admin on the project holds them all."
        case exceptions.NotFound():
            return "Check the name of the bucket in mlp.yaml, and that the environment has been provisioned."
        case exceptions.BadRequest():
            return "Correct what the message names, then run the step again."
        case _:
            return "Run the step again in a few minutes."
