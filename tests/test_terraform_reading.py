"""How Terraform's plans, events, locks and complaints are read; nothing runs here."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlp_helpers.errors import TerraformError
from mlp_helpers.terraform import Diagnostic, Outputs, StateLockedError, Terraform
from mlp_helpers.terraform.diagnostics import failure, read_diagnostics
from mlp_helpers.terraform.locks import Candidate, read_lock
from mlp_helpers.terraform.plan import ATTRIBUTES_SHOWN, read_plan
from mlp_helpers.terraform.progress import Progress

CREATED = datetime(2026, 11, 25, 1, 39, 42, tzinfo=UTC)


def change(actions: list[str], *, kind: str = "google_storage_bucket", **parts: Any) -> dict[str, Any]:
    return {
        "address": f"module.one.{kind}.this",
        "type": kind,
        "name": "this",
        "change": {"actions": actions, "before": {}, "after": {}, **parts},
    }


def plan_of(*changes: dict[str, Any], **more: Any) -> Any:
    return read_plan(json.dumps({"resource_changes": changes, **more}))


def test_a_plan_counts_its_actions_and_leaves_out_what_stays() -> None:
    plan = plan_of(change(["no-op"]), change(["create"]), change(["create"]), change(["create", "delete"]))

    assert plan.summary == {"create": 2, "replace": 1}
    assert plan.steps == 4
    assert str(plan) == "Plan: 2 to create, 1 to replace"


@pytest.mark.parametrize("kind", ["google_container_cluster", "google_storage_bucket", "github_repository"])
@pytest.mark.parametrize("actions", [["delete"], ["delete", "create"], ["create", "delete"]])
def test_a_plan_knows_what_loses_data(kind: str, actions: list[str]) -> None:
    plan = plan_of(change(actions, kind=kind), change(["delete"], kind="google_project_service"))

    assert [each.type for each in plan.destroys_data] == [kind]
    assert plan.rows()[0]["note"] == "loses what is in it"


def test_an_apply_refuses_to_lose_data_before_anything_runs(tmp_path: Path) -> None:
    terraform = Terraform(tmp_path / "source", tmp_path / "work", backend={}, environment={"PATH": ""})
    plan = plan_of(change(["delete", "create"], replace_paths=[["location"]]))

    with pytest.raises(TerraformError, match=r"replace module\.one\.google_storage_bucket\.this because of location"):
        terraform.apply(plan)
    assert not (tmp_path / "work").exists()


def test_what_is_protected_is_refused_before_its_nodes_are_gone(tmp_path: Path) -> None:
    terraform = Terraform(tmp_path / "source", tmp_path / "work", backend={}, environment={"PATH": ""})
    plan = plan_of(
        change(["delete"], kind="google_container_node_pool", after=None),
        change(["delete"], kind="google_container_cluster", before={"deletion_protection": True}, after=None),
    )

    with pytest.raises(TerraformError, match="is protected"):
        terraform.apply(plan, allow_destroy=True)
    assert [row["note"] for row in plan.rows()] == ["", "is protected, will be refused"]


def test_a_change_of_outputs_alone_is_a_change() -> None:
    assert plan_of(output_changes={"name": {"actions": ["create"]}}).has_changes
    assert not plan_of(output_changes={"name": {"actions": ["no-op"]}}).has_changes


def test_attributes_are_compared_leaf_by_leaf() -> None:
    plan = plan_of(
        change(
            ["update"],
            before={"labels": {"a": "1", "b": "2"}, "rules": [{"age": 1}], "same": True},
            after={"labels": {"a": "1", "b": "3"}, "rules": [{"age": 2}], "same": True},
            after_unknown={"etag": True},
        )
    )

    found = {each.path: (each.before, each.after) for each in plan.changes[0].attributes}
    assert found == {
        "labels.b": ("2", "3"),
        "rules[0].age": ("1", "2"),
        "etag": ("(none)", "(known after apply)"),
    }


@pytest.mark.parametrize(
    "marks",
    [{"before_sensitive": {"key": True}}, {"after_sensitive": {"key": True}}, {"after_sensitive": True}],
)
def test_secrets_are_not_shown(marks: dict[str, Any]) -> None:
    plan = plan_of(change(["update"], before={"key": "hush-1"}, after={"key": "hush-2"}, **marks))

    assert "hush" not in repr(plan)
    assert plan.changes[0].attributes[0].after == "(secret)"


def test_a_secret_inside_a_list_that_grows_is_not_shown() -> None:
    marks = {"before_sensitive": {"keys": [{"value": True}]}, "after_sensitive": {"keys": [{"value": True}, {}]}}
    plan = plan_of(
        change(["update"], before={"keys": [{"value": "hush"}]}, after={"keys": [{"value": "hush"}, {}]}, **marks)
    )

    assert "hush" not in repr(plan)


def test_the_reason_for_a_replacement_is_never_cut_off() -> None:
    before = {f"a{number:02}": "old" for number in range(50)} | {"zone": "a"}
    after = dict.fromkeys(before, "new")
    plan = plan_of(change(["delete", "create"], before=before, after=after, replace_paths=[["zone"]]))

    assert len(plan.changes[0].attributes) == ATTRIBUTES_SHOWN
    assert plan.changes[0].attributes[0].path == "zone"


def test_what_a_replacement_computes_anew_is_left_out() -> None:
    before = {"zone": "a", "endpoint": "10.0.0.2"}
    unknown = {"endpoint": True}
    plan = plan_of(
        change(
            ["delete", "create"], before=before, after={"zone": "b"}, after_unknown=unknown, replace_paths=[["zone"]]
        )
    )

    assert [each.path for each in plan.changes[0].attributes] == ["zone"]


class Recorder:
    def __init__(self) -> None:
        self.last = ("", None, None)

    def update(self, reason: str, *, done: int | None = None, total: int | None = None) -> None:
        self.last = (reason, done, total)  # type: ignore[assignment]


def event(kind: str, address: str, action: str = "create") -> dict[str, Any]:
    return {"type": kind, "hook": {"resource": {"addr": address}, "action": action}}


def test_progress_names_the_longest_running_resource_and_what_is_left() -> None:
    now = [0.0]
    watcher = Recorder()
    progress = Progress(watcher, total=3, clock=lambda: now[0])

    progress.hear(event("apply_start", "cluster"))
    now[0] = 10
    progress.hear(event("apply_start", "bucket"))
    now[0] = 75
    progress.hear(event("apply_progress", "cluster"))
    assert watcher.last == ("creating cluster for 1 min 15 s, and 1 more at once, 3 left", 0, 3)

    progress.hear(event("apply_complete", "cluster"))
    assert watcher.last == ("creating bucket for 1 min 5 s, 2 left", 1, 3)

    progress.hear(event("apply_errored", "bucket"))
    assert watcher.last == ("2 left", 1, 3)


def test_reading_what_exists_is_progress_too() -> None:
    watcher = Recorder()

    Progress(watcher).hear(event("refresh_complete", "cluster"))

    assert watcher.last == ("reading what exists: 1 so far, last cluster", None, None)


def lock_message(who: str) -> str:
    return f"""ConflictException: held
Lock Info:
  ID:        1764034782123456
  Path:      gs://mlp-sandbox-mlp-state/environment/dev/default.tflock
  Operation: OperationTypeApply
  Who:       {who}
  Version:   1.11.4
  Created:   2026-11-25 01:39:42.592956 +0000 UTC
  Info:


Terraform acquires a state lock to protect the state."""


BACKEND = {"bucket": "mlp-sandbox-mlp-state", "prefix": "environment/dev"}
HERE = f"ada@{socket.gethostname()}"


@pytest.mark.parametrize(
    ("who", "candidates", "holder"),
    [
        (HERE, [Candidate(7, CREATED - timedelta(seconds=3))], "alive"),
        (HERE, [Candidate(7, CREATED + timedelta(minutes=3))], "dead"),  # began after the lock was taken
        (HERE, [Candidate(7, CREATED, {**BACKEND, "credentials": None})], "alive"),
        (HERE, [Candidate(7, CREATED, {**BACKEND, "prefix": "environment/prod"})], "dead"),  # works on another state
        (HERE, [], "dead"),
        ("ada@elsewhere", [Candidate(7, CREATED)], "elsewhere"),
    ],
)
def test_a_lock_says_whether_its_holder_lives(who: str, candidates: list[Candidate], holder: str) -> None:
    lock = read_lock(lock_message(who), backend=BACKEND, candidates=candidates)

    assert lock is not None
    assert (lock.id, lock.operation, lock.created, lock.holder) == ("1764034782123456", "apply", CREATED, holder)
    assert who in lock.describe()
    assert ("force_unlock" in StateLockedError(lock, root="environment").fix) == (holder != "alive")


def test_a_lock_is_read_through_terraform_s_frame() -> None:
    framed = "\n".join(f"│ {line}" for line in lock_message(HERE).splitlines())

    lock = read_lock(framed, backend=BACKEND, candidates=[])

    assert lock is not None
    assert lock.id == "1764034782123456"


def test_other_messages_are_no_lock() -> None:
    assert read_lock("Error: Unsupported argument", backend=BACKEND) is None


def test_diagnostics_are_read_once_each_and_other_lines_are_passed_over() -> None:
    line = json.dumps(
        {
            "type": "diagnostic",
            "diagnostic": {
                "severity": "error",
                "summary": "Unsupported argument",
                "detail": 'An argument named "zone" is not expected here.',
                "range": {"filename": "main.tf", "start": {"line": 7}},
            },
        }
    )

    found = read_diagnostics(f"panic: no JSON\n{line}\n{line}\n[]\n")

    assert [(each.place, each.summary) for each in found] == [("main.tf:7", "Unsupported argument")]


def test_a_failure_names_the_place_the_detail_and_what_helps() -> None:
    refused = Diagnostic("error", "cannot destroy", "deletion_protection is true", "module.cluster.x.this", "a.tf", 3)
    others = [Diagnostic("error", f"error {number}") for number in range(9)]

    error = failure("Applying environment", [Diagnostic("warning", "old"), refused, *others])

    assert error.what == "Applying environment failed: cannot destroy (a.tf:3)."
    assert "deletion_protection is true" in error.why
    assert "and 5 more" in error.why
    assert "old" not in error.why
    assert "apply that, then destroy" in error.fix


def test_a_failure_without_diagnostics_shows_what_was_printed() -> None:
    assert "panic: nil map" in failure("Planning project", [], output="panic: nil map\n").why


def test_a_missing_output_says_which_there_are() -> None:
    outputs = Outputs.parse('{"cluster_name": {"value": "mlp-dev"}}', root="environment")

    with pytest.raises(TerraformError, match="cluster_name"):
        outputs.text("bucket")
