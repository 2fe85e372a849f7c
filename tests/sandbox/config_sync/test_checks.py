"""Each rule of a source has its code, and says which object in which file breaks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mlp_helpers.sandbox.controllers.config_sync.checks import Checked, check, declared_kinds
from mlp_helpers.sandbox.controllers.config_sync.decide import (
    Claim,
    Origin,
    claim,
    contains,
    decorated,
    implicit_namespaces,
    plan,
    prune_waves,
    released,
)
from mlp_helpers.sandbox.controllers.config_sync.names import ObjectId, SyncId, seconds
from mlp_helpers.sandbox.controllers.config_sync.parse import Declared, parse_manifests, read_manifests
from mlp_helpers.sandbox.controllers.config_sync.problems import ProblemsError
from mlp_helpers.sandbox.controllers.config_sync.selectors import select
from mlp_helpers.sandbox.controllers.config_sync.sync_rules import secret_fault, spec_fault

ROOT = SyncId("RootSync", "config-management-system", "root-sync")
TEAM = SyncId("RepoSync", "ml-team", "repo-sync")
KINDS: dict[tuple[str, str], bool | None] = {
    ("v1", "ConfigMap"): True,
    ("v1", "Namespace"): False,
    ("apps/v1", "Deployment"): True,
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): False,
    ("configsync.gke.io/v1beta1", "RootSync"): True,
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"): False,
}


def declare(*documents: dict[str, Any]) -> list[Declared]:
    text = yaml.safe_dump_all(documents)
    declared, problems = parse_manifests(text, "a.yaml")
    assert not problems
    return declared


def config_map(name: str = "a", namespace: str = "ml-team", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, **metadata}}


def codes(checked: Checked) -> list[int]:
    return [problem.code for problem in (*checked.blocking, *checked.passing)]


@pytest.mark.parametrize(
    ("code", "sync", "documents"),
    [
        (1005, ROOT, [config_map(annotations={"configmanagement.gke.io/managed": "enabled"})]),
        (1010, ROOT, [config_map(annotations={"configsync.gke.io/manager": ":root"})]),
        (1011, ROOT, [config_map(labels={"app.kubernetes.io/managed-by": "configmanagement.gke.io"})]),
        (1021, ROOT, [{"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "a", "namespace": "b"}}]),
        (1029, ROOT, [config_map(), config_map()]),
        (1031, ROOT, [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "ml-team"}}]),
        (1034, ROOT, [config_map(namespace="config-management-system")]),
        (1034, ROOT, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "config-management-system"}}]),
        (1036, ROOT, [config_map(name="Not_A_Name")]),
        (
            1036,
            ROOT,
            [{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "a/b"}}],
        ),
        (1045, ROOT, [config_map() | {"status": {"phase": "x"}}]),
        (1045, ROOT, [config_map(uid="1")]),
        (1052, ROOT, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a", "namespace": "b"}}]),
        (1054, ROOT, [config_map(annotations={"number": 1})]),
        (1058, TEAM, [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}]),
        (1058, TEAM, [config_map(namespace="other-team")]),
        (
            1069,
            ROOT,
            [
                {
                    "apiVersion": "configsync.gke.io/v1beta1",
                    "kind": "RootSync",
                    "metadata": {"name": "root-sync", "namespace": "config-management-system"},
                }
            ],
        ),
        (
            1056,
            ROOT,
            [
                {
                    "apiVersion": "v1",
                    "kind": "Namespace",
                    "metadata": {"name": "ml-team", "annotations": {"configmanagement.gke.io/managed": "disabled"}},
                },
                config_map(),
            ],
        ),
    ],
)
def test_a_broken_rule_has_its_code_and_names_the_file(
    code: int, sync: SyncId, documents: list[dict[str, Any]]
) -> None:
    checked = check(declare(*documents), sync, KINDS)
    assert set(codes(checked)) == {code}
    problem = (*checked.blocking, *checked.passing)[0]
    assert problem.as_status()["code"] == f"{code:04d}"
    assert problem.as_status()["errorResources"][0]["sourcePath"] == "a.yaml"
    assert problem.message.startswith(f"KNV{code:04d}: ")
    assert "source: a.yaml" in problem.message


def test_a_right_source_has_no_problems_and_a_repo_sync_fills_in_its_namespace() -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    checked = check(declare(one), TEAM, KINDS)
    assert not codes(checked)
    assert checked.objects[0].id == ObjectId("", "ConfigMap", "ml-team", "a")


def test_a_kind_that_the_source_defines_itself_is_known() -> None:
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "toys.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"kind": "Toy", "plural": "toys"},
            "versions": [{"name": "v1"}],
        },
    }
    toy = {"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": "a", "namespace": "b"}}
    declared = declare(toy, definition)
    checked = check(declared, ROOT, {**KINDS, **declared_kinds(declared)})
    assert not codes(checked)
    decided = plan(checked.objects, checked.unknown, set())
    assert [[one.id.kind for one in wave] for wave in decided.waves] == [["CustomResourceDefinition"], ["Toy"]]


@pytest.mark.parametrize(
    "text",
    ["a: [1", "just words", "kind: ConfigMap\n", "apiVersion: v1\n", "apiVersion: v1\nkind: ConfigMap\nmetadata: 1\n"],
)
def test_a_document_that_is_no_object_is_1006_with_its_file(text: str) -> None:
    declared, problems = parse_manifests(text, "broken.yaml")
    assert not declared
    assert [problem.code for problem in problems] == [1006]
    assert problems[0].as_status()["errorResources"] == [{"sourcePath": "broken.yaml"}]


def test_reading_a_folder_skips_hidden_and_local_files_and_expands_lists(tmp_path: Path) -> None:
    (tmp_path / "clusters" / ".hidden").mkdir(parents=True)
    (tmp_path / "clusters" / ".hidden" / "a.yaml").write_text("a: [1")
    (tmp_path / "clusters" / "notes.md").write_text("not a manifest")
    items = {"apiVersion": "v1", "kind": "List", "items": [config_map("a"), config_map("b")]}
    local = config_map("c", annotations={"config.kubernetes.io/local-config": "true"})
    (tmp_path / "clusters" / "list.yaml").write_text(yaml.safe_dump_all([items, local]))
    (tmp_path / "clusters" / "one.json").write_text(
        '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "j"}}'
    )
    declared, problems = read_manifests(tmp_path, tmp_path / "clusters")
    assert not problems
    assert [(one.id.name, one.place.path) for one in declared] == [
        ("a", "clusters/list.yaml"),
        ("b", "clusters/list.yaml"),
        ("j", "clusters/one.json"),
    ]


def test_a_date_stays_text_as_it_does_in_kubernetes() -> None:
    declared, _ = parse_manifests(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {day: 2026-01-02}\n", "a.yaml"
    )
    assert declared[0].obj["data"] == {"day": "2026-01-02"}


def test_selectors_keep_what_is_meant_for_this_cluster() -> None:
    cluster = {
        "apiVersion": "clusterregistry.k8s.io/v1alpha1",
        "kind": "Cluster",
        "metadata": {"name": "mlp-dev", "labels": {"environment": "dev"}},
    }
    selector = {
        "apiVersion": "configmanagement.gke.io/v1",
        "kind": "ClusterSelector",
        "metadata": {"name": "only-dev"},
        "spec": {"selector": {"matchLabels": {"environment": "dev"}}},
    }
    label, names = "configmanagement.gke.io/cluster-selector", "configsync.gke.io/cluster-name-selector"
    by_label = config_map("by-label", annotations={label: "only-dev"})
    by_name = config_map("by-name", annotations={names: "mlp-prod, mlp-staging"})
    documents = declare(cluster, selector, by_label, by_name)
    for name, expected in (("mlp-dev", ["by-label"]), ("mlp-prod", ["by-name"])):
        kept, problems = select(documents, name)
        assert not problems
        assert [one.id.name for one in kept if one.id.kind == "ConfigMap"] == expected
    wrong = declare(
        config_map("a", annotations={label: "absent"}),
        config_map("b", annotations={label: "only-dev", names: "mlp-dev"}),
    )
    assert [problem.code for problem in select(wrong, "mlp-dev")[1]] == [1013, 1066]


def test_pruning_stops_when_the_source_is_empty() -> None:
    with pytest.raises(ProblemsError) as caught:
        plan([], [], {ObjectId("", "ConfigMap", "a", "b")})
    assert [problem.code for problem in caught.value.problems] == [2006]


def test_an_object_of_an_unknown_kind_is_not_pruned() -> None:
    unknown = declare({"apiVersion": "ray.io/v1", "kind": "RayCluster", "metadata": {"name": "a", "namespace": "b"}})
    inventory = {unknown[0].id, ObjectId("", "ConfigMap", "b", "old")}
    assert plan([], unknown, inventory).prune == (ObjectId("", "ConfigMap", "b", "old"),)


def test_namespaces_go_first_and_are_pruned_last() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ml-team"}}
    declared = declare(config_map(), namespace)
    decided = plan(declared, [], {ObjectId("", "Namespace", "", "old"), ObjectId("", "ConfigMap", "old", "a")})
    assert [[one.id.kind for one in wave] for wave in decided.waves] == [["Namespace"], ["ConfigMap"]]
    assert [one.kind for one in decided.prune] == ["ConfigMap", "Namespace"]


def test_depends_on_makes_waves_and_a_cycle_is_refused() -> None:
    depends = "config.kubernetes.io/depends-on"
    first = config_map("a", annotations={depends: "/namespaces/ml-team/ConfigMap/b"})
    decided = plan(declare(first, config_map("b")), [], set())
    assert [[one.id.name for one in wave] for wave in decided.waves] == [["b"], ["a"]]
    second = config_map("b", annotations={depends: "/namespaces/ml-team/ConfigMap/a"})
    for documents in ([first, second], [first], [config_map(annotations={depends: "nonsense"})]):
        with pytest.raises(ProblemsError) as caught:
            plan(declare(*documents), [], set())
        assert caught.value.problems[0].code == 2009


def test_deleting_begins_with_what_needs_others_and_ends_with_namespaces() -> None:
    sync = ObjectId("configsync.gke.io", "RepoSync", "ml-team", "repo-sync")
    binding = ObjectId("rbac.authorization.k8s.io", "RoleBinding", "ml-team", "team-reconciler")
    namespace = ObjectId("", "Namespace", "", "ml-team")
    assert prune_waves([namespace, binding, sync], {sync: [binding]}) == ((sync,), (binding,), (namespace,))
    assert prune_waves([binding, sync], {sync: [binding], binding: [sync]}) == ((sync, binding),)


def managed_by(sync: SyncId) -> dict[str, Any]:
    return decorated(declare(config_map())[0], Origin(sync, "mlp-dev", "c0ffee", {}))


def test_a_root_sync_adopts_all_but_what_another_root_sync_has() -> None:
    other_root = SyncId("RootSync", "config-management-system", "other")
    other_team = SyncId("RepoSync", "ml-team", "other")
    assert claim(managed_by(ROOT), ROOT) is Claim.OURS
    assert claim(config_map(), ROOT) is Claim.ADOPT
    assert claim(config_map(), TEAM) is Claim.ADOPT
    assert claim(managed_by(TEAM), ROOT) is Claim.ADOPT
    assert claim(managed_by(other_root), ROOT) is Claim.CONFLICT
    assert claim(managed_by(ROOT), TEAM) is Claim.CONFLICT
    assert claim(managed_by(other_team), TEAM) is Claim.CONFLICT


def test_copied_annotations_do_not_make_a_copy_managed() -> None:
    copy = managed_by(ROOT)
    copy["metadata"]["name"] = "copy"
    assert claim(copy, SyncId("RootSync", "config-management-system", "other")) is Claim.ADOPT


def test_an_applied_object_tells_where_it_comes_from_and_can_be_released() -> None:
    live = managed_by(TEAM)
    assert live["metadata"]["annotations"] == {
        "configmanagement.gke.io/managed": "enabled",
        "configmanagement.gke.io/source-path": "a.yaml",
        "configmanagement.gke.io/token": "c0ffee",
        "configmanagement.gke.io/cluster-name": "mlp-dev",
        "configsync.gke.io/manager": "ml-team",
        "configsync.gke.io/git-context": "{}",
        "configsync.gke.io/resource-id": "_configmap_ml-team_a",
        "config.k8s.io/owning-inventory": "ml-team_repo-sync",
    }
    assert live["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "configmanagement.gke.io",
        "configsync.gke.io/declared-version": "v1",
    }
    patch = released(live)["metadata"]
    assert set(patch["annotations"]) == set(live["metadata"]["annotations"])
    assert set(patch["labels"]) == set(live["metadata"]["labels"])


def test_drift_is_a_declared_value_that_is_missing_or_other() -> None:
    live = {"spec": {"replicas": 1, "list": [{"name": "a", "defaulted": True}], "extra": 1}}
    assert contains(live, {"spec": {"replicas": 1, "list": [{"name": "a"}]}})
    assert contains(live, {"spec": {"absent": None}})
    assert not contains(live, {"spec": {"replicas": 2}})
    assert not contains(live, {"spec": {"list": [{"name": "a"}, {"name": "b"}]}})
    assert not contains(live, {"spec": {"other": 1}})


def test_implicit_namespaces_are_made_unless_declared_existing_or_system() -> None:
    declared = declare(config_map(namespace="new"), config_map(namespace="there"), config_map(namespace="default"))
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "there"}}
    other = decorated(declare(other)[0], Origin(SyncId("RootSync", ROOT.namespace, "other"), "", "", {}))
    made = implicit_namespaces(declared, {"there": other, "default": {"metadata": {}}}, ROOT)
    assert [one.id.name for one in made] == ["new"]


@pytest.mark.parametrize(
    ("sync", "manager", "reconciler"),
    [
        (ROOT, ":root", "root-reconciler"),
        (SyncId("RootSync", "config-management-system", "kuberay"), ":root_kuberay", "root-reconciler-kuberay"),
        (TEAM, "ml-team", "ns-reconciler-ml-team"),
        (SyncId("RepoSync", "ml-team", "jobs"), "ml-team_jobs", "ns-reconciler-ml-team-jobs-4"),
    ],
)
def test_names_follow_from_the_sync(sync: SyncId, manager: str, reconciler: str) -> None:
    assert (sync.manager, sync.reconciler) == (manager, reconciler)


GIT = {"repo": "http://127.0.0.1/a.git", "auth": "none"}


@pytest.mark.parametrize(
    ("sync", "spec", "words"),
    [
        (ROOT, {"git": GIT}, ""),
        (SyncId("RootSync", "default", "a"), {"git": GIT}, "only allowed in the config-management-system"),
        (SyncId("RootSync", "config-management-system", "a" * 39), {"git": GIT}, "too long"),
        (SyncId("RepoSync", "n" * 30, "a" * 16), {"git": GIT}, "too long"),
        (SyncId("RepoSync", "config-management-system", "a"), {"git": GIT}, "not allowed"),
        (ROOT, {}, "must specify spec.git"),
        (ROOT, {"git": {"auth": "none"}}, "must specify spec.git.repo"),
        (ROOT, {"sourceType": "helm", "helm": {"repo": "r", "auth": "none"}}, "must specify spec.helm.chart"),
        (ROOT, {"git": {**GIT, "auth": "token"}}, "must specify spec.git.secretRef.name"),
        (ROOT, {"git": {**GIT, "secretRef": {"name": "a"}}}, "must not specify spec.git.secretRef"),
        (TEAM, {"git": GIT, "override": {"roleRefs": []}}, "for RootSyncs only"),
        (TEAM, {"git": GIT, "sourceFormat": "hierarchy"}, "unstructured"),
    ],
)
def test_a_sync_spec_that_breaks_a_rule_says_which(sync: SyncId, spec: dict[str, Any], words: str) -> None:
    fault = spec_fault(sync, spec)
    assert (words in fault) if words else not fault


def test_a_secret_fault_names_kind_key_and_secret() -> None:
    assert "Secret git-creds not found" in secret_fault("token", "git-creds", None)
    fault = secret_fault("token", "git-creds", {"data": {"token": "eA=="}})
    assert fault == 'git secretType was set as "token" but username key is not present in git-creds secret'
    assert not secret_fault("token", "git-creds", {"data": {"token": "eA==", "username": "eA=="}})


@pytest.mark.parametrize(("text", "expected"), [("15s", 15), ("1m30s", 90), ("500ms", 0.5), ("", 7), ("soon", 7)])
def test_durations_are_those_of_go(text: str, expected: float) -> None:
    assert seconds(text, 7) == expected
