"""What people do with kubectl, done with every kubectl at hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.sandbox.kubernetes.conftest import Kubectl

DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "web", "image": "nginx:1", "ports": [{"containerPort": 80}]}]},
        },
    },
}


def crd(plural: str, kind: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "description": "How big it is."},
                    "replicas": {"type": "integer"},
                },
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"},
        },
        "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.test.example.com"},
        "spec": {
            "group": "test.example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "categories": ["all"]},
            "versions": [version],
        },
    }


def test_typed_commands_send_protobuf_and_are_understood(kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=colour=red")
    kubectl("create", "serviceaccount", "runner")
    kubectl("create", "quota", "limits", "--hard=pods=2,requests.cpu=1")
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods")
    kubectl("create", "rolebinding", "readers", "--role=reader", "--user=alice")
    kubectl("create", "cronjob", "nightly", "--image=busybox", "--schedule=0 0 * * *")
    kubectl("create", "ingress", "way", "--rule=a.example/=web:80")
    assert kubectl("get", "configmap", "settings", "-o", "jsonpath={.data.colour}").stdout == "red"
    assert kubectl("auth", "can-i", "list", "pods", "--as", "alice").stdout.strip() == "yes"
    assert kubectl("auth", "can-i", "delete", "pods", "--as", "alice", check=False).stdout.strip() == "no"
    assert kubectl("create", "token", "runner").stdout.count(".") == 2


def test_client_side_apply_changes_only_what_differs(kubectl: Kubectl) -> None:
    assert "created" in kubectl("apply", "-f", "-", manifest=DEPLOYMENT).stdout
    assert "unchanged" in kubectl("apply", "-f", "-", manifest=DEPLOYMENT).stdout
    changed = json.loads(json.dumps(DEPLOYMENT).replace("nginx:1", "nginx:2"))
    assert "nginx:2" in kubectl("diff", "-f", "-", manifest=changed, check=False).stdout
    assert "configured" in kubectl("apply", "-f", "-", manifest=changed).stdout
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.metadata.generation}").stdout == "2"


def test_server_side_apply_takes_over_from_client_side_and_reports_conflicts(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", manifest=DEPLOYMENT)
    kubectl("apply", "--server-side", "-f", "-", manifest=DEPLOYMENT)
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.metadata.generation}").stdout == "1"
    more = {**DEPLOYMENT, "spec": {**DEPLOYMENT["spec"], "replicas": 3}}
    refused = kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", manifest=more, check=False)
    assert 'conflict with "kubectl": .spec.replicas' in refused.stderr
    kubectl("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", manifest=more)
    assert kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}").stdout == "3"


def test_everyday_changes_and_views(kubectl: Kubectl) -> None:
    kubectl("apply", "-f", "-", manifest=DEPLOYMENT)
    kubectl("scale", "deployment", "web", "--replicas=5")
    kubectl("label", "deployment", "web", "tier=front")
    kubectl("annotate", "deployment", "web", "note=seen")
    kubectl("rollout", "restart", "deployment", "web")
    described = kubectl("describe", "deployment", "web").stdout
    assert "5 desired" in described
    assert "tier=front" in described
    assert kubectl("get", "deployments").stdout.split()[:5] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert "DeploymentStrategy" in kubectl("explain", "deployment.spec.strategy").stdout
    kubectl("delete", "deployment", "web")
    assert "NotFound" in kubectl("get", "deployment", "web", check=False).stderr


def test_a_definition_is_served_at_once_and_takes_its_objects_with_it(kubectl: Kubectl, namespace: str) -> None:
    number = namespace.rpartition("-")[2]
    plural, kind = f"gadgets{number}", f"Gadget{number}"
    kubectl("apply", "-f", "-", manifest=crd(plural, kind))
    kubectl("wait", "--for=condition=Established", f"crd/{plural}.test.example.com", "--timeout=5s")
    thing = {"apiVersion": "test.example.com/v1", "kind": kind, "metadata": {"name": "g"}, "spec": {"size": 3}}
    kubectl("apply", "-f", "-", manifest=thing)
    assert kubectl("get", plural).stdout.split() == ["NAME", "SIZE", "g", "3"]
    assert "How big it is." in kubectl("explain", f"{plural}.spec.size").stdout
    kubectl("scale", plural, "g", "--replicas=4")
    kubectl("patch", plural, "g", "--subresource=status", "--type=merge", "-p", '{"status": {"replicas": 4}}')
    kubectl("wait", "--for=jsonpath={.status.replicas}=4", f"{plural}/g", "--timeout=5s")
    assert f"{kind.lower()}.test.example.com/g" in kubectl("get", "all").stdout
    wrong = {**thing, "spec": {"size": "big"}}
    assert "Invalid value" in kubectl("apply", "--validate=false", "-f", "-", manifest=wrong, check=False).stderr
    kubectl("delete", "crd", f"{plural}.test.example.com")
    assert "the server" in kubectl("get", plural, check=False).stderr


def test_an_unknown_token_and_a_missing_right_are_told_apart(kubectl: Kubectl, api: Callable[..., Any]) -> None:
    refused = kubectl("get", "secrets", "--as", "bob", check=False).stderr
    assert 'User "bob" cannot list resource "secrets"' in refused
    answer = api("GET", "/api/v1/nodes", user="", expect=401, Authorization="Bearer nobody")
    assert answer["reason"] == "Unauthorized"
